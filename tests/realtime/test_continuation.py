"""A signal that breaks off goes on as it was and fades: smooth in all that bends, and not much louder than it was."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from bench.signals.clicks import jumps
from bench.signals.material import at_48_khz, telephone_voice
from realtime.native import COMPILE_NOGIL
from realtime.native.continuation import FADE_SAMPLES, HISTORY_SAMPLES, WORK_DOUBLES, predict
from realtime.native.memory import aligned_zeros
from tests.realtime.playing import tone

FADE = 1.0 - np.arange(FADE_SAMPLES) / FADE_SAMPLES
FADE = FADE * FADE * (3.0 - 2.0 * FADE)


@njit(**{**COMPILE_NOGIL, "cache": False})
def _predict(history, position, tail, work):  # type: ignore[no-untyped-def]
    predict(history, 0, position, tail, work.ctypes.data)


def _tail(past: NDArray[np.float32], position: int = 0) -> NDArray[np.float32]:
    """How *past* [n] goes on, when it lies in the ring from *position* on."""
    history = np.roll(past[-HISTORY_SAMPLES:], position)[None].astype(np.float32)
    tail = np.full((1, FADE_SAMPLES), np.nan, np.float32)
    _predict(history, position, tail, aligned_zeros(WORK_DOUBLES, np.float64))
    return tail[0]


@pytest.mark.parametrize("hz", [100.0, 300.0, 3_000.0, 15_000.0])
def test_a_tone_goes_on_as_if_nothing_had_happened(hz: float) -> None:
    x = tone(0.1, hz=hz)
    np.testing.assert_allclose(_tail(x[:2_000], 77), x[2_000 : 2_000 + FADE_SAMPLES] * FADE, atol=0.01)


def test_the_end_of_a_telephone_voice_has_nothing_above_it() -> None:
    """A cut leaves a jump of a tenth of the voice in the high-passed signal; a fade by hand, with the voice to
    come, 1e-5."""
    voice = at_48_khz(telephone_voice(1.5))[0]
    worst = 0.0
    for place in range(12_000, 60_000, 331):
        ended = np.concatenate([voice[place - 2_000 : place], _tail(voice[:place]), np.zeros(1_000)])
        worst = max(worst, float(jumps(ended)[1_800:].max()))
    assert worst < 2e-4 * np.abs(voice).max()


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_predicted_ends_and_does_not_grow(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(HISTORY_SAMPLES).astype(np.float32)
    assert np.abs(_tail(x)).max() < np.abs(x).max()
    rumble = np.cumsum(np.cumsum(x)).astype(np.float32)
    assert np.abs(_tail(rumble)).max() < 2.0 * np.abs(rumble).max()


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-6, 0.5])
def test_silence_and_an_offset_are_no_special_case(level: float) -> None:
    tail = _tail(np.full(HISTORY_SAMPLES, level, np.float32))
    np.testing.assert_allclose(tail, level * FADE, atol=1e-2 * level + 1e-12)
