"""The detector of clicks finds what was planted, and lets legal fades pass."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.signals.clicks import RATE_HZ, find_clicks, thresholds
from bench.signals.material import at_48_khz, telephone_voice

FADE = 192
MIDDLE = slice(RATE_HZ // 2, RATE_HZ)


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float64]:
    return at_48_khz(telephone_voice(1.5))[0].astype(np.float64)


@pytest.fixture(scope="module")
def limit(voice: NDArray[np.float64]) -> NDArray[np.float64]:
    return thresholds([voice])


def _place(measure: NDArray[np.float64]) -> int:
    """Where *measure* is largest, well inside."""
    return MIDDLE.start + int(np.argmax(measure[MIDDLE]))


def _found_at(heard: NDArray[np.float64], limit: NDArray[np.float64], place: int) -> bool:
    clicks = find_clicks(heard, limit[: len(heard)])
    return any(abs(at * RATE_HZ - place) < RATE_HZ // 100 for at in clicks.places_s)


def test_a_voice_has_no_clicks(voice: NDArray[np.float64], limit: NDArray[np.float64]) -> None:
    assert find_clicks(voice, limit).count == 0


@pytest.mark.parametrize("place", range(24_000, 48_000, 1_531))
def test_a_smoothstep_fade_out_and_in_is_no_click(
    voice: NDArray[np.float64], limit: NDArray[np.float64], place: int
) -> None:
    x = np.linspace(0.0, 1.0, FADE)
    fade = x * x * (3.0 - 2.0 * x)
    heard = voice.copy()
    heard[place : place + FADE] *= 1.0 - fade
    heard[place + FADE : place + 2_000] = 0.0
    heard[place + 2_000 : place + 2_000 + FADE] *= fade
    assert find_clicks(heard, limit).excess < 1.0


def test_a_step_of_a_hundredth_is_found(voice: NDArray[np.float64], limit: NDArray[np.float64]) -> None:
    inside = limit[MIDDLE]
    place = MIDDLE.start + int(np.argsort(inside)[len(inside) // 2])
    heard = voice.copy()
    heard[place:] += 0.01
    assert _found_at(heard, limit, place)


def test_a_dropped_sample_is_found(voice: NDArray[np.float64], limit: NDArray[np.float64]) -> None:
    place = _place(np.abs(np.diff(voice, append=0.0)) / limit)
    assert _found_at(np.delete(voice, place), limit, place)


def test_a_repeated_block_is_found(voice: NDArray[np.float64], limit: NDArray[np.float64]) -> None:
    place = _place(np.abs(voice - np.roll(voice, 128)) / limit)
    heard = np.concatenate([voice[:place], voice[place - 128 : -128]])
    assert _found_at(heard, limit, place)


def test_a_fade_that_begins_with_an_edge_is_found(voice: NDArray[np.float64], limit: NDArray[np.float64]) -> None:
    place = _place(np.abs(voice) / limit)
    heard = voice.copy()
    heard[place : place + FADE] *= np.linspace(0.8, 0.0, FADE)
    heard[place + FADE :] = 0.0
    assert _found_at(heard, limit, place)


def test_nan_is_a_click(voice: NDArray[np.float64], limit: NDArray[np.float64]) -> None:
    heard = voice.copy()
    heard[30_000] = np.nan
    assert _found_at(heard, limit, 30_000)
