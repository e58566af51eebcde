"""What was heard laid against what was said: the delay over time, and what was lost or said twice.

Counters of the host are not believed here. The delay is found by normalised cross-correlation of pieces of 85 ms, in
the band that every voice has; on one clock a copy correlates to one part in a thousand, at one delay only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000

_PIECE = 4096
_STEP = 1024

#: How far from the expected delay it is looked for: beyond any guard and any gap that is tried.
_SEARCH = RATE_HZ // 4

#: Below this a piece lies across a change, or is no copy at all.
_ALIKE = 0.95

#: A piece at the edge of a pause, less alike than this, may seem samples off.
_SURELY_ALIKE = 0.99

#: The voice's own band, far enough below any network's.
_BAND_HZ = 2_500.0

#: Pieces over which the voice is told to be there or not.
_BIT = RATE_HZ // 200

#: Energy of what is not the voice, against the voice, at which it is not heard: a gain that changes is no loss.
_UNLIKE = 0.25

#: What is fainter than this against the loudest cannot be judged.
_FAINT_DB = -50.0

#: Steering moves the delay by less from one piece to the next that does not overlap with it; a jump is more.
_SLIP = 0.75

#: Until the loop is closed the drift itself moves the delay, and then the loop does so, by less than this.
_FIRST_SECONDS = 1.5
_FIRST_SLIP = 2.5


@dataclass(frozen=True)
class Alignment:
    """*delays* [k] in samples around *places* [k] of what was heard, where it was a copy of what was said.

    *lost* and *repeated* are samples by which the delay jumped down and up; *unheard* are samples of the voice that
    should have been heard at the delay around them and were not.
    """

    places: NDArray[np.int64]
    delays: NDArray[np.float64]
    lost: int
    repeated: int
    unheard: int

    def delay_ms(self, first_s: float, last_s: float) -> float:
        """The median delay between two times; NaN where nothing could be aligned."""
        inside = (self.places >= first_s * RATE_HZ) & (self.places < last_s * RATE_HZ)
        return float(np.median(self.delays[inside])) * 1000.0 / RATE_HZ if inside.any() else float("nan")

    def at(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """The whole delay at each of *samples*, that of the nearest piece."""
        nearest = np.searchsorted(0.5 * (self.places[1:] + self.places[:-1]), samples)
        return np.round(self.delays).astype(np.int64)[nearest]

    def changes(self) -> NDArray[np.int64]:
        """Samples, in pairs, between which the delay jumped."""
        jumped = np.flatnonzero(np.abs(np.diff(self.delays)) > _SLIP)
        return np.stack([self.places[jumped], self.places[jumped + 1]], axis=1)


def on_clock(said: NDArray[np.floating[Any]], ppm: float) -> NDArray[np.float64]:
    """*said* [n] as one hears it whose clock is slower by *ppm*. Linear: good to -60 dB in the band looked at here."""
    return np.interp(np.arange(len(said)) * (1.0 + 1e-6 * ppm), np.arange(len(said)), said)


def _band(x: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    n = np.arange(-64, 65)
    kernel = 2.0 * _BAND_HZ / RATE_HZ * np.sinc(2.0 * _BAND_HZ / RATE_HZ * n) * np.hanning(131)[1:-1]
    clean = np.nan_to_num(np.asarray(x, np.float64), posinf=0.0, neginf=0.0)
    return np.convolve(clean, kernel / kernel.sum(), "same")


def _delay(piece: NDArray[np.float64], said: NDArray[np.float64], size: int) -> tuple[float, float]:
    """Offset of *piece* in *said*, to a fraction of a sample, and how alike they are (1: a copy)."""
    count = len(said) - len(piece) + 1
    product = np.fft.irfft(np.fft.rfft(said, size) * np.conj(np.fft.rfft(piece, size)), size)[:count]
    energy = np.cumsum(np.pad(said * said, (1, 0)))
    energy = energy[len(piece) :] - energy[: -len(piece)]
    own = float(piece @ piece)
    score = product / np.sqrt(np.maximum(energy, 1e-3 * energy.max() + 1e-20) * max(own, 1e-20))
    best = int(np.argmax(score))
    if not 0 < best < count - 1:
        return float(best), 0.0
    before, here, after = score[best - 1 : best + 2]
    bend = before - 2.0 * here + after
    return best + (0.5 * (before - after) / bend if bend < 0.0 else 0.0), float(here)


def _unheard(heard: NDArray[np.float64], said: NDArray[np.float64], delay: NDArray[np.int64], strict: bool) -> int:
    """Samples in bits of 5 ms where *heard* is not *said*, *delay* [n] samples before, at any gain.

    Unless *strict* one bit between two that are heard does not count.
    """
    count = len(heard) // _BIT * _BIT
    index = np.arange(count) - delay[:count]
    known = (index >= 0) & (index < len(said))
    want = np.where(known, said[np.clip(index, 0, len(said) - 1)], 0.0).reshape(-1, _BIT)
    got = heard[:count].reshape(-1, _BIT)
    energy = (want * want).sum(axis=1)
    gain = (got * want).sum(axis=1) / np.maximum(energy, 1e-20)
    rest = ((got - gain[:, None] * want) ** 2).sum(axis=1)
    audible = energy > 10.0 ** (_FAINT_DB / 10.0) * energy.max()
    missing = audible & ((gain < 0.5) | (rest > _UNLIKE * energy))
    if not strict:
        beside = np.pad(missing, 1)
        missing &= beside[:-2] | beside[2:]
    return int(missing.sum()) * _BIT


def _slips(places: NDArray[np.int64], delays: NDArray[np.float64]) -> tuple[int, int]:
    """Samples by which steered *delays* jumped down and up: more than steering can move them between two pieces."""
    after = np.searchsorted(places, places + _PIECE + _STEP)
    earlier = np.flatnonzero(after < len(places))
    after = after[earlier]
    most = np.where(places[earlier] < _FIRST_SECONDS * RATE_HZ, _FIRST_SLIP, _SLIP)
    jumped = np.abs(delays[after] - delays[earlier]) > most
    lost = repeated = 0
    # Pieces across a jump show a part of it: all that lie next to each other are one.
    for run in np.split(np.arange(len(earlier)), np.flatnonzero(np.diff(jumped)) + 1):
        if len(run) and jumped[run[0]]:
            moved = round(float(delays[after[run[-1]]] - delays[earlier[run[0]]]))
            lost, repeated = lost + max(-moved, 0), repeated + max(moved, 0)
    return lost, repeated


def align(
    heard: NDArray[np.floating[Any]],
    said: NDArray[np.floating[Any]],
    expected: int,
    steered: bool = False,
    step: int = _STEP,
    strict: bool = False,
) -> Alignment:
    """Lay *heard* [n] against *said* [m], both at 48 kHz, which should be *expected* samples earlier.

    *steered*: there are two clocks, so that the delay need not be a whole number; lay *said* on the clock of the
    speaker first (:func:`on_clock`). A piece is taken at every *step* samples. All that was said is expected to be
    heard, from the first sample on; *strict*: also where a single bit of 5 ms is unlike what was said, as one is in
    which the network's signal in the voice's own band ends.
    """
    heard_band, said_band = _band(heard), _band(said)
    loud = 10.0 ** (_FAINT_DB / 20.0) * np.sqrt(np.mean(said_band**2))
    size = 1 << (_PIECE + 2 * _SEARCH - 1).bit_length()
    padded = np.pad(said_band, (expected + _SEARCH, _SEARCH + _PIECE))
    places, offsets, scores = [], [], []
    for start in range(0, len(heard) - _PIECE + 1, step):
        piece = heard_band[start : start + _PIECE]
        if np.sqrt(np.mean(piece**2)) < loud or start - expected + _PIECE > len(said):
            continue
        window = padded[start : start + _PIECE + 2 * _SEARCH]
        offset, score = _delay(piece, window, size)
        if score > _ALIKE:
            places.append(start + _PIECE // 2)
            offsets.append(expected + _SEARCH - offset)
            scores.append(score)
    if not places:
        return Alignment(np.zeros(0, np.int64), np.zeros(0), 0, 0, len(heard))
    delays = np.array(offsets)
    sure = np.array(scores) > _SURELY_ALIKE
    if steered:
        lost, repeated = _slips(np.array(places)[sure], delays[sure])
    else:
        # On one clock it is a whole number; a piece that lies across a change has something between.
        steps = np.diff(np.round(delays[sure]))
        lost, repeated = round(-float(steps[steps < 0].sum())), round(float(steps[steps > 0].sum()))
    alignment = Alignment(np.array(places), delays, lost, repeated, unheard=0)
    # Around a jump the delay is one or the other; what belongs to neither was not heard.
    unheard = _unheard(heard_band, said_band, alignment.at(np.arange(len(heard_band))), strict)
    return replace(alignment, unheard=unheard)
