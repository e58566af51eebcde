"""Controls of a LADSPA plugin that are moved: by ramps where they can, else by going over to instances made afresh."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.lookout import Lookout
from realtime.native.stages.ladspa import FRESH, RUNNING, SPENT, ladspa_step
from realtime.plugins.ladspa.catalogue import find_plugin, folders
from realtime.plugins.ladspa.stage import LadspaStage
from realtime.plugins.spec import resolve
from realtime.settings.live import LiveSettings
from tests.realtime.playing import play, tone

STREAM = StreamFormat(48_000, 48_000, 128)
BLOCK = 64

#: More than a move takes.
LONG = 48_000 // 4


def _installed(name: str) -> str:
    """*name* where its package is installed; else the test is left out."""
    if not any((folder / name.partition(":")[0]).is_file() for folder in folders()):
        pytest.skip("needs real plugins: apt install swh-plugins cmt")
    return name


@contextmanager
def _stage(name: str, lanes: int = 1, **values: float) -> Iterator[LadspaStage]:
    stage = LadspaStage(lanes, find_plugin(_installed(name)))
    for key, value in values.items():
        stage.set(key, value)
    stage.bind(BLOCK, stage.timing.latency_samples)
    stage.reset()
    yield stage
    stage.close()


def _run(stage: LadspaStage, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """*x* [lanes, n] through the stage alone, as the engine thread runs it."""
    heard = []
    step: Any = ladspa_step.ctypes
    for first in range(0, x.shape[1] // BLOCK * BLOCK, BLOCK):
        source = np.ascontiguousarray(x[:, first : first + BLOCK])
        target = np.empty_like(source)
        assert step(stage.state, source.ctypes.data, target.ctypes.data, BLOCK) == 0
        heard.append(target)
    return np.concatenate(heard, axis=1)


def _noise(samples: int, lanes: int = 1) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(0).standard_normal((lanes, samples))).astype(np.float32)


def _spare(stage: LadspaStage) -> int:
    return int(stage.record["spare"])


def test_a_control_that_is_moved_a_little_goes_along_a_ramp_of_the_same_instances() -> None:
    with _stage("amp.so:amp_mono", gain=1.0) as stage:
        stage.set("gain", 1.05)
        heard = _run(stage, np.ones((1, LONG), np.float32))[0]
        assert (_spare(stage), int(stage.record["active"])) == (FRESH, 0)
    assert (heard[0], heard[-1]) == (pytest.approx(1.0, abs=1e-4), pytest.approx(1.05))
    assert np.abs(np.diff(heard)).max() < 1e-4


def test_a_leap_is_a_fade_to_the_spare_set_which_is_then_made_afresh() -> None:
    with _stage("amp.so:amp_mono", gain=1.0) as stage:
        stage.set("gain", 0.0)
        heard = _run(stage, np.ones((1, LONG), np.float32))[0]
        assert (_spare(stage), int(stage.record["active"])) == (SPENT, 1)
        stage.tend()
        assert _spare(stage) == FRESH
    assert (heard[0], heard[-1]) == (1.0, 0.0)
    assert np.abs(np.diff(heard)).max() < 2e-3
    assert (np.diff(heard) <= 0.0).all()


def test_of_all_that_is_wanted_during_a_move_the_newest_comes_next() -> None:
    ones = np.ones((1, LONG), np.float32)
    with _stage("amp.so:amp_mono", gain=1.0) as stage:
        stage.set("gain", 0.0)
        _run(stage, ones[:, :BLOCK])
        assert _spare(stage) == RUNNING
        for gain in (4.0, 3.0, 2.0):
            stage.set("gain", gain)
        assert _run(stage, ones)[0, -1] == 0.0, "the move under way has come to its end"
        stage.tend()
        heard = _run(stage, ones)[0]
    assert heard[-1] == 2.0
    assert heard.max() == 2.0


def test_a_move_waits_for_a_ramp_and_holds_nothing_up_that_can_be_ramped() -> None:
    with _stage("cmt.so:delay_0.01s", dry_wet_balance=0.5) as stage:
        stage.set("delay_seconds", 0.002)
        _run(stage, _noise(LONG))
        assert _spare(stage) == SPENT
        # Nobody has made the spare set fresh yet.
        stage.record["spare"] = RUNNING + 1
        stage.set("delay_seconds", 0.004)
        stage.set("dry_wet_balance", 0.55)
        _run(stage, _noise(LONG))
        assert stage._ramps["value"].tolist() == pytest.approx([0.002, 0.55])
        stage.record["spare"] = SPENT
        stage.tend()
        _run(stage, _noise(LONG))
        assert stage._ramps["value"].tolist() == pytest.approx([0.004, 0.55])


@pytest.mark.parametrize(
    "name",
    [
        "comb_1190.so:comb",
        "phasers_1217.so:autoPhaser",  # this and the next keep what they hold when they are activated again
        "svf_1214.so:svf",
        "plate_1423.so:plate",
        "cmt.so:freeverb3",
        "cmt.so:fbdelay_0.1s",
        "fast_lookahead_limiter_1913.so:fastLookaheadLimiter",
    ],
)
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_stage_that_is_reset_is_as_a_new_one(name: str, lanes: int) -> None:
    x = _noise(9_600, lanes)
    with _stage(name, lanes) as stage:
        new = _run(stage, x)
        stage.set(stage.parameters[0].name, stage.parameters[0].high)
        _run(stage, x)
        stage.set(stage.parameters[0].name, stage.parameters[0].default)
        stage.reset()
        np.testing.assert_array_equal(_run(stage, x), new)


def test_both_channels_go_over_together() -> None:
    with _stage("amp.so:amp_mono", lanes=2, gain=1.0) as stage:
        stage.set("gain", 3.0)
        heard = _run(stage, np.ones((2, LONG), np.float32))
    np.testing.assert_array_equal(heard[0], heard[1])
    assert heard[0, -1] == 3.0


def test_what_is_shown_is_of_the_instances_that_are_heard() -> None:
    with _stage("sc4m_1916.so:sc4m", threshold_level_db=-30.0, ratio_1_n=1.0) as stage:
        loud = tone(0.5, level=0.5)[None]
        _run(stage, loud)
        before = stage.meters()["gain_reduction_db"]
        stage.set("ratio_1_n", 20.0)
        _run(stage, loud)
        assert stage.meters()["gain_reduction_db"] < before - 6.0


def test_the_host_makes_the_spare_set_fresh_while_audio_runs() -> None:
    plugin = _installed("amp.so:amp_mono")
    settings = EngineSettings(None, chain=resolve([{"plugin": plugin}]))
    x = np.full(LONG, 0.1, np.float32)
    with Engine(STREAM, settings) as engine:
        lookout = Lookout(engine, LiveSettings())
        for gain in (3.0, 1.0):
            engine.set_chain(resolve([{"plugin": plugin, "gain": 2.0}]))
            play(engine, x[:1_280])
            engine.set_chain(resolve([{"plugin": plugin, "gain": gain}]))
            heard = play(engine, x)
            assert heard[-1] == pytest.approx(0.2)
            lookout.poll(0.0, lost=False)
            heard = play(engine, x)
            assert heard[-1] == pytest.approx(0.1 * gain)


def test_instances_are_ended_with_the_stage() -> None:
    with _stage("amp.so:amp_mono", lanes=2) as stage:
        handles = stage._sets[0].handles, stage._sets[1].handles
        assert all(np.all(one != 0) for one in handles)
    assert not np.any(handles)
    assert ctypes.sizeof(ctypes.c_void_p) == handles[0].itemsize
