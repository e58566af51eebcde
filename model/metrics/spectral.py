"""Log-spectral distances and levels, with the constants of the usual VCTK protocol (AP-BWE, AERO).

All signals are float in +-1.0 at 48 kHz, time-aligned and equally long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

SAMPLE_RATE_HZ = 48_000
WINDOW_SAMPLES = 2_048
STEP_SAMPLES = 512

#: Floor of the power of a bin, for signals in +-1.0 and an unscaled transform.
POWER_FLOOR = 1e-8

#: A frame this far below the mean of the clip is a pause.
PAUSE_DB = -30.0

Samples = NDArray[np.float32]
Spectrum = NDArray[np.float64]


def power_spectrum(samples: Samples) -> Spectrum:
    """Powers [frames, 1025] under a periodic Hann window, frames centred, ends mirrored."""
    padded = np.pad(samples.astype(np.float64), WINDOW_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::STEP_SAMPLES]
    window = signal.get_window("hann", WINDOW_SAMPLES)
    return np.asarray(np.abs(fft.rfft(frames * window, axis=-1)) ** 2)


def edge_bin(cutoff_hz: float) -> int:
    """First bin that counts as high band."""
    return int(cutoff_hz / (SAMPLE_RATE_HZ / 2) * (WINDOW_SAMPLES // 2 + 1))


def log_spectral_distance(given: Spectrum, wanted: Spectrum, first: int = 0, end: int | None = None) -> float:
    """Mean over frames of the root mean square of log10 power differences in bins *first*..*end*."""
    difference = np.log10(np.maximum(given, POWER_FLOOR)) - np.log10(np.maximum(wanted, POWER_FLOOR))
    return float(np.mean(np.sqrt(np.mean(difference[:, first:end] ** 2, axis=1))))


def high_level_errors_db(given: Spectrum, wanted: Spectrum, cutoff_hz: float) -> tuple[float, float]:
    """Mean error of the high band's level in dB: in active frames and in pauses (NaN without pauses)."""
    loudness = wanted.sum(axis=1)
    pause = loudness < loudness.mean() * 10.0 ** (PAUSE_DB / 10.0)
    levels = [spectrum[:, edge_bin(cutoff_hz) :].sum(axis=1) + POWER_FLOOR for spectrum in (given, wanted)]
    error = 10.0 * np.log10(levels[0] / levels[1])
    return float(error[~pause].mean()), float(error[pause].mean()) if pause.any() else float("nan")


def low_band_snr_db(given: Samples, wanted: Samples, cutoff_hz: float) -> float:
    """Signal to error ratio below 0.9 of the cutoff, in dB."""
    taps = signal.firwin(511, 0.9 * cutoff_hz, window=("kaiser", 9.0), fs=SAMPLE_RATE_HZ)
    low_wanted = signal.fftconvolve(wanted.astype(np.float64), taps, mode="same")
    error = signal.fftconvolve(given.astype(np.float64) - wanted, taps, mode="same")
    return float(10.0 * np.log10((np.sum(low_wanted**2) + 1e-20) / (np.sum(error**2) + 1e-20)))


def level_dbfs(samples: Samples) -> float:
    """Root mean square in dB below full scale; silence is -300."""
    return float(10.0 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))
