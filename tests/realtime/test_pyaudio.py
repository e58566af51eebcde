"""The PyAudio backend on a real audio server: its own Python callback, the same compiled steps."""

from __future__ import annotations

import json
import sys

import pytest

from tests import servers

pytest.importorskip("pyaudio", reason="PyAudio could not be built here")


@pytest.mark.server
def test_pyaudio_carries_audio_both_ways_on_jack() -> None:
    absent = servers.missing("jack")
    if absent is not None:
        pytest.skip(absent)
    program = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--backend", "pyaudio"]
    with servers.jack(256) as server:
        done = server.run(
            [
                *program,
                "--input",
                "system",
                "--output",
                "system",
                "--block",
                "256",
                "--seconds",
                "2",
                "--plain",
                "--json",
                "-",
            ]
        )
    assert done.returncode == 0, done.stderr + server.logs()
    figures = json.loads(done.stdout)
    assert figures["backend"] == "pyaudio"
    assert figures["statistics"]["seconds"] > 1.0
    assert figures["statistics"]["hops"] > 250


@pytest.mark.server
def test_pyaudio_names_the_nearest_device() -> None:
    absent = servers.missing("jack")
    if absent is not None:
        pytest.skip(absent)
    program = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--backend", "pyaudio"]
    with servers.jack(256) as server:
        done = server.run([*program, "--input", "systen"])
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("fullband:")]
    assert len(lines) == 1
    assert "systen" in lines[0]
    assert "system" in lines[0].replace("systen", "")
