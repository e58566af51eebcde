"""Mouth to ear, measured: a known delay is found, and the adaptive buffer stands beside a fixed one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.voip.calls import Load, late_by_stalls, measure, merged, most_held
from bench.voip.mouth_to_ear import CONDITIONS, Ear, Mouth, _delays_ms, run, voice


def test_the_mouth_says_the_clip_again_and_again() -> None:
    said = voice()
    mouth = Mouth(said)
    heard = np.concatenate([mouth.pull() for _ in range(2 * len(said) // 480)])
    np.testing.assert_array_equal(heard, np.resize(said, len(heard)))


@pytest.mark.parametrize("delay", [480, 17_777])
def test_a_planted_delay_is_found(delay: int) -> None:
    said = voice()
    heard = np.concatenate([np.zeros(delay, np.float32), said])
    found = _delays_ms(heard, said)
    assert len(found) > 60
    assert np.abs(np.percentile(found, (5, 95)) - delay / 48.0).max() < 0.1


def test_stalls_of_two_cores_at_once_are_one_and_only_what_outlasts_the_slack_makes_late() -> None:
    stalls = merged([[2.0, 4.0], [1.0, 3.0], [1.001, 5.0], [2.5, 27.0]])
    assert [when_s for when_s, _ in stalls] == [1.0, 2.0, 2.5]
    assert [length_ms for _, length_ms in stalls] == pytest.approx([6.0, 4.0, 27.0])
    assert late_by_stalls(stalls, 5.0) == 1 + 3
    assert late_by_stalls(stalls, 30.0) == 0


def test_what_is_missed_beyond_the_machines_own_stalls_decides_whether_calls_are_held() -> None:
    load = Load(8, 16, 20.0, 4.0, 6.0, 12.0, 0.002, 0.001, 0.0021, 9.0, 0.0, 0.8)
    assert load.held
    assert not replace(load, floor_share=0.0).held
    assert not replace(load, floor_share=0.0).hopeless
    assert replace(load, late_share=0.05).hopeless
    assert not replace(load, tick_p50_ms=10.5).held
    assert most_held([load, replace(load, calls=16, seconds=2.0)], 16, 20.0) == 8


@pytest.mark.slow
def test_one_call_is_measured_as_it_runs() -> None:
    load = measure("default", 1, 16, 1.0, "opus")
    assert 0.0 < load.tick_p50_ms < load.tick_max_ms
    assert 0.0 < load.cores < 2.0
    assert load.concealed_share < 1.0


@pytest.mark.slow
def test_a_bad_call_is_heard_sooner_and_more_of_it_than_through_a_fixed_buffer() -> None:
    ran = run("PCMU", 8.0, ["loss 5 %"], seed=1)
    by_way = {result.way: result for result in ran.results}
    adaptive, fixed = by_way["adaptive"], by_way["fixed"]
    assert adaptive.lost_share == fixed.lost_share > 0.0
    assert adaptive.statistics is not None
    assert adaptive.statistics["packets_received"] > 300
    assert adaptive.delay_p50_ms is not None
    # A machine that stalls makes the delay longer; the fixed buffer's is 100 ms before anything is lost.
    assert adaptive.delay_p50_ms < 150.0
    assert fixed.delay_p50_ms is None or adaptive.delay_p50_ms < fixed.delay_p50_ms


def test_every_condition_is_one_and_the_first_is_none() -> None:
    names = list(CONDITIONS)
    assert names[0] == "clean"
    assert CONDITIONS["clean"] == type(CONDITIONS["clean"])()
    assert len(set(CONDITIONS.values())) == len(names)
    assert len(Ear().heard) == 0
