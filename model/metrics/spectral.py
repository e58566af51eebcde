"""Log-spectral distances and levels of bands, with the constants of the usual VCTK protocol (AP-BWE, AERO).

All signals are float in ±1.0 at 48 kHz, time-aligned and equally long.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

SAMPLE_RATE_HZ = 48_000
WINDOW_SAMPLES = 2_048
STEP_SAMPLES = 512

#: Floor of the power of a bin, for signals in ±1.0 and an unscaled transform.
POWER_FLOOR = 1e-8

#: Power that rounding to 16 bit leaves in a bin: no level below it is heard or told apart.
ROUNDING_POWER = 0.375 * WINDOW_SAMPLES / (12.0 * 32_768.0**2)

#: A frame this far below the mean of the clip is a pause.
PAUSE_DB = -30.0

Samples = NDArray[np.float32]
Spectrum = NDArray[np.float64]


def power_spectrum(samples: Samples) -> Spectrum:
    """Powers [frames, 1025] under a periodic Hann window, frames centred, ends mirrored."""
    padded = np.pad(samples.astype(np.float64), WINDOW_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::STEP_SAMPLES]
    window = signal.get_window("hann", WINDOW_SAMPLES)
    transform = fft.rfft(frames * window, axis=-1)
    return np.asarray(transform.real**2 + transform.imag**2)


def edge_bin(frequency_hz: float) -> int:
    """First bin above *frequency_hz*, as the protocol counts: the high band begins with it."""
    return int(frequency_hz / (SAMPLE_RATE_HZ / 2) * (WINDOW_SAMPLES // 2 + 1))


def log_power(spectrum: Spectrum) -> Spectrum:
    """Base-10 logarithm of powers, floored."""
    return np.log10(np.maximum(spectrum, POWER_FLOOR))


def log_spectral_distance(given: Spectrum, wanted: Spectrum, first: int = 0, end: int | None = None) -> float:
    """Mean over frames of the root mean square of log10 power differences in bins *first*..*end*.

    *given* and *wanted* are powers [frames, bins]. An empty range of bins gives NaN.
    """
    return distance_of_squares((log_power(given) - log_power(wanted)) ** 2, first, end)


def distance_of_squares(squares: Spectrum, first: int = 0, end: int | None = None) -> float:
    """The same from squared differences of log powers, which several ranges of bins share."""
    chosen = squares[:, first:end]
    if chosen.shape[1] == 0:
        return math.nan
    return float(np.mean(np.sqrt(np.mean(chosen, axis=1))))


def is_pause(wanted: Spectrum) -> NDArray[np.bool_]:
    """Frames [frames] of the original that are 30 dB or more below its mean power."""
    loudness = wanted.sum(axis=1)
    return np.asarray(loudness <= loudness.mean() * 10.0 ** (PAUSE_DB / 10.0))


def band_errors_db(given: Spectrum, wanted: Spectrum, first: int, end: int | None = None) -> NDArray[np.float64]:
    """Level of *given* over that of *wanted* in bins *first*..*end*, in dB, of each frame.

    Levels below the rounding noise of 16 bit count as that noise.
    """
    levels = [spectrum[:, first:end].sum(axis=1) for spectrum in (given, wanted)]
    floor = ROUNDING_POWER * wanted[:, first:end].shape[1]
    return np.asarray(10.0 * np.log10((levels[0] + floor) / (levels[1] + floor)))


def high_level_errors_db(given: Spectrum, wanted: Spectrum, cutoff_hz: float) -> tuple[float, float]:
    """Mean error of the high band's level in dB: in active frames and in pauses (NaN without pauses)."""
    error = band_errors_db(given, wanted, edge_bin(cutoff_hz))
    pause = is_pause(wanted)
    return float(error[~pause].mean()), float(error[pause].mean()) if pause.any() else math.nan


def crossover_error_db(given: Spectrum, wanted: Spectrum, cutoff_hz: float) -> float:
    """Error in dB of the level in the third of an octave around the cutoff: median over active frames.

    A hole between the bands reads negative, a line where they overlap positive.
    """
    sixth = 2.0 ** (1.0 / 6.0)
    error = band_errors_db(given, wanted, edge_bin(cutoff_hz / sixth), edge_bin(cutoff_hz * sixth))
    return float(np.median(error[~is_pause(wanted)]))
