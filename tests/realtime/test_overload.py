"""Sustained overload steps down once, recovers with growing patience, and is not stirred by accidents."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from realtime.backends.simulated import SimulatedDevice
from realtime.inference import Inference
from realtime.native.ring import RING_SAMPLES, Ring
from realtime.overload import FIRST_PATIENCE_SECONDS, OverloadControl, OverloadKeeper
from realtime.session import Session
from realtime.settings.live import LiveSettings
from tests.models import identity_model
from tests.realtime.playing import bend, tone


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


def _too_slow_model(path: Path) -> Path:
    """A model whose hop of 4 ms takes some 12 ms on this machine."""
    work = 8
    model = Inference(identity_model(path, mode="additive", work=work), 1, Ring(1, RING_SAMPLES))
    work = round(work * 3 * model.contract.hop_ms / float(np.median(model.warm_up_ms)))
    model.close()
    return identity_model(path, mode="additive", work=max(work, 1))


@pytest.mark.slow
def test_a_machine_that_cannot_keep_up_is_given_the_fallback_and_then_the_low_band(tmp_path: Path) -> None:
    model = _too_slow_model(tmp_path / "heavy.onnx")
    fallback = tmp_path / "lighter.onnx"
    fallback.write_bytes(model.read_bytes())
    x = tone(60.0)
    device = SimulatedDevice(x[None], 48_000)
    settings = LiveSettings.model_validate(
        {"model": str(model), "fallback_model": str(fallback), "adaptive_guard": False, "realtime_priority": 0}
    )
    lines = []
    with Session(settings, device) as session:
        lines += session.poll()
        session.start()
        deadline = time.monotonic() + 50.0
        while session.statistics().step_downs < 2 and time.monotonic() < deadline:
            lines += [line for line in session.poll() if "came too late" in line]
            time.sleep(0.05)
        down_at = device.played_frames
        while device.played_frames < down_at + 48_000:
            lines += [line for line in session.poll() if "came too late" in line]
            time.sleep(0.05)
        statistics = session.statistics()
        delay = session.engine.delay_samples
    said = [line.partition(":")[0] for line in lines if "came too late" in line]
    assert said == ["lighter", "the low band alone"]
    assert statistics.step_downs == 2
    assert statistics.deadline_misses > 100
    heard = device.played[0]
    # Dull from the first late hop to the end, but for what was in time at first.
    assert len(heard) / 48_000 - statistics.dull_seconds < 3.0
    assert bend(heard[delay + 10 :]) < 3 * bend(2.0 * x[:48_000])
    last = slice(len(heard) - 19_200, len(heard) - 9_600)  # the end itself is faded out
    np.testing.assert_allclose(heard[last], x[last.start - delay : last.stop - delay], atol=1e-5)


@pytest.mark.slow
def test_a_guard_that_grew_for_a_model_that_is_given_up_is_given_back_at_once(tmp_path: Path) -> None:
    model = _too_slow_model(tmp_path / "heavy.onnx")
    device = SimulatedDevice(tone(60.0)[None], 48_000)
    settings = LiveSettings.model_validate({"model": str(model), "guard_ms": 3.0, "realtime_priority": 0})
    grown_ms = [0.0]
    with Session(settings, device) as session:
        session.start()
        deadline = time.monotonic() + 50.0
        while session.statistics().step_downs < 1 and time.monotonic() < deadline:
            grown_ms.append(session.engine.guard_ms)
            session.poll()
            time.sleep(0.02)
        assert session.statistics().step_downs == 1
        assert session.engine.guard_ms == 3.0
    assert max(grown_ms) > 10.0
