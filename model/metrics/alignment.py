"""How much later one signal is than another, to a fraction of a sample, and the removal of that delay."""

from __future__ import annotations

import numpy as np
from scipy import fft, optimize

from .spectral import SAMPLE_RATE_HZ, Samples

#: Delays looked for: more than any codec, device or batch system adds.
LONGEST_DELAY_S = 1.0


def delay_samples(given: Samples, wanted: Samples) -> float:
    """Samples by which *given* lags *wanted* (negative: leads), where their cross-correlation is largest.

    The peak between samples is found in the correlation's Fourier series, so that a pure delay is found to
    about a hundredth of a sample. Up to one second; signals without power have delay 0.
    """
    longest = min(int(LONGEST_DELAY_S * SAMPLE_RATE_HZ), max(len(given), len(wanted)))
    size = fft.next_fast_len(max(len(given), len(wanted)) + longest, real=True)
    cross = fft.rfft(given.astype(np.float64), size) * np.conj(fft.rfft(wanted.astype(np.float64), size))
    correlation = fft.irfft(cross, size)
    lags = np.arange(-longest, longest + 1)
    whole = int(lags[np.argmax(correlation[lags])])
    if correlation[whole] <= 0.0:
        return 0.0
    # Bins without power say nothing of the delay and cost most of the time.
    power = np.abs(cross)
    told = np.flatnonzero(power > 1e-6 * power.max())
    turn = 2.0 * np.pi * told / size
    there = cross[told] * np.exp(1j * turn * whole)

    def missing(fraction: float) -> float:
        return -float(np.sum((there * np.exp(1j * turn * fraction)).real))

    found = optimize.minimize_scalar(missing, bounds=(-1.0, 1.0), method="bounded", options={"xatol": 1e-4})
    return whole + float(found.x)


def align(given: Samples, wanted: Samples) -> tuple[Samples, Samples, float]:
    """*given* without its delay and *wanted*, both cut to what they share, and the delay in samples.

    A fraction of a sample is removed by the phases of a transform, so that nothing is lost but at the very ends.
    """
    delay = delay_samples(given, wanted)
    whole = round(delay)
    fraction = delay - whole
    first = max(0, -whole)
    moved = given[max(0, whole) :]
    length = min(len(moved), len(wanted) - first)
    moved, reference = moved[: max(length, 0)], wanted[first : first + max(length, 0)]
    if abs(fraction) > 1e-3 and length > 0:
        size = fft.next_fast_len(length + 4_096, real=True)
        spectrum = fft.rfft(moved.astype(np.float64), size)
        turn = 2.0 * np.pi * np.arange(len(spectrum)) / size
        moved = fft.irfft(spectrum * np.exp(1j * turn * fraction), size)[:length].astype(np.float32)
    return moved, reference, delay
