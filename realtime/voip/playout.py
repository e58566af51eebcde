"""What is played next, at the codec's rate: decoded samples joined to one signal, made up where there are none.

It can also be made shorter or longer by whole pitch periods.
"""

from __future__ import annotations

import numpy as np

from ..native.memory import aligned_zeros
from . import noise as comfort
from .codecs import Samples
from .dsp import (
    CONCEALMENT,
    LONGEST_PERIOD_MS,
    NOISE_ORDER,
    SHORTEST_PERIOD_MS,
    WORK_SAMPLES,
    begin_concealment,
    blend,
    conceal,
    find_period,
    join_samples,
    lengthen,
    power,
    shorten,
)
from .frames import FRAME_MS

#: How like two periods must be for one to be taken for the other.
_LIKE = 0.85

#: Below so many times the floor's power (or -60 dBFS) there is silence: any length can be cut out.
_SILENCE = 4.0
_SILENT_POWER = 1e-6

#: Time from one cut in speech to the next, when the delay is somewhat and when it is far too long.
_PAUSE_MS, _SHORT_PAUSE_MS, _FAR_MS = 200.0, 40.0, 60.0

#: Crossfade from what was made up to what follows.
_MERGE_MS = 5.0

#: Where pitch is looked for, a step of the first look is one sample at this rate.
_COARSE_HZ = 8_000


class Playout:
    """A signal with its past, at *rate_hz*. Nothing in it knows of packets or of time."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._per_ms = rate_hz // 1000
        # What was played, and from _start on what is to be played.
        self._start = 3 * int(LONGEST_PERIOD_MS * self._per_ms) + rate_hz // 100
        self._x = np.zeros(self._start + 2 * rate_hz, np.float32)
        self._end = self._start
        #: Samples made up in a row, up to the end.
        self.run = 0
        self._heard_any = False
        self._template = np.zeros(self._start, np.float32)
        self._predicted = np.zeros(join_samples(rate_hz), np.float32)
        self._work = np.zeros(WORK_SAMPLES)
        self._concealment = aligned_zeros(1, CONCEALMENT)
        self._concealment["rate_hz"] = rate_hz
        self._concealment["seed"] = 1
        self._address = int(self._concealment.ctypes.data)
        self._noise = comfort.ROOM
        self._noise_memory = np.zeros(NOISE_ORDER)
        self._noise_rms: float | None = None
        self._floor = comfort.Floor()
        self._since_cut_ms = 0.0

    @property
    def queued(self) -> int:
        """Samples that are to be played."""
        return self._end - self._start

    def set_noise(self, rms: float, colour: comfort.Noise) -> None:
        """What is heard in pauses, as the other side tells it; until then it is as quiet as the quietest moments."""
        self._noise_rms, self._noise = rms, colour

    def append(self, samples: Samples) -> int:
        """Let *samples* follow; gives how many of them were too few to change over to, and were made up instead."""
        count = len(samples)
        if self.run:
            merge = int(_MERGE_MS * self._per_ms)
            if count < merge:
                self.make_up(count)
                return count
            self._conceal(merge)
            samples = samples.copy()
            blend(self._x, self._end, samples, merge)
            self.run = 0
        self._x[self._end : self._end + count] = samples
        self._end += count
        self._heard_any = True
        return 0

    def make_up(self, count: int) -> None:
        """Go on for *count* samples with what went before: repeated, fading into noise."""
        if self.run == 0:
            self._begin()
        self._conceal(count)
        self._end += count
        self.run += count

    def interrupt(self) -> None:
        """What is appended next does not follow from what is there: change over to it as from something made up."""
        if self.run == 0:
            self._begin()
            self.run = 1

    def _begin(self) -> None:
        begin_concealment(self._address, self._x, self._end, self._template, self._predicted, self._work)
        rms = self._noise_rms
        if rms is None:
            rms = self._floor.power**0.5 if self._heard_any else 0.0
        self._concealment["noise_rms"] = rms

    def _conceal(self, count: int) -> None:
        noise, memory, predicted = self._noise, self._noise_memory, self._predicted
        x, end = self._x, self._end
        conceal(self._address, self._template, predicted, noise.filter, memory, noise.gain, x, end, count)

    @property
    def wanted_to_scale(self) -> int:
        """With so many samples queued, beyond those that are played now, :meth:`scale` can do its best."""
        return int(LONGEST_PERIOD_MS * self._per_ms) + self._shortest_window

    @property
    def _shortest_window(self) -> int:
        return FRAME_MS * self._per_ms // 2

    def scale(self, excess_ms: float, keep: int) -> int:
        """Cut a period out of what is queued, for a delay that is too long by *excess_ms*, or put one in (negative).

        *keep* samples have to be left. Gives the samples put in, or cut out as a negative number; 0 where the signal
        does not allow it now. To be called once for each frame in which it is wished.
        """
        self._since_cut_ms += FRAME_MS
        longest, shortest = (int(ms * self._per_ms) for ms in (LONGEST_PERIOD_MS, SHORTEST_PERIOD_MS))
        have = self.queued
        longest = min(longest, have // 2, have - self._shortest_window, int(abs(excess_ms) * self._per_ms))
        if excess_ms > 0:
            longest = min(longest, have - keep)
        if longest < shortest:
            return 0
        period = longest
        if power(self._x, self._start, have) >= max(_SILENCE * self._floor.power, _SILENT_POWER):
            pause_ms = _PAUSE_MS if excess_ms < _FAR_MS else _SHORT_PAUSE_MS
            if excess_ms > 0 and self._since_cut_ms < pause_ms:
                return 0
            step = max(self.rate_hz // _COARSE_HZ, 1)
            window = min(have - longest, FRAME_MS * self._per_ms)
            period, likeness = find_period(self._x, self._start, self._start, 1, shortest, longest, window, step)
            if likeness < _LIKE:
                return 0
        self._since_cut_ms = 0.0
        if excess_ms > 0:
            self._end = shorten(self._x, self._start, self._end, period)
            return -int(period)
        self._end = lengthen(self._x, self._start, self._end, period)
        return int(period)

    def take(self, count: int) -> Samples:
        """The next *count* samples [1, count], which are queued."""
        taken = self._x[None, self._start : self._start + count].copy()
        if self.run == 0:
            self._floor.add(power(self._x, self._start, count))
        self._x[: self._end - count] = self._x[count : self._end].copy()
        self._end -= count
        return taken
