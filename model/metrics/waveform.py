"""Measures of the waveform itself: they need signals aligned to the sample, and reward doing no harm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .spectral import SAMPLE_RATE_HZ, Samples

#: Powers below this are no signal: ratios stay finite (at most 200 dB).
TINY = 1e-20


def _ratio_db(signal_power: float, error_power: float) -> float:
    return float(10.0 * np.log10((signal_power + TINY) / (error_power + TINY)))


def snr_db(given: Samples, wanted: Samples) -> float:
    """Power of *wanted* over that of the difference, in dB."""
    first, second = given.astype(np.float64), wanted.astype(np.float64)
    return _ratio_db(float(np.sum(second**2)), float(np.sum((first - second) ** 2)))


def si_sdr_db(given: Samples, wanted: Samples) -> float:
    """The same with *wanted* scaled to fit best (Le Roux et al. 2019), in dB."""
    first, second = given.astype(np.float64), wanted.astype(np.float64)
    scale = float(np.dot(first, second)) / (float(np.dot(second, second)) + TINY)
    target = scale * second
    return _ratio_db(float(np.sum(target**2)), float(np.sum((first - target) ** 2)))


def _low_pass(samples: NDArray[np.float64], edge_hz: float) -> NDArray[np.float64]:
    """All above *edge_hz* removed, with a raised-cosine edge of 5 % below it."""
    spectrum = fft.rfft(samples, fft.next_fast_len(len(samples) + 4_096, real=True))
    frequency_hz = np.arange(len(spectrum)) * (SAMPLE_RATE_HZ / (2 * (len(spectrum) - 1)))
    fall = np.clip((edge_hz - frequency_hz) / (0.05 * edge_hz), 0.0, 1.0)
    return np.asarray(fft.irfft(spectrum * np.sin(0.5 * np.pi * fall) ** 2)[: len(samples)])


def low_band_snr_db(given: Samples, wanted: Samples, cutoff_hz: float) -> float:
    """Signal to error ratio below 0.9 of the cutoff, in dB."""
    edge_hz = 0.9 * cutoff_hz
    low = _low_pass(wanted.astype(np.float64), edge_hz)
    error = _low_pass(given.astype(np.float64) - wanted, edge_hz)
    return _ratio_db(float(np.sum(low**2)), float(np.sum(error**2)))


def level_dbfs(samples: Samples) -> float:
    """Root mean square in dB below full scale; silence is -300."""
    return float(10.0 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))
