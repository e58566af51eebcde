"""The fault table: the host holds, a run with faults is repeatable, and a host that clicked would be caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import soak, trial
from bench.faults import FAULTS
from realtime.paths import find_model

MODEL = find_model("default")
assert MODEL is not None
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
    assert "a click" in trial.judge(fault, [(replace(heard, samples=spoilt), True)], None).problems
    short = np.delete(heard.samples, slice(72_000, 72_100))
    row = trial.judge(fault, [(replace(heard, samples=short), True)], None)
    assert row.lost == 100
    assert "samples lost or repeated" in row.problems


@pytest.mark.slow
def test_a_short_soak_holds() -> None:
    result = soak.soak(MODEL, 0.25, seed=1).figures()
    assert result["clicks"] == 0
    assert result["seconds"] > 10.0
