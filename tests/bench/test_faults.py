"""The fault table: the host holds, a run with faults is repeatable, and a host that clicked would be caught."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.faults import trial
from bench.faults.table import FAULTS
from bench.faults.verdict import Heard, judge
from bench.signals.clicks import RATE_HZ
from bench.soak.run import soak
from realtime.paths import find_model

MODEL = find_model("default") or Path()
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize(
    "name", ["none", "engine stall 20 ms", "device stall 20 ms", "NaN model, 50 hops", "slow model, 1 s"]
)
def test_a_fault_is_heard_as_dull_at_worst(name: str) -> None:
    (row,) = trial.run(MODEL, quick=True, faults=(BY_NAME[name],))
    assert row.problems == ()
    assert (row.dull_seconds > 0.0) == (name not in ("none", "device stall 20 ms"))


@pytest.mark.parametrize("ppm", ["drift +300 ppm", "drift -300 ppm"])
def test_drift_loses_and_repeats_nothing(ppm: str) -> None:
    (row,) = trial.run(MODEL, quick=True, faults=(BY_NAME[ppm],))
    assert row.problems == ()


def test_a_run_with_a_fault_is_repeatable() -> None:
    fault = replace(BY_NAME["slow model, 1 s"], seconds=3.0)
    first, second = (trial.play(fault, MODEL, 2.0, 128, probe=True) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)


def test_a_host_that_clicked_or_lost_samples_would_be_caught() -> None:
    fault = replace(BY_NAME["none"], seconds=3.0)
    heard = trial.play(fault, MODEL, 2.0, 128, probe=True)
    spoilt = heard.samples.copy()
    spoilt[72_000:] += 0.05
    assert "a click" in judge(fault, [(replace(heard, samples=spoilt), True)], None).problems
    short = np.delete(heard.samples, slice(72_000, 72_100))
    row = judge(fault, [(replace(heard, samples=short), True)], None)
    assert row.lost == 100
    assert "samples lost or repeated" in row.problems


@pytest.fixture(scope="module", params=["device dies, returns", "rate change"])
def cut(request: pytest.FixtureRequest) -> tuple[Heard, Heard]:
    """A run in which a device died, and one without a fault."""
    fault = BY_NAME[request.param]
    calm = replace(BY_NAME["none"], seconds=fault.seconds)
    heard, beside = (trial.play(which, MODEL, 2.0, 128, probe=True) for which in (fault, calm))
    return heard, beside


DIES = BY_NAME["device dies, returns"]


def test_a_device_that_returns_is_heard_as_a_pause(cut: tuple[Heard, Heard]) -> None:
    heard, beside = cut
    row = judge(DIES, [(heard, True)], beside)
    assert row.problems == ()
    # What the host held when the device died is not played any more, and what comes then fades in.
    assert row.lost == heard.delay
    assert (row.repeated, row.unheard) == (0, RATE_HZ // 200)
    assert row.latency_after_ms == pytest.approx(1000.0 * heard.delay_after / RATE_HZ, abs=0.01)


def test_a_click_beside_the_cut_and_a_sound_before_the_voice_would_be_caught(cut: tuple[Heard, Heard]) -> None:
    heard, beside = cut
    assert heard.cut is not None
    for place in (heard.cut - 1, heard.cut, heard.cut + 400, heard.cut + heard.delay_after + 100):
        spoilt = heard.samples.copy()
        spoilt[place] += 0.05
        row = judge(DIES, [(replace(heard, samples=spoilt), True)], beside)
        assert "a click" in row.problems, place - heard.cut
        assert ("not silent at first" in row.problems) == (heard.cut <= place < heard.cut + 500)


@pytest.mark.slow
def test_a_short_soak_holds() -> None:
    result = soak("default", 0.25, seed=1).figures()
    assert result["clicks"] == 0
    assert result["seconds"] > 10.0


@pytest.mark.slow
def test_a_soak_that_is_broken_off_reports_what_it_has_seen(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    code = "import sys; sys.argv[0] = 'fullband'; from realtime.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", "soak", "--minutes", "10", "--seed", "2", "--json", str(figures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert "--seed 2" in process.stdout.readline()
        time.sleep(20.0)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    report = json.loads(figures.read_text())
    assert report["broken_off"]
    assert report["seconds"] > 2.0
    assert len(report["samples"]) >= 1
    assert process.returncode == int(bool(report["problems"])), said
    assert "Traceback" not in said
