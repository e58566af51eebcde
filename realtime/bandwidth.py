"""Where a voice's band really ends, whatever the sample rate says: found in its long-term spectrum.

A device at 48 kHz may carry a Bluetooth or telephone voice. Such a band ends in a cliff down to nothing; natural
speech falls off gently. The loudest level of each band over the last seconds tells whether there is a cliff: even a
voice without sibilants has no gap so deep in it. Where its edge is, the mean over all sounds tells, each taken relative
to its own level just below the cliff, so that the hiss of an s, which is flat up there, says as much as a vowel.
Silence and steady noise are not looked at, so that they never change the mind. ``fullband bench bandwidth`` measures
it; the numbers below were chosen by recordings that it does not use.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000

#: Where a voice's band may be told to end.
CUTOFF_RANGE_HZ = (2_000.0, 24_000.0)

#: A voice that reaches so far is whole: models add nothing to it.
FULL_BAND_HZ = 20_000.0

_WINDOW_SAMPLES = 1024
_HOP_SAMPLES = 512
_BAND_HZ = 125.0
_BANDS = int(RATE_HZ / 2 / _BAND_HZ)
_NOTHING_DB = -140.0

#: A cliff is this much between the bands below and all of those above: at first, and after two seconds of speech. A
#: voice shows gaps of 25 dB before its first sibilant, 16 dB after; the weakest filter of a codec falls by 30.
_CLIFF_DB = (32.0, 25.0)
_CLIFF_FRAMES = 188

#: A cliff that was found is believed in while so much of it is left: what is above it has to be heard, not guessed.
_KEPT_DB = 15.0

#: Where a cliff is looked for: no voice ends below, and nothing is added above.
_FIRST_BAND = int(3_000 / _BAND_HZ)
_LAST_BAND = int(17_500 / _BAND_HZ)

#: What is further below the loudest band is nothing: resamplers leave images, and below those there are other cliffs.
_RANGE_DB = 85.0

#: Bands on the slope of a cliff, left out between what is above it and what is below.
_SLOPE_BANDS = 4

#: The edge is where the mean has fallen by _EDGE_DB below its own course, a straight line through this part of what
#: lies below the foot. Its slope is drawn to that of most voices, by as much as so many bands² weigh.
_COURSE = (0.6, 0.9)
_EDGE_DB = 7.5
_SLOPE_DB_PER_BAND, _SLOPE_WEIGHT = -0.4, 800.0

#: The last five seconds of speech count, and in them sounds that are there so much below the loudest.
_MEAN_FRAMES = 470
_FAINT_DB = 45.0

#: A cliff that has moved by more is another one, and what was heard before says nothing of it.
_MOVED = 0.15

#: Networks begin to add at 93 % of the cutoff and add all from 100 % on: the middle belongs on the edge.
EDGE_OF_CUTOFF = 0.965

#: The band that carries most of a voice; its level tells speech from silence.
_ACTIVE_HZ = (250.0, 3_000.0)
_ACTIVE_DBFS = -62.0

#: Speech rises and falls: a frame counts when it stands this far above a quieter one in the third of a second
#: before it, and above one in the third of a second after it. Noise that begins, lasts and ends does not.
_RISE_DB = 9.0
_NEIGHBOUR_FRAMES = 32

#: So do birds, crickets and rain, but the middle of a voice's band is weaker than what is below it, in nine of ten
#: frames, and theirs is stronger. A frame of speech has a vowel, some of those in a row, a third of a second before it
#: or half as much after.
_VOWEL_HZ = (125.0, 1_000.0, 3_000.0)
_VOWEL_FRAMES, _AFTER_VOWEL_FRAMES, _BEFORE_VOWEL_FRAMES = 3, 32, 16

#: Peaks fall by this much for every frame of speech, so that a change of bandwidth is seen within seconds.
_FALL_DB = 0.12

#: Frames of speech before the first opinion (a quarter of a second), and between two looks.
_SETTLE_FRAMES = 24
_LOOK_FRAMES = 4

#: Looks for which another opinion must stand before it counts. To wider is urgent, as something wrong is being added
#: meanwhile; a small change is not, and may be no more than another sound; of a young opinion it is a correction.
_WIDER_LOOKS, _NARROWER_LOOKS, _NEAR_LOOKS = 3, 6, 12
_NEAR = 0.25
_SAME = 0.025

#: Names of bands that are common; an estimate near one of them is that one. A telephone's, which ends at 3.4 kHz, is
#: the first.
_KNOWN_HZ = np.array((3_500.0, 4_000.0, 6_000.0, 7_000.0, 8_000.0, 12_000.0, 16_000.0))
_SNAP = 0.025


class BandwidthDetector:
    """Feed it 48 kHz audio; :attr:`cutoff_hz` is where the voice's band ends (24000: full, or not yet known)."""

    def __init__(self) -> None:
        frequency = np.fft.rfftfreq(_WINDOW_SAMPLES, 1 / RATE_HZ)
        band_of_line = np.minimum((frequency / _BAND_HZ).astype(int), _BANDS - 1)
        self._first_lines = np.flatnonzero(np.diff(band_of_line, prepend=-1))
        self._lines = np.bincount(band_of_line, minlength=_BANDS)
        self._window = np.hanning(_WINDOW_SAMPLES)
        self._waiting = np.zeros(0, np.float32)
        self._peaks_db = np.full(_BANDS, _NOTHING_DB)
        #: Amplitudes of the last frames of speech, in any order; zeros: none.
        self._sounds = np.zeros((_MEAN_FRAMES, _BANDS))
        self._foot: int | None = None
        self._recent: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=2 * _NEIGHBOUR_FRAMES + 1)
        #: Frames like a vowel's in a row, frames since the last vowel, what may come before the next (None: a pause).
        self._vowel_run = 0
        self._since_vowel = _AFTER_VOWEL_FRAMES
        self._unsure: deque[NDArray[np.float64] | None] = deque(maxlen=_BEFORE_VOWEL_FRAMES)
        self._frames = 0
        self._candidate_hz = RATE_HZ / 2
        self._candidate_looks = 0
        self.cutoff_hz = RATE_HZ / 2

    def push(self, samples: NDArray[np.float32]) -> float:
        """Take the next samples [n]; gives :attr:`cutoff_hz`. The size of the pieces makes no difference."""
        self._waiting = np.concatenate([self._waiting, samples])
        while len(self._waiting) >= _WINDOW_SAMPLES:
            self._frame(self._waiting[:_WINDOW_SAMPLES])
            self._waiting = self._waiting[_HOP_SAMPLES:]
        return self.cutoff_hz

    def _frame(self, x: NDArray[np.float32]) -> None:
        power = (np.abs(np.fft.rfft(x * self._window)) * 2.0 / self._window.sum()) ** 2
        bands = np.add.reduceat(power, self._first_lines)
        low, high = (int(edge / _BAND_HZ) for edge in _ACTIVE_HZ)
        level_db = 10.0 * np.log10(bands[low:high].sum() + 1e-14)
        self._recent.append((level_db, bands))
        if len(self._recent) <= _NEIGHBOUR_FRAMES:
            return
        self._since_vowel += 1
        self._unsure.append(None)
        level_db, bands = self._recent[-1 - _NEIGHBOUR_FRAMES]
        if level_db < _ACTIVE_DBFS:
            return
        levels_db = [level for level, _ in self._recent]
        # What came before the first frame is silence.
        full = len(levels_db) == self._recent.maxlen
        before_db = min(levels_db[: -1 - _NEIGHBOUR_FRAMES]) if full else _NOTHING_DB
        after_db = min(levels_db[-_NEIGHBOUR_FRAMES:])
        if level_db >= max(before_db, after_db) + _RISE_DB:
            self._sound(bands)

    def _sound(self, bands: NDArray[np.float64]) -> None:
        """Take the powers of the bands in one frame that rises and falls."""
        powers = bands / self._lines + 1e-14
        low, middle, high = (int(edge / _BAND_HZ) for edge in _VOWEL_HZ)
        self._vowel_run = self._vowel_run + 1 if bands[low:middle].sum() > bands[middle:high].sum() else 0
        if self._vowel_run >= _VOWEL_FRAMES:
            self._since_vowel = 0
            for before in self._unsure:
                if before is not None:
                    self._speech(before)
            self._unsure.clear()
        if self._since_vowel <= _AFTER_VOWEL_FRAMES:
            self._speech(powers)
        else:
            self._unsure[-1] = powers

    def _speech(self, bands: NDArray[np.float64]) -> None:
        """Take the powers of the bands in one frame of speech."""
        self._peaks_db = np.maximum(10.0 * np.log10(bands), self._peaks_db - _FALL_DB)
        self._sounds[self._frames % _MEAN_FRAMES] = np.sqrt(bands)
        self._frames += 1
        if self._frames >= _SETTLE_FRAMES and self._frames % _LOOK_FRAMES == 0:
            self._look()

    def _look(self) -> None:
        sureness = min(self._frames / _CLIFF_FRAMES, 1.0)
        foot = cliff_foot(self._peaks_db, _CLIFF_DB[0] + sureness * (_CLIFF_DB[1] - _CLIFF_DB[0]), self._foot)
        if foot is None:
            self._foot = None
            self._decide(RATE_HZ / 2)
            return
        if self._foot is not None and abs(foot - self._foot) > _MOVED * self._foot:
            age = (self._frames - 1 - np.arange(_MEAN_FRAMES)) % _MEAN_FRAMES
            self._sounds[age >= _SETTLE_FRAMES] = 0.0
        self._foot = foot
        self._decide(_named(edge_hz(self._sounds, foot) / EDGE_OF_CUTOFF))

    def _decide(self, estimate_hz: float) -> None:
        """Change only after the same answer has stood for a while."""
        if abs(estimate_hz - self._candidate_hz) > _SAME * self._candidate_hz:
            self._candidate_hz = estimate_hz
            self._candidate_looks = 0
        self._candidate_looks += 1
        if abs(self._candidate_hz - self.cutoff_hz) <= _SAME * self.cutoff_hz:
            return
        needed = _WIDER_LOOKS if self._candidate_hz > self.cutoff_hz else _NARROWER_LOOKS
        if abs(np.log(self._candidate_hz / self.cutoff_hz)) < _NEAR:
            needed = _NEAR_LOOKS if self._frames > _CLIFF_FRAMES else _NARROWER_LOOKS
        if self._candidate_looks >= needed or self._frames == _SETTLE_FRAMES:
            self.cutoff_hz = self._candidate_hz


