"""Another cutoff while a voice is heard: the high band is away for a tenth of a second, and never too loud."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.native.continuation import FADE_SAMPLES
from realtime.paths import find_model
from tests.realtime.microphones import narrow, voice
from tests.realtime.playing import play

RATE_HZ = 48_000
STREAM = StreamFormat(RATE_HZ, RATE_HZ, 128)
#: In a loud vowel, on a block's edge. An abrupt change is a burst of 13 dB there.
CHANGE = 1024 * 44
SEGMENT = 240


@cache
def _voice(band_hz: float) -> NDArray[np.float32]:
    samples = narrow(voice(2.0), band_hz)
    return samples[: len(samples) // 1024 * 1024]


def _heard(
    band_hz: float, first_hz: float, then_hz: float | None = None, block: int = 128, guard_ms: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """What is heard, the low band of the same times, and how often the high band was missing."""
    x = _voice(band_hz)
    stream = StreamFormat(RATE_HZ, RATE_HZ, block)
    settings = EngineSettings(find_model("default"), cutoff_hz=first_hz, guard_ms=guard_ms)
    with Engine(stream, settings) as engine:
        change = CHANGE // block * block
        before = play(engine, x[:change])
        engine.set_cutoff_hz(then_hz or first_hz)
        heard = np.concatenate([before, play(engine, x[change:])])
        low = np.concatenate([np.zeros(engine.delay_samples, np.float32), x])[: len(heard)]
        return heard, low, engine.statistics().dropouts


def _levels(high: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean square of each 5 ms."""
    return np.mean(high[: len(high) // SEGMENT * SEGMENT].reshape(-1, SEGMENT).astype(float) ** 2, axis=1)


@pytest.mark.parametrize(("block", "guard_ms"), [(128, 0.0), (1024, 0.0), (128, 10.0)])
@pytest.mark.parametrize(("first_hz", "then_hz", "band_hz"), [(4e3, 8e3, 8e3), (8e3, 4e3, 4e3)])
def test_a_change_is_never_louder_than_the_high_band_before_or_after(
    first_hz: float, then_hz: float, band_hz: float, block: int, guard_ms: float
) -> None:
    old, new = (np.subtract(*_heard(band_hz, hz, block=block, guard_ms=guard_ms)[:2]) for hz in (first_hz, then_hz))
    heard, low, dropouts = _heard(band_hz, first_hz, then_hz, block, guard_ms)
    high = heard - low
    # Nothing changes before, and some time later it is what it would have been all along.
    np.testing.assert_array_equal(high[: CHANGE - 1024], old[: CHANGE - 1024])
    most = np.maximum(np.maximum(_levels(old), _levels(new)), 1e-9)
    assert (_levels(high) <= 2.0 * most).all()
    late = slice(CHANGE + RATE_HZ // 4, None)
    assert np.sum((high - new)[late] ** 2) < 0.2 * np.sum(new[late] ** 2)
    assert dropouts == 0, "nothing was missing"


def test_meanwhile_the_voice_goes_on_bit_by_bit() -> None:
    heard, low, _ = _heard(8e3, 4e3, 8e3)
    away = slice(CHANGE + 3 * FADE_SAMPLES, CHANGE + RATE_HZ // 20)
    np.testing.assert_array_equal(heard[away], low[away])
    assert np.abs(low[away]).max() > 0.1


def test_a_change_by_a_few_percent_needs_no_fade() -> None:
    old, new = (np.subtract(*_heard(8e3, hz)[:2]) for hz in (8_000.0, 7_700.0))
    heard, low, _ = _heard(8e3, 8_000.0, 7_700.0)
    around = slice(CHANGE, CHANGE + RATE_HZ // 10)
    other = (heard - low - new)[around]
    assert np.mean(other**2) < 0.03 * np.mean(new[around] ** 2)
    assert (_levels(heard - low) <= 1.4 * np.maximum(np.maximum(_levels(old), _levels(new)), 1e-9)).all()
