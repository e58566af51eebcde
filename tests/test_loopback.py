"""The ruler is measured first: a planted delay is found, and what was not heard gets no confidence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.loopback import delays_samples

SENT: NDArray[np.float64] = 0.1 * np.random.default_rng(1).standard_normal(48_000)
WINDOW, HOP, MOST = 4_800, 2_400, 4_800


def _delayed(samples: float) -> NDArray[np.float64]:
    """SENT, *samples* later, whole or not: a delay is a slope of the phase."""
    padded = np.concatenate([SENT, np.zeros(16_000)])
    frequency = np.fft.rfftfreq(len(padded))
    return np.fft.irfft(np.fft.rfft(padded) * np.exp(-2j * np.pi * frequency * samples), len(padded))


@pytest.mark.parametrize("planted", [0.0, 1.0, 768.0, 1_280.25, 4_000.5, 4_800.0])
def test_a_planted_delay_is_found(planted: float) -> None:
    found = delays_samples(SENT, _delayed(planted), WINDOW, HOP, MOST)
    assert len(found) == 19
    for delay, confidence in found:
        assert delay == pytest.approx(planted, abs=0.3)
        assert confidence > 0.6


def test_volume_and_polite_noise_change_nothing() -> None:
    heard = 0.01 * _delayed(500.0)
    heard += 0.0003 * np.random.default_rng(2).standard_normal(len(heard))
    for delay, confidence in delays_samples(SENT, heard, WINDOW, HOP, MOST):
        assert delay == pytest.approx(500.0, abs=0.1)
        assert confidence > 0.9


def test_a_dropped_block_moves_what_follows_it() -> None:
    heard = _delayed(1_000.0)
    heard = np.delete(heard, slice(25_000, 25_128))
    found = delays_samples(SENT, heard, WINDOW, WINDOW, MOST)
    assert found[0][0] == pytest.approx(1_000.0, abs=0.1)
    assert found[-1][0] == pytest.approx(872.0, abs=0.1)


def test_silence_and_strangers_get_no_confidence() -> None:
    stranger = 0.1 * np.random.default_rng(3).standard_normal(len(SENT) + MOST)
    for heard in (np.zeros_like(stranger), stranger):
        found = delays_samples(SENT, heard, WINDOW, HOP, MOST)
        assert found
        assert all(confidence < 0.2 for _, confidence in found)


def test_what_is_too_short_to_tell_gives_nothing() -> None:
    assert delays_samples(SENT[:100], SENT, WINDOW, HOP, MOST) == []
    assert delays_samples(SENT, SENT[: WINDOW - 1], WINDOW, HOP, MOST) == []
