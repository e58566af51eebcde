"""A run as lines: for people and as JSON, from the program as a person starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from realtime.loglines import Loudness, line
from realtime.native.ring import RING_SAMPLES, Ring
from tests.realtime.playing import tone

PROGRAM = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--backend", "simulated"]


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "--force", *arguments], capture_output=True, text=True, cwd=folder, stdin=subprocess.DEVNULL
    )


def test_levels_are_of_all_that_was_since_the_last_line() -> None:
    ring = Ring(1, RING_SAMPLES)
    loudness = Loudness(ring)
    for _ in range(4):
        ring.append(tone(1.0, 0.1)[None])
        loudness.listen()
    ring.append(np.full((1, 1), -0.5, np.float32))
    peak_dbfs, rms_dbfs = loudness.take()
    assert peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert rms_dbfs == pytest.approx(-23.0, abs=0.05)
    assert loudness.take() == (-120.0, -120.0)


def test_json_lines_have_standard_output_for_themselves(tmp_path: Path) -> None:
    done = _run(tmp_path, "--seconds", "2", "--interval", "0.5", "--json-lines", "-", "--json", "figures.json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(text) for text in done.stdout.splitlines()]
    snapshots = [values for values in told if values["type"] == "snapshot"]
    assert len(snapshots) >= 3
    assert [values["seconds"] for values in snapshots] == sorted(values["seconds"] for values in snapshots)
    assert snapshots[-1]["seconds"] > 1.9, "the last one is of the end"
    assert {"time", "deadline_misses", "hop_p99_ms", "drift_ppm", "out_peak_dbfs", "devices", "chain"} <= set(
        snapshots[0]
    )
    assert snapshots[1]["in_peak_dbfs"] > -60.0
    assert json.loads((tmp_path / "figures.json").read_text())["statistics"]["hops"] > 0


def test_plain_lines_come_at_the_interval_and_a_file_of_json_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"type": "before"}\n')
    done = _run(tmp_path, "--seconds", "2", "--interval", "0.5", "--plain", "--json-lines", str(log))
    assert done.returncode == 0, done.stderr
    lines = [text for text in done.stdout.splitlines() if "dBFS  hop " in text]
    assert 1 <= len(lines) <= 4
    assert "\x1b" not in done.stdout
    told = [json.loads(text) for text in log.read_text().splitlines()]
    assert told[0] == {"type": "before"}
    assert sum(values["type"] == "snapshot" for values in told) == len(lines) + 1
    assert line(told[-1]).startswith("2 s  in ")


def test_a_dumb_terminal_and_a_file_get_lines_and_both_on_standard_output_are_refused(tmp_path: Path) -> None:
    done = _run(tmp_path, "--json", "-", "--json-lines", "-")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--json-lines" in done.stderr
    assert _run(tmp_path, "--json-lines", "absent/log").returncode == 1
    master, slave = os.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "--force", "--seconds", "1", "--interval", "0.3"],
        stdout=slave, stderr=slave, stdin=subprocess.DEVNULL, cwd=tmp_path, env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4_096)
        except OSError:
            break
    assert process.wait() == 0
    os.close(master)
    assert b"dBFS  hop " in shown
    assert b"\x1b[?" not in shown
