"""A voice whose band becomes narrow stays as bright as it was."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.brightness import BrightnessMemory
from realtime.paths import find_model
from realtime.session import Session
from realtime.settings.live import LiveSettings
from realtime.wishes import HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB, Brightness

from .microphones import RATE_HZ, narrow, recorded, voice

DULL = Brightness(-4.0, 3.0)
FULL_HZ, NARROW_HZ = 24_000.0, 8_000.0


@pytest.fixture(scope="module")
def heard() -> NDArray[np.float32]:
    return recorded(DULL, 8.0)


def _hear(memory: BrightnessMemory, samples: NDArray[np.float32], cutoff_hz: float) -> None:
    for start in range(0, len(samples), 480):
        assert not memory.push(samples[start : start + 480], cutoff_hz)


def _asked(memory: BrightnessMemory, cutoff_hz: float = NARROW_HZ, seconds: float = 60.0) -> bool:
    """Whether there is an answer, and another one, before it has nothing to do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if memory.push(np.zeros(480, np.float32), cutoff_hz):
            return True
        if memory._job is None:
            return False
        time.sleep(0.01)
    raise AssertionError("no answer")


def test_what_was_heard_is_kept_when_the_band_becomes_narrow(heard: NDArray[np.float32]) -> None:
    memory = BrightnessMemory(find_model("default"))
    _hear(memory, heard, FULL_HZ)
    # Pauses of a minute drive nothing out.
    _hear(memory, np.zeros(60 * RATE_HZ, np.float32), FULL_HZ)
    # That a band has become narrow is noticed late.
    _hear(memory, narrow(heard, NARROW_HZ), FULL_HZ)
    assert _asked(memory)
    assert memory.brightness == pytest.approx(tuple(DULL), abs=0.7)
    before = memory.brightness
    assert not _asked(memory, 1.01 * NARROW_HZ) and memory.brightness == before
    assert _asked(memory, 6_000.0) and memory.brightness != before


def test_a_voice_that_was_heard_anew_is_known_anew(heard: NDArray[np.float32]) -> None:
    memory = BrightnessMemory(find_model("default"))
    _hear(memory, heard, FULL_HZ)
    assert _asked(memory)
    _hear(memory, np.tile(recorded(Brightness(1.0, -3.0), 8.0), 2), FULL_HZ)
    assert _asked(memory)
    assert memory.brightness == pytest.approx((1.0, -3.0), abs=1.0)


def test_a_short_doubt_makes_nothing_forgotten(heard: NDArray[np.float32]) -> None:
    memory = BrightnessMemory(find_model("default"))
    _hear(memory, heard, FULL_HZ)
    memory.push(heard[:480], 4_000.0)
    assert _asked(memory, FULL_HZ)
    assert _asked(memory)
    assert memory.brightness == pytest.approx(tuple(DULL), abs=0.7)


@pytest.mark.parametrize(
    ("said", "model"),
    [
        (voice(4.0), "default"),  # less than is sure
        (narrow(voice(10.0), 8_000.0), "default"),  # never full-band, whatever was thought
        (0.3 * np.sin(np.arange(10 * RATE_HZ) / 7.0).astype(np.float32), "default"),
        (voice(10.0), "none"),
        (voice(10.0), "study-unet"),
    ],
    ids=["short", "narrow", "tone", "no model", "no tilt"],
)
def test_what_tells_nothing_changes_nothing(said: NDArray[np.float32], model: str) -> None:
    memory = BrightnessMemory(find_model(model))
    _hear(memory, said, FULL_HZ)
    assert not _asked(memory)
    assert memory.brightness == Brightness()


def test_brightness_is_come_to_in_steps_and_stays_within_what_can_be_set() -> None:
    near = Brightness(0.0, 1.0).towards(DULL, 0.5)
    assert near == (-0.5, 1.5)
    assert Brightness(-3.9, 2.8).towards(DULL, 0.5) == pytest.approx(tuple(DULL))
    assert Brightness(-20.0, 10.0).added_to(Brightness(-20.0, 10.0)) == (HIGH_LEVEL_RANGE_DB[0], HIGH_TILT_RANGE_DB[1])


@pytest.mark.slow
def test_a_running_host_keeps_a_voice_as_bright_as_it_was(heard: NDArray[np.float32]) -> None:
    source = np.concatenate([heard, narrow(np.tile(heard, 2), NARROW_HZ)])[None]
    settings = LiveSettings(feedback_guard=False, adaptive_guard=False, guard_ms=30.0)
    said, told = [], []
    with Session(settings, SimulatedDevice(source, RATE_HZ)) as session:
        session.start()
        while session.running:
            said += session.poll()
            told.append(session.engine.wishes.brightness)
            time.sleep(0.05)
        session.set_high_level_db(1.0)
        time.sleep(1.1)
        session.poll()
        assert session.engine.wishes.brightness == (1.0, 0.0), "what is set is meant as it is"
    assert sum("as bright as it was" in line for line in said) >= 1
    assert told[-1] == pytest.approx(tuple(DULL), abs=1.5)
    assert np.abs(np.diff(np.array(told), axis=0)).max() <= 6.0, "it glides"