def cliff_foot(peaks_db: NDArray[np.float64], least_db: float, known: int | None = None) -> int | None:
    """The band in which a cliff of *least_db* ends, by the loudest levels of bands of 125 Hz; None: there is none.

    A *known* one may have less left.
    """
    peaks_db = np.maximum(peaks_db, peaks_db.max() - _RANGE_DB)
    above = np.maximum.accumulate(peaks_db[::-1])[::-1]
    feet = np.arange(_FIRST_BAND, _LAST_BAND)
    below = np.max([peaks_db[feet - 1 - k] for k in range(_SLOPE_BANDS)], axis=0)
    drops = below - above[feet + _SLOPE_BANDS]
    steepest = int(np.argmax(drops))
    if drops[steepest] >= least_db:
        return int(feet[steepest])
    return known if known is not None and drops[known - _FIRST_BAND] >= _KEPT_DB else None


def edge_hz(sounds: NDArray[np.float64], foot: int) -> float:
    """Where sounds, amplitudes [sounds, bands] of 125 Hz, fall into a cliff that ends in band *foot*."""
    first, last = (int(part * foot) for part in _COURSE)
    level = np.sqrt(np.mean(sounds[:, first:last] ** 2, axis=1))
    heard = level > level.max() * 10.0 ** (-_FAINT_DB / 20.0)
    mean = np.where(heard, 1.0 / np.where(heard, level, 1.0), 0.0) @ sounds / np.count_nonzero(heard)
    mean_db = 20.0 * np.log10(mean + 1e-9)
    place = np.arange(first, last) - (first + last - 1) / 2
    course_db = mean_db[first:last]
    slope = (place @ course_db + _SLOPE_WEIGHT * _SLOPE_DB_PER_BAND) / (place @ place + _SLOPE_WEIGHT)
    above_db = mean_db - course_db.mean() - slope * (np.arange(_BANDS) - first - place[-1]) + _EDGE_DB
    band = foot + _SLOPE_BANDS
    while band > last and above_db[band] < 0.0:
        band -= 1
    part = above_db[band] / max(above_db[band] - above_db[band + 1], 1e-3)
    return float(_BAND_HZ * (band + 0.5 + min(max(part, 0.0), 1.0)))


def _named(frequency_hz: float) -> float:
    known_hz = float(_KNOWN_HZ[np.argmin(np.abs(_KNOWN_HZ / frequency_hz - 1.0))])
    return known_hz if abs(known_hz - frequency_hz) <= _SNAP * known_hz else frequency_hz


#: A recording is judged by its beginning; a minute holds enough speech.
_JUDGED_SECONDS = 60


def recording_cutoff_hz(samples: NDArray[np.float32], rate_hz: int) -> float:
    """Where the band of a recording [samples] ends: half its rate, or the cliff below it."""
    import soxr

    detector = BandwidthDetector()
    detector.push(soxr.resample(samples[: _JUDGED_SECONDS * rate_hz], rate_hz, RATE_HZ).astype(np.float32))
    return min(detector.cutoff_hz, rate_hz / 2)
