"""A loop from the speaker back into the microphone: heard before it is loud, turned down, and named.

A howl is a tone of one frequency, without harmonics, whose level in dB grows in a straight line, as the loop multiplies
it once in every round (the criteria are those of T. van Waterschoot and M. Moonen, "Fifty years of acoustic feedback
control", Proc. IEEE 99, 2011: peak-to-neighbour and peak-to-harmonic ratio, interframe persistence and slope). Other
sounds can look the same, a tone that is faded in for one. So a suspicion is put to the test: the output is turned down,
and only where the microphone then hears less of the tone is it feedback. What does not care about the output is left
alone from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE_HZ = 48_000
_WINDOW_SAMPLES = 2_048
_HOP_SAMPLES = 512
_BIN_HZ = RATE_HZ / _WINDOW_SAMPLES
_FRAMES_PER_SECOND = RATE_HZ / _HOP_SAMPLES

#: Where loops howl. Below lies hum, above hardly anything that a speaker and a microphone both pass.
_LOWEST_BIN, _HIGHEST_BIN = int(200 / _BIN_HZ), int(16_000 / _BIN_HZ)

#: Peaks to follow: above this level, and so much above what lies beside the window's main lobe.
_LEAST_DBFS = -62.0
_PROMINENCE_DB = 12.0
_LEAST_POWER, _PROMINENCE = 10.0 ** (_LEAST_DBFS / 10.0), 10.0 ** (_PROMINENCE_DB / 10.0)
_BESIDE = (-8, -6, 6, 8)
_PEAKS = 5

#: A peak is the one of the frame before when it has moved by no more. Tracks outlive some frames without a peak.
_SAME_HZ = 8.0
_PATIENCE_FRAMES = 6
_LONGEST_FRAMES = 150

#: A growing howl: straight to within so much, by so much, and slower than any tone that is switched on.
_LEAST_FRAMES = 9

#: A vowel that swells in a straight line for so long has one strong harmonic down there now and then, not for longer.
_VOWEL_HZ = 600.0
_LEAST_VOWEL_FRAMES = 12
_GROWTH_DB = 6.0
_STRAIGHT_DB, _STRAIGHT = 1.0, 0.1
_SLOPE_DB_PER_S = (8.0, 600.0)
_STEADY_HZ = 2.5

#: A howl that has grown too quickly to be seen growing comes back from the limiter at full scale, and is nearly all
#: that is heard: of a square wave the fundamental is 81 %.
_FULL_FRAMES = 24
_FULL_DBFS = -6.0
_FULL_SHARE = 0.75
_FULL_STEADY_DB = 3.0

#: A howl has no harmonics until it is clipped, and is none of a voice.
_HARMONICS = (2.0, 3.0, 0.5, 1.0 / 3.0)
_HARMONIC_DB = 18.0

#: How far the output is turned down.
_DUCK_DB = -20.0

#: A test is over when the tone has fallen by this part of it, or not within this time: the slowest loops, Bluetooth
#: both ways, take less. A clipped one falls by less. What falls by far more, and at once, has ended by itself.
_FALLEN, _FULL_FALLEN = 0.6, 0.25
_ENDED_DB = 40.0
_ENDED_FRAMES = 3
_TEST_SECONDS = 0.5

#: After a howl is gone the output comes back so quickly, and no further than this below where it howled last.
_GONE_DB = 24.0
_GONE_DBFS = -60.0
_LONGEST_SECONDS = 3.0
_RETURN_DB_PER_S = 4.0
_MARGIN_DB = 3.0

#: The latter is forgotten after a while, as somebody may have moved the microphone.
_FORGET_SECONDS = 60.0

#: A tone that did not care is left alone for so long after it was heard last, and people are told not more often than:
_EXEMPT_SECONDS = 5.0
_TELL_SECONDS = 30.0


@dataclass
class _Track:
    """A peak through frames: where and how loud it was; *missed* counts frames since it was seen."""

    hz: list[float] = field(default_factory=list)
    db: list[float] = field(default_factory=list)
    missed: int = 0

    def see(self, hz: float, db: float) -> None:
        self.hz.append(hz)
        self.db.append(db)
        del self.hz[:-_LONGEST_FRAMES], self.db[:-_LONGEST_FRAMES]
        self.missed = 0

    def is_steady(self, frames: int) -> bool:
        """Whether its frequency has stood for so many frames."""
        return len(self.hz) >= frames and max(self.hz[-frames:]) - min(self.hz[-frames:]) <= 2.0 * _STEADY_HZ

    def grows(self) -> bool:
        """Whether its level rises in a straight line, over any length that is long enough."""
        least = _LEAST_FRAMES if not self.hz or self.hz[-1] > _VOWEL_HZ else _LEAST_VOWEL_FRAMES
        for frames in {least, 2 * least, 4 * least, len(self.db)}:
            if not least <= frames <= len(self.db) or not self.is_steady(frames):
                continue
            if self.db[-1] - self.db[-frames] < 0.5 * _GROWTH_DB:
                continue
            levels = np.array(self.db[-frames:])
            time = np.arange(frames) - (frames - 1) / 2
            slope = float(time @ levels / (time @ time))
            rest = levels - levels.mean() - slope * time
            if (
                slope * (frames - 1) >= _GROWTH_DB
                and _SLOPE_DB_PER_S[0] <= slope * _FRAMES_PER_SECOND <= _SLOPE_DB_PER_S[1]
                and np.sqrt(np.mean(rest**2)) <= max(_STRAIGHT_DB, _STRAIGHT * slope * (frames - 1))
            ):
                return True
        return False


@dataclass(frozen=True)
class Suspicion:
    """A tone that may be a howl: its frequency, its level, and whether it still grows."""

    hz: float
    dbfs: float
    growing: bool


class HowlDetector:
    """Looks for tones that may be howls in what a microphone hears, at 48 kHz, in pieces of any size."""

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
        self._scale = 2.0 / float(self._window.sum())
        self._waiting = np.zeros(0, np.float32)
        self._tracks: list[_Track] = []
        self._shares: list[float] = []

    def push(self, samples: Samples, watched_hz: float | None = None) -> tuple[Suspicion | None, list[float]]:
        """Take the next samples [n]; gives the newest suspicion, and the levels at *watched_hz* in dBFS, by frames."""
        self._waiting = np.concatenate([self._waiting, samples])
        count = (len(self._waiting) - _WINDOW_SAMPLES) // _HOP_SAMPLES + 1
        if count <= 0:
            return None, []
        frames = np.lib.stride_tricks.sliding_window_view(self._waiting, _WINDOW_SAMPLES)[::_HOP_SAMPLES][:count]
        spectra = np.fft.rfft(frames * self._window, axis=1)
        powers = self._scale**2 * (spectra.real**2 + spectra.imag**2)
        self._waiting = self._waiting[count * _HOP_SAMPLES :]
        worst = None
        for power, places in zip(powers, _peaks(powers), strict=True):
            worst = self._frame(power, places) or worst
        return worst, [_near_db(power, watched_hz) for power in powers] if watched_hz else []

    def _frame(self, power: NDArray[np.floating], places: NDArray[np.intp]) -> Suspicion | None:
        for track in self._tracks:
            track.missed += 1
        for place in places:
            hz, db = _interpolated(power, int(place))
            near = [track for track in self._tracks if abs(track.hz[-1] - hz) <= _SAME_HZ]
            if not near:
                near = [_Track()]
                self._tracks.append(near[0])
            near[0].see(hz, db)
        self._tracks = [track for track in self._tracks if track.missed <= _PATIENCE_FRAMES]
        seen = [track for track in self._tracks if track.missed == 0]
        # Only of what is that loud has it to be known whether there is anything else.
        loud = any(track.db[-1] >= _FULL_DBFS - _FULL_STEADY_DB for track in seen)
        share = _share(power) if loud else 0.0
        self._shares = [*self._shares[1 - _FULL_FRAMES :], share]
        found = [self._suspect(track, power) for track in seen]
        return max((s for s in found if s is not None), key=lambda s: s.dbfs, default=None)

    def _suspect(self, track: _Track, power: NDArray[np.floating]) -> Suspicion | None:
        if track.grows() and not _has_harmonics(power, track.hz[-1], track.db[-1]):
            return Suspicion(track.hz[-1], track.db[-1], growing=True)
        full = track.db[-1] >= _FULL_DBFS and track.is_steady(_FULL_FRAMES)
        full = full and max(track.db[-_FULL_FRAMES:]) - min(track.db[-_FULL_FRAMES:]) <= _FULL_STEADY_DB
        if full and len(self._shares) == _FULL_FRAMES and min(self._shares) >= _FULL_SHARE:
            return Suspicion(track.hz[-1], track.db[-1], growing=False)
        return None


def _peaks(powers: NDArray[np.floating]) -> list[NDArray[np.intp]]:
    """Of each spectrum [frames, lines] the loudest lines that stand out from what is beside them."""
    inner = powers[:, _LOWEST_BIN:_HIGHEST_BIN]
    stands = inner > _LEAST_POWER
    if not stands.any():
        return [np.zeros(0, np.intp)] * len(powers)
    stands &= inner >= powers[:, _LOWEST_BIN - 1 : _HIGHEST_BIN - 1]
    stands &= inner > powers[:, _LOWEST_BIN + 1 : _HIGHEST_BIN + 1]
    for k in _BESIDE:
        stands &= inner >= _PROMINENCE * powers[:, _LOWEST_BIN + k : _HIGHEST_BIN + k]
    found = [np.flatnonzero(row) + _LOWEST_BIN for row in stands]
    return [
        places if len(places) <= _PEAKS else places[np.argsort(power[places])[-_PEAKS:]]
        for power, places in zip(powers, found, strict=True)
    ]


def _db(power: float) -> float:
    return 10.0 * math.log10(power + 1e-14)


def _share(power: NDArray[np.floating]) -> float:
    """Of all that is heard, what the loudest line and those beside it are."""
    loudest = int(np.argmax(power))
    return float(power[max(loudest - 3, 0) : loudest + 4].sum() / max(power.sum(), 1e-14))


def _interpolated(power: NDArray[np.floating], place: int) -> tuple[float, float]:
    """Frequency and level of a peak between lines, by a parabola through three."""
    before, here, after = (_db(float(power[place + k])) for k in (-1, 0, 1))
    part = 0.5 * (before - after) / min(before - 2.0 * here + after, -1e-6)
    return (place + part) * _BIN_HZ, here - 0.25 * (before - after) * part


def _near_db(power: NDArray[np.floating], hz: float) -> float:
    line = round(hz / _BIN_HZ)
    return _db(float(power[max(line - 1, 0) : line + 2].max()))


def _has_harmonics(power: NDArray[np.floating], hz: float, db: float) -> bool:
    inside = [hz * m for m in _HARMONICS if 3.0 * _BIN_HZ < hz * m < RATE_HZ / 2 - 3.0 * _BIN_HZ]
    return any(_near_db(power, other) > db - _HARMONIC_DB for other in inside)


class FeedbackGuard:
    """Turns the output down by *set_duck_db* when it howls. Call :meth:`poll` some ten times a second.

    :attr:`ducks` counts howls that were found to be feedback.
    """

    def __init__(self, set_duck_db: Callable[[float], None]) -> None:
        self._detector = HowlDetector()
        self._set_duck_db = set_duck_db
        self.duck_db = 0.0
        self.ducks = 0
        self._suspicion: Suspicion | None = None
        self._loudest_db = 0.0
        self._tested_db: list[float] = []
        self._before_db = 0.0
        self._since_s = 0.0
        self._proven = False
        self._ceiling_db = 0.0
        self._ceiling_until_s = 0.0
        self._exempt: dict[float, float] = {}
        self._told_s = -_TELL_SECONDS
        self._now_s = 0.0

    def release(self) -> None:
        """Turn the output up again, and forget what was found, as nobody looks after it any more."""
        self._detector = HowlDetector()
        self._suspicion = None
        if self.duck_db != 0.0:
            self._duck(0.0)

    def poll(self, samples: Samples) -> str | None:
        """Take what the microphone has heard [n] since the last call; gives a line for people when it howls.

        Time is that of the samples.
        """
        passed_s = len(samples) / RATE_HZ
        now_s = self._now_s = self._now_s + passed_s
        watched = self._suspicion
        found, levels_db = self._detector.push(samples, watched.hz if watched else None)
        if found is not None and self._is_exempt(found.hz, now_s):
            found = None
        if watched is None:
            return self._listen(found, now_s, passed_s)
        if not self._proven:
            return self._test(watched, levels_db, now_s)
        if found is not None and found.growing and abs(found.hz - watched.hz) > _SAME_HZ:
            # Another frequency howls at what is left.
            self._duck(self.duck_db + _DUCK_DB)
            self._suspicion, self._loudest_db = found, found.dbfs
        elif now_s - self._since_s > _LONGEST_SECONDS or self._is_gone(levels_db):
            self._suspicion = None
        return None

    def _is_gone(self, levels_db: list[float]) -> bool:
        return bool(levels_db) and levels_db[-1] < max(self._loudest_db - _GONE_DB, _GONE_DBFS)

    def _is_exempt(self, hz: float, now_s: float) -> bool:
        self._exempt = {other: until_s for other, until_s in self._exempt.items() if until_s > now_s}
        near = [other for other in self._exempt if abs(other - hz) <= _SAME_HZ]
        for other in near:
            self._exempt[other] = now_s + _EXEMPT_SECONDS
        return bool(near)

    def _listen(self, found: Suspicion | None, now_s: float, passed_s: float) -> str | None:
        if found is not None:
            self._suspicion, self._loudest_db, self._since_s, self._proven = found, found.dbfs, now_s, False
            self._before_db, self._tested_db = self.duck_db, []
            self._duck(self.duck_db + _DUCK_DB)
        elif self.duck_db < 0.0:
            ceiling_db = self._ceiling_db if now_s < self._ceiling_until_s else 0.0
            if self.duck_db < ceiling_db:
                self._duck(min(self.duck_db + _RETURN_DB_PER_S * passed_s, ceiling_db))
        return None

    def _test(self, watched: Suspicion, levels_db: list[float], now_s: float) -> str | None:
        """See whether the tone falls because the output was turned down."""
        self._tested_db += levels_db
        loudest_db = np.maximum.accumulate([watched.dbfs, *self._tested_db])[1:]
        fallen_db = loudest_db - self._tested_db
        turned_db = self._before_db - self.duck_db
        places = np.flatnonzero(fallen_db >= (_FALLEN if watched.growing else _FULL_FALLEN) * turned_db)
        if len(places) and (watched.growing or len(fallen_db) > places[0] + _ENDED_FRAMES):
            self._loudest_db = float(loudest_db[-1])
            if watched.growing or fallen_db[places[0] + _ENDED_FRAMES] < _ENDED_DB:
                return self._prove(watched, now_s)
            self._acquit(watched, now_s)
        elif now_s - self._since_s > _TEST_SECONDS:
            self._acquit(watched, now_s)
        return None

    def _acquit(self, watched: Suspicion, now_s: float) -> None:
        self._suspicion = None
        self._exempt[watched.hz] = now_s + _EXEMPT_SECONDS
        self._duck(self._before_db)

    def _prove(self, watched: Suspicion, now_s: float) -> str | None:
        self._proven = True
        self._since_s = now_s
        self.ducks += 1
        self._ceiling_db = self._before_db - _MARGIN_DB if self._before_db < 0.0 else 0.0
        self._ceiling_until_s = now_s + _FORGET_SECONDS
        self._duck(self._before_db + _DUCK_DB)
        if now_s - self._told_s < _TELL_SECONDS:
            return None
        self._told_s = now_s
        return (
            f"feedback at {watched.hz:.0f} Hz: the microphone hears the speaker, and the output is turned down; "
            "wear headphones, move the two apart, or lower the gain"
        )

    def _duck(self, duck_db: float) -> None:
        self.duck_db = max(duck_db, 3.0 * _DUCK_DB)
        self._set_duck_db(self.duck_db)
