"""Judges what a soak's devices play, piece by piece as it comes: clicks, and the delay against what the host claims."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from realtime.backends.simulated import SimulatedDevice

from ..faults.injection import PROBE_GAIN
from ..signals.alignment import align
from ..signals.clicks import RATE_HZ, find_clicks, thresholds
from ..signals.material import at_48_khz, telephone_voice

#: What is judged at a time, and what is looked back on, so that nothing falls between two pieces.
_PIECE = 2 * RATE_HZ
_LAP = RATE_HZ // 4

#: Further behind than this the judge gives up what it has missed; a device keeps ten seconds.
_MOST_BEHIND = 7 * RATE_HZ

#: Less than this says nothing; it is at most what a device plays that dies as soon as it is back.
_LEAST = RATE_HZ // 3

#: The silence in which a device begins that has come back.
_SILENCE = RATE_HZ // 50

#: A gain that was set is heard some blocks later, and what is judged was heard before.
_GAIN_REACH_S = 1.0


@dataclass(frozen=True)
class Piece:
    """*off_ms*: the delay less what the host claimed; None where no voice was found. *excess*: of the largest jump."""

    off_ms: float | None
    excess: float
    clicks_at_s: tuple[float, ...]


@dataclass
class _Segment:
    """What *device* plays from its frame *first* on, *place* in all that was heard; *voice* is said at frame 0."""

    device: SimulatedDevice
    first: int
    place: int
    voice: int
    end: int | None = None

    @property
    def length(self) -> int:
        return (self.device.played_frames if self.end is None else self.end) - self.first


class Judge:
    """*claimed_samples* gives the delay that the host claims. Call :meth:`begin` for every device that starts."""

    def __init__(self, capture_ppm: float, claimed_samples: Callable[[], int]) -> None:
        self._pace = 1.0 + 1e-6 * capture_ppm
        self._claimed_samples = claimed_samples
        self._voice = at_48_khz(telephone_voice())[0].astype(np.float64)
        self._limit = thresholds([self._voice, PROBE_GAIN * self._voice])
        self._segments: deque[_Segment] = deque()
        self._judged = 0
        self._gains = deque([(0.0, 1.0)])
        #: Seconds that nobody has listened to, as this process was kept too busy.
        self.skipped_s = 0.0

    def begin(self, device: SimulatedDevice, voice: int = 0) -> None:
        """*device* starts, or goes on; sample *voice* of the voice is what a fresh one hears first."""
        place = 0
        if self._segments:
            last = self._segments[-1]
            last.end = last.device.played_frames
            place = last.place + last.length
            voice = last.voice if last.device is device else voice
        self._segments.append(_Segment(device, device.played_frames, place, voice))

    def set_gain(self, gain: float) -> None:
        """All is played louder or softer from about now on."""
        self._gains.append((self.heard_s, gain))

    @property
    def heard_s(self) -> float:
        """Seconds of audio that all devices have played."""
        last = self._segments[-1]
        return (last.place + last.length) / RATE_HZ

    def poll(self) -> Piece | None:
        """The next piece, if there is one."""
        segment = self._segments[0]
        over = len(self._segments) > 1
        length = segment.length
        if over and length - self._judged <= 0:
            self._segments.popleft()
            self._judged = 0
            return None
        behind = length - self._judged - _PIECE
        if not over and behind < RATE_HZ // 10:
            return None
        if behind > _MOST_BEHIND:
            self._judged += _PIECE
            self.skipped_s += _PIECE / RATE_HZ
            return None
        last = min(self._judged + _PIECE, length)
        first = max(min(self._judged - _LAP, last - _PIECE), 0)
        self._judged = last
        if last - first < _LEAST:
            self.skipped_s += (last - first) / RATE_HZ
            return None
        return self._judge(segment, first, last)

    def _largest_gain(self, first_s: float, last_s: float) -> float:
        while len(self._gains) > 1 and self._gains[1][0] < first_s - _GAIN_REACH_S:
            self._gains.popleft()
        return max(gain for since_s, gain in self._gains if since_s <= last_s + _GAIN_REACH_S)

    def _judge(self, segment: _Segment, first: int, last: int) -> Piece:
        heard = segment.device.heard(segment.first + first, segment.first + last)[0].astype(np.float64)
        count = last - first
        # Where the microphone's clock, and so the voice, was when the speaker's was at each of these samples.
        index = (segment.voice + (segment.first + first + np.arange(count)) * self._pace) % len(self._voice)
        around = np.arange(len(self._voice) + 1)
        said = np.interp(index, around, np.append(self._voice, self._voice[0]))
        claimed = self._claimed_samples()
        alignment = align(heard, said, claimed, steered=True, step=4096)
        if not len(alignment.places):
            self.skipped_s += count / RATE_HZ
            return Piece(None, 0.0, ())
        along = self._limit[(index - alignment.at(np.arange(count))).astype(np.int64) % len(self._limit)]
        if len(alignment.changes()):
            # One signal ends at one delay while the other begins at another.
            along = np.full(count, 2.0 * along.max())
        place_s = (segment.place + first) / RATE_HZ
        along *= self._largest_gain(place_s, place_s + count / RATE_HZ)
        silent = _SILENCE if first == 0 and segment.place > 0 else 0
        if silent:  # what is before it is the cut itself
            heard = np.pad(heard, (silent, 0))
            along = np.pad(along, (silent, 0), mode="edge")
        clicks = find_clicks(heard, along)
        off = float(np.median(alignment.delays)) - claimed
        places = tuple(place_s + place - silent / RATE_HZ for place in clicks.places_s)
        return Piece(1000.0 * off / RATE_HZ, clicks.excess, places)
