"""A planted regression is called, two runs of the same build are not, and the machine's moods are nobody's fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.faults.injection import injected
from bench.model import hops
from bench.report.compare import compare, difference
from bench.report.document import Document, Series
from realtime.backends.simulated import SimulatedDevice
from realtime.errors import FullbandError
from realtime.paths import shipped_models
from tests.realtime.test_cli import run


def measured(rng: np.random.Generator, level: float = 0.3, mood: float = 0.03, yardstick: bool = True) -> Series:
    """Eight rounds on a machine whose speed drifts by *mood*, slowly, with stalls now and then."""
    state, rounds, lengths = rng.normal(0.0, mood), [], []
    for _ in range(8):
        state = 0.6 * state + 0.8 * rng.normal(0.0, mood)
        course = state + np.cumsum(rng.normal(0.0, 0.01, 8))
        rounds.append([float(v) for v in level * np.exp(course) * rng.choice([1.0, 2.5], 8, p=[0.95, 0.05])])
        lengths.append(float(0.12 * np.exp(state + rng.normal(0.0, 0.02))))
    return Series("ms", rounds, yardstick=lengths if yardstick else None)


def _verdicts(level: float, mood: float, times: int = 40) -> list[str]:
    rng = np.random.default_rng(3)
    pairs = [(measured(rng, mood=mood), measured(rng, level, mood=mood)) for _ in range(times)]
    found = [difference("x", a, b) for a, b in pairs]
    return [one.verdict for one in found if one is not None]


@pytest.mark.parametrize("mood", [0.01, 0.05, 0.2])
def test_two_runs_of_the_same_build_are_not_called_different(mood: float) -> None:
    assert not {"worse", "better"} & set(_verdicts(0.3, mood))


def test_a_planted_regression_of_a_fifth_is_called() -> None:
    assert _verdicts(0.36, 0.01).count("worse") >= 38
    assert _verdicts(0.24, 0.01).count("better") >= 38


def test_a_machine_that_has_become_slower_is_not_the_build() -> None:
    rng = np.random.default_rng(4)
    before = measured(rng)
    slower = measured(rng)
    assert slower.yardstick is not None
    after = Series(
        "ms", [[1.3 * v for v in one] for one in slower.rounds], yardstick=[1.3 * v for v in slower.yardstick]
    )
    found = difference("x", before, after)
    assert found is not None
    assert found.change > 1.2
    assert found.verdict == "noise"
    alone = difference("x", before, Series("ms", after.rounds))
    assert alone is not None
    assert alone.verdict == "worse"


def test_more_of_what_should_be_many_is_better() -> None:
    rng = np.random.default_rng(5)
    a, b = measured(rng, mood=0.01), measured(rng, 0.4, mood=0.01)
    a, b = (Series("calls", one.rounds, lower_is_better=False) for one in (a, b))
    found = difference("x", a, b)
    assert found is not None
    assert found.verdict == "better"


def test_counts_are_compared_by_their_difference() -> None:
    none = Series("misses per second", [[0.0] * 10] * 4, is_count=True)
    many = Series("misses per second", [[5.0, 3.0, 4.0, 6.0]] * 4, is_count=True)
    one = Series("misses per second", [[0.0] * 9 + [1.0], *[[0.0] * 10] * 3], is_count=True)
    for series, verdict in ((many, "worse"), (none, "same"), (one, "same")):
        found = difference("x", none, series)
        assert found is not None
        assert found.verdict == verdict


def test_one_round_tells_nothing_of_the_next() -> None:
    rng = np.random.default_rng(6)
    a, b = measured(rng, mood=0.001), measured(rng, 0.6, mood=0.001)
    found = difference("x", Series("ms", a.rounds[:1]), Series("ms", b.rounds[:1]))
    assert found is not None
    assert found.verdict == "too few rounds"
    assert difference("x", a, Series("ms", [])) is None


def _report(series: dict[str, Series]) -> dict[str, Any]:
    return Document("model", {"seconds": 10.0}, series=series).as_dict()


def test_reports_are_compared_by_what_they_have_in_common(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    before = _report({"default: hop": measured(rng, mood=0.01), "gone": measured(rng)})
    after = _report({"default: hop": measured(rng, 0.36, mood=0.01)})
    after["settings"]["seconds"] = 5.0
    after["machine"] = {**after["machine"], "cores": 128}
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, report in zip(paths, (before, after), strict=True):
        path.write_text(json.dumps(report))
    done = run("bench", "compare", *paths, "--json", "-")
    (found,) = json.loads(done.stdout)["differences"]
    assert found["verdict"] == "worse"
    assert found["low"] < found["change"] < found["high"]
    lines = " ".join(json.loads(done.stdout)["verdicts"])
    assert "cores" in lines
    assert "seconds" in lines
    assert "one of the two only: gone" in lines
    strict = run("bench", "compare", *paths, "--strict")
    assert strict.returncode == 1
    assert strict.stderr.startswith("fullband: worse than before: default: hop")
    with pytest.raises(FullbandError, match="no figure in common"):
        compare(before, _report({"other": measured(rng)}))


@contextmanager
def _default_models(*names: str) -> Iterator[list[hops.ModelRunner]]:
    with ExitStack() as stack:
        runners = [hops.ModelRunner(shipped_models()["default"], name=name) for name in names]
        for runner in runners:
            stack.callback(runner.close)
        yield runners


@pytest.mark.slow
def test_a_model_measured_twice_is_the_same_and_one_slowed_by_a_fifth_is_not() -> None:
    """By turns, on whatever this machine is doing; what is planted is time spent where ONNX Runtime is called."""
    idle = SimulatedDevice(np.zeros((1, 48_000), np.float32), 48_000)
    with _default_models("first", "again", "slower") as runners, injected(runners[2].engine, idle) as faults:
        usual_ms = float(np.median(hops.pace(runners[0], 1.0, 4.0)))  # as it is timed: at its own pace
        faults.slow_down(0.2 * usual_ms / 1000.0, 0.0, 1e6)
        with hops.priority_of_live():
            timed = hops.measure(runners, seconds=16.0, rounds=40)
        faults.slow_down(0.0, 0.0, 0.0)
    first, again, slower = (Series("ms", one.rounds(4.0), yardstick=one.yardstick_ms) for one in timed)
    same, worse = difference("hop", first, again), difference("hop", first, slower)
    assert same is not None
    assert worse is not None
    assert same.verdict in ("same", "noise"), same
    if worse.verdict == "noise":  # the right answer while the machine has moods
        pytest.skip(f"this machine is too busy to tell: {worse}")
    assert worse.verdict == "worse", worse
