"""Sustained overload steps down once, recovers with growing patience, and is not stirred by accidents."""

from __future__ import annotations

from realtime.overload import FIRST_PATIENCE_SECONDS, OverloadControl, OverloadKeeper


def _seconds(keeper: OverloadKeeper, seconds: int, missed: int) -> list[int]:
    """Places gone to while *missed* of 250 hops come late in every second."""
    steps = (keeper.observe(250, missed) for _ in range(seconds))
    return [step.index for step in steps if step is not None]


def test_late_hops_that_a_guard_can_cure_change_nothing() -> None:
    keeper = OverloadKeeper(3)
    assert _seconds(keeper, 600, 30) == []
    assert [keeper.observe(250, 240 if k % 10 == 0 else 0) for k in range(100)] == [None] * 100


def test_sustained_overload_steps_down_to_the_cheaper_model_and_then_to_the_low_band() -> None:
    keeper = OverloadKeeper(3)
    assert _seconds(keeper, 4, 250) == [1]
    assert _seconds(keeper, 4, 250) == [2]
    assert _seconds(keeper, 20, 250) == []


def test_the_better_model_is_tried_again_after_a_calm_time_with_growing_patience() -> None:
    keeper = OverloadKeeper(2)
    waits = []
    for _ in range(4):
        assert _seconds(keeper, 4, 250) == [1]
        waited = 1
        while keeper.observe(0, 0) is None:
            waited += 1
        waits.append(waited)
    assert waits == [FIRST_PATIENCE_SECONDS * 2**k for k in range(4)]
    assert _seconds(keeper, 60, 0) == []
    assert _seconds(keeper, 4, 250) == [1]
    assert _seconds(keeper, int(FIRST_PATIENCE_SECONDS), 0) == [0], "a model that held out is trusted again"


def test_a_change_is_said_once_and_made_once() -> None:
    hops = [0, 0]
    made: list[int] = []
    control = OverloadControl(["default", "the low band alone"], lambda: (hops[0], hops[1]), made.append)
    lines = []
    for second in range(20):
        hops[0] += 250
        hops[1] += 250
        lines += [line for line in (control.poll(float(second)), control.poll(second + 0.1)) if line]
    assert made == [1]
    assert len(lines) == 1
    assert lines[0].startswith("the low band alone: ")
    assert control.step_downs == 1
