"""Clicks: what is heard that no legal fade of the host could have made.

A click is energy all over the spectrum in next to no time. So the difference between a run with a fault and one
without is high-passed, where a voice from a telephone has nothing, and its largest sample-to-sample jump is looked for.

The threshold is not a number that suits: it is what the host may do at that very place of that very signal. Legal is
a smoothstep fade in or out over 4 ms. Both are done to the signals of the fault-free run every half of a millisecond,
and high-passed like the rest; the largest jump they give nearby, of the voice and of the network's signal together,
with half as much again, is the threshold. In numbers: smoothstep over T samples of a signal at level A has a second
derivative that jumps by 6 A / T² at its ends, which a high-pass at w rad per sample leaves at 6 A / (T w)² or so:
-73 dB of A for T = 192 and 6 kHz. A signal cut off short leaves a jump of the order of A itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.native.continuation import FADE_SAMPLES

Signal = NDArray[np.float64]

RATE_HZ = 48_000

#: A voice sampled at 8 kHz ends at 4.8 kHz, the resampler's transition included: the stop band begins there.
EDGE_HZ = 6_000.0
_TAPS = 255
_KAISER_BETA = 10.0  # -100 dB, with these taps 1.2 kHz below the edge

#: Two legal fades that meet, and places between those that were tried.
_MARGIN = 1.5

#: Below this no jump is heard, and float32 and the resampler's own -84 dB begin.
_FLOOR = 1e-4

#: How far apart legal fades are tried, and how far from a jump one may have begun.
_GRID = 24
_REACH = FADE_SAMPLES + _TAPS

#: Jumps closer than this are one click.
_SAME_CLICK = RATE_HZ // 100


@dataclass(frozen=True)
class Clicks:
    """What was found. *largest_jump* is the one that comes nearest to its *threshold*, or exceeds it most."""

    count: int
    largest_jump: float
    threshold: float
    at_s: float
    places_s: tuple[float, ...]

    @property
    def excess(self) -> float:
        """The largest jump as a multiple of its threshold; above 1 it is a click."""
        return self.largest_jump / self.threshold

    def later(self, seconds: float) -> Clicks:
        """The same where what was judged began *seconds* after the beginning."""
        return replace(self, at_s=self.at_s + seconds, places_s=tuple(place + seconds for place in self.places_s))


@lru_cache(maxsize=1)
def _kernel() -> Signal:
    n = np.arange(_TAPS) - _TAPS // 2
    low_pass = 2.0 * EDGE_HZ / RATE_HZ * np.sinc(2.0 * EDGE_HZ / RATE_HZ * n) * np.kaiser(_TAPS, _KAISER_BETA)
    kernel = -low_pass
    kernel[_TAPS // 2] += 1.0
    return kernel


def jumps(x: NDArray[np.floating[Any]]) -> Signal:
    """Sample-to-sample jumps of *x* [n], high-passed: entry k is the jump to sample k, and infinite for NaN.

    Zero at both ends, where the filter would hear that the recording begins and ends.
    """
    x = np.asarray(x, np.float64)
    spoilt = ~np.isfinite(x)
    size = 1 << (len(x) + 2 * _TAPS - 1).bit_length()
    padded = np.pad(np.where(spoilt, 0.0, x), _TAPS // 2)
    spectrum = np.fft.rfft(padded, size) * np.fft.rfft(_kernel(), size)
    filtered = np.fft.irfft(spectrum, size)[_TAPS - 1 : _TAPS - 1 + len(x)]
    found = np.abs(np.diff(filtered, prepend=filtered[:1]))
    found[:_TAPS] = found[-_TAPS:] = 0.0
    found[spoilt] = np.inf
    return found


def _smooth(x: Signal) -> Signal:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _legal_differences(x: Signal, places: NDArray[np.int64]) -> list[Signal]:
    """For each place what a fade in, and a fade out, there would change in *x*; as rows around the place."""
    around = np.arange(-_TAPS, FADE_SAMPLES + _TAPS)
    here = x[places[:, None] + around]
    fade = _smooth(around / FADE_SAMPLES)
    return [here * (fade - 1.0), here * -fade]


def legal_jumps(x: NDArray[np.floating[Any]]) -> Signal:
    """The largest jump [n] that a legal fade of *x* [n] can give at, or near, each of its samples."""
    padding = _REACH + _TAPS
    padded: Signal = np.pad(np.asarray(x, np.float64), padding)
    places = np.arange(padding, len(padded) - padding, _GRID)
    size = 1 << (FADE_SAMPLES + 3 * _TAPS).bit_length()
    transform = np.fft.rfft(_kernel(), size)
    largest = np.zeros(len(places))
    for start in range(0, len(places), 2000):
        piece = places[start : start + 2000]
        for difference in _legal_differences(padded, piece):
            filtered = np.fft.irfft(np.fft.rfft(difference, size) * transform, size)
            filtered = filtered[:, _TAPS - 1 : difference.shape[1]]
            largest[start : start + 2000] = np.maximum(
                largest[start : start + 2000], np.abs(np.diff(filtered)).max(axis=1)
            )
    reach = _REACH // _GRID
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(largest, reach), 2 * reach + 1)
    return np.repeat(windows.max(axis=1), _GRID)[: len(x)]


def thresholds(signals: Sequence[NDArray[np.floating[Any]]]) -> Signal:
    """The threshold [n] for a jump at each sample, when any of *signals* [n] (voice, network) may fade there."""
    return _FLOOR + _MARGIN * np.sum([legal_jumps(signal) for signal in signals], axis=0)


def find_clicks(difference: NDArray[np.floating[Any]], limit: NDArray[np.floating[Any]]) -> Clicks:
    """Clicks in *difference* [n]: a run with a fault less one without, aligned. *limit* [n]: see :func:`thresholds`.

    Where the input has nothing above :data:`EDGE_HZ`, what was heard serves as its own difference.
    """
    found = jumps(difference)
    limit = np.broadcast_to(limit, found.shape)
    worst = int(np.argmax(found / limit))
    over = np.flatnonzero(found > limit)
    first = over[np.diff(over, prepend=-RATE_HZ) > _SAME_CLICK]
    return Clicks(
        count=len(first),
        largest_jump=float(found[worst]),
        threshold=float(limit[worst]),
        at_s=worst / RATE_HZ,
        places_s=tuple(float(place) / RATE_HZ for place in first),
    )
