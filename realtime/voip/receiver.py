"""From packets to frames: the adaptive jitter buffer, with concealment, time-scaling and drift.

A packet's transit is its arrival less its media time (:mod:`.arrivals`); the fastest packet of late is the base.
Whatever is played has a *delay* over that base, which is what the buffer costs, exactly, and is held at the target
(:mod:`.delay`):

- a packet that is missing when it is needed is waited for while the delay is below the target, and the delay grows;
- otherwise it is lost: made up from the packet after it (Opus), or concealed, and time goes on;
- too long a delay is cut by whole pitch periods, in silence at once and in speech now and then; too short a delay is
  stretched likewise; what remains, and the drift of the sender's clock, is steered by the resampler (:mod:`.steering`).
"""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

import numpy as np

from ..native.resampler import Resampler
from ..onnx.contract import RATE_HZ
from . import noise as comfort
from .arrivals import Arrivals, follows
from .codecs import Decoder
from .delay import DelayTarget
from .dsp import resample_at, samples_needed
from .frames import FRAME_MS, FRAME_SAMPLES, Frame
from .media import Media
from .playout import Playout
from .rtp import Packet
from .statistics import ReceivedCounts
from .steering import Steering

#: Added to the target: a packet is played from when it came to one frame later.
_MARGIN_MS = float(FRAME_MS)

#: Bounds of the target. Beyond the upper one a call becomes awkward, and more loss is the lesser evil.
_LEAST_TARGET_MS, _MOST_TARGET_MS = 15.0, 200.0

#: The delay may be off by so much before periods are cut out, or put in.
_SLACK_MS = 6.0
#: Beyond this above the target, audio is left out until it fits again.
_EXCESS_MS = 150.0

#: A packet holds so much audio at most, and so many wait at most.
_MOST_PACKET_MS = 120
_MOST_WAITING = 64

#: Without a packet for so long nobody is speaking; it is no longer concealment.
_GIVEN_UP_MS = 1_000.0


class _Waiting(NamedTuple):
    """A packet in the buffer: media time of its first sample, its sequence number, samples and payload."""

    time: int
    sequence: int
    length: int
    payload: bytes


class Receiver:
    """A source of frames from the packets of one stream, and of those that take its place under another SSRC."""

    def __init__(self, media: Media, counts: ReceivedCounts | None = None) -> None:
        codec = media.codec
        rate = codec.rate_hz
        self.media = media
        self.counts = counts or ReceivedCounts()
        self.target = DelayTarget()
        self.arrivals = Arrivals(codec, self.counts)
        #: The delay of what was played last, in ms.
        self.heard_delay_ms = 0.0
        self._rate = rate
        self._per_ms = rate // 1000
        self._decoder: Decoder = codec.decoder()
        self._waiting: list[_Waiting] = []
        self._held: Packet | None = None
        self._arrival_ns = 0
        self._signal = Playout(rate)
        self._expected = 0  # media time at the end of it
        self._decoded_until = 0  # media time at the end of the newest packet in it
        self._played: int | None = None  # sequence number of the newest packet in it
        self._stretched = 0  # samples concealed while waiting: the time of the stream stood still
        self._pending = 0  # those of which it is not known yet whether anything was lost
        self._resting = True  # nothing is being said: before the first packet, between spurts
        self._steering = Steering()
        self._resampler = Resampler(rate, RATE_HZ, 1, rate // 10)
        self._out = np.zeros((1, FRAME_SAMPLES), np.float32)

    @property
    def bandwidth_hz(self) -> float:
        """What the codec carries at most."""
        return self.media.codec.bandwidth_hz

    @property
    def jitter_ms(self) -> float:
        """RFC 3550's interarrival jitter."""
        return 1000.0 * self.arrivals.jitter_clock / self.media.codec.clock_hz

    @property
    def ppm(self) -> float:
        """How much faster than ours the sender's clock is taken to run."""
        return self._steering.ppm

    @property
    def target_ms(self) -> float:
        """The delay that is aimed at."""
        return min(max(self.target.target_ms + _MARGIN_MS, _LEAST_TARGET_MS), _MOST_TARGET_MS)

    def delay_ms(self, now_ns: int) -> float:
        """How much later than the fastest packet would allow the next sample is played, the resampler left out."""
        played = self._expected - self._signal.queued
        return now_ns / 1e6 - self.target.base_ms - played / self._per_ms

    @property
    def fixed_delay_ms(self) -> float:
        """What the resampler adds."""
        return self._resampler.delay_ms

    # -- packets ------------------------------------------------------------------------------------------------------

    def accept(self, packet: Packet, arrival_ns: int) -> None:
        """Take a packet of the codec's payload type that came at *arrival_ns* (CLOCK_MONOTONIC)."""
        length = self._decoder.length(packet.payload)
        if not 0 < length <= _MOST_PACKET_MS * self._per_ms:
            self.counts.malformed += 1
            return
        held, self._held = self._held, None
        if self.arrivals.ssrc is None:
            self._begin(packet, arrival_ns)
        elif self.arrivals.is_strange(packet, arrival_ns, self.target.base_ms):
            if held is None or not follows(held, packet, self.media.codec.clock_hz):
                self.counts.strange += held is not None
                self._held = packet
                return
            self._begin(held, arrival_ns)
            self._insert(held, arrival_ns)
        else:
            self.counts.strange += held is not None
        self._insert(packet, arrival_ns)

    def note_noise(self, payload: bytes) -> None:
        """The other side falls silent, and sends the colour of its silence (RFC 3389)."""
        found = comfort.parse(payload)
        if found is None:
            self.counts.malformed += 1
            return
        self._signal.set_noise(*found)
        self._resting = True

    def rest(self) -> None:
        """Nothing more is to be heard for now, as on hold: what waits is dropped, and nothing is missed."""
        self._waiting.clear()
        self._resting = True
        self._pending = 0

    def _begin(self, packet: Packet, arrival_ns: int) -> None:
        """A new stream: its first packet is laid where it would lie had it come as fast as the fastest."""
        if self.arrivals.ssrc is None:
            self.target.restart()
            self._expected = -int(self.target_ms * self._per_ms)
            self.arrivals.begin(packet, 0)
        else:
            self._decoder = self.media.codec.decoder()
            self.arrivals.begin(packet, int((arrival_ns / 1e6 - self.target.base_ms) * self._per_ms))
            self._waiting.clear()
        self._played = None

    def _insert(self, packet: Packet, arrival_ns: int) -> None:
        taken = self.arrivals.take(packet, arrival_ns)
        if taken is None:
            return
        number, time = taken
        self._arrival_ns = arrival_ns
        self.target.add(arrival_ns / 1e6 - time / self._per_ms, arrival_ns)
        length = self._decoder.length(packet.payload)
        if time + length <= self._expected and self._played is not None:
            self.counts.late += 1
        elif len(self._waiting) >= _MOST_WAITING:
            self.counts.overflow += 1
        else:
            insort(self._waiting, _Waiting(time, number, length, packet.payload))

    # -- audio --------------------------------------------------------------------------------------------------------

    def pull(self, now_ns: int) -> Frame:
        """The next frame [480], at the time *now_ns* (CLOCK_MONOTONIC)."""
        if not self._resting and (now_ns - self._arrival_ns) / 1e6 > _GIVEN_UP_MS:
            self._resting = True
            self._pending = 0
        self._steer(now_ns)
        count = samples_needed(self._resampler.address, FRAME_SAMPLES)
        signal = self._signal
        while signal.queued < count:
            self._advance(count - signal.queued, now_ns)
        if signal.run == 0:
            self._scale_time(count, now_ns)
            self.heard_delay_ms = self.delay_ms(now_ns)
        resample_at(self._resampler.address, signal.take(count), self._out)
        if not self._resting:
            self.counts.samples += FRAME_SAMPLES
        return self._out[0].copy()

    def _excess_ms(self, now_ns: int) -> float:
        return self.delay_ms(now_ns) - self.target_ms

    def _advance(self, wanted: int, now_ns: int) -> None:
        """Let the signal go on, by a packet or by some of *wanted* samples that are made up."""
        waiting = self._waiting
        while waiting and waiting[0].time + waiting[0].length <= self._expected and self._played is not None:
            waiting.pop(0)
            self.counts.late += 1
        if not waiting:
            self._signal.make_up(wanted)
            if not self._resting:
                self._stretched += wanted
                self._pending += wanted
            return
        head = waiting[0]
        if self._played is None:
            self._played = head.sequence - 1  # what came before the first is not missed
        if self._expected < head.time and self._stretched:
            used = min(self._stretched, head.time - self._expected)
            self._stretched -= used
            self._expected += used
        gap = head.time - self._expected
        lost = self.arrivals.missing(self._played, head.sequence)
        if gap > 0 and lost == 0:
            self._rest_until(head, wanted, now_ns)
            return
        self._count_concealed(self._pending)
        self._pending = 0
        if gap <= 0:
            self._stretched = 0
            self._play_next(now_ns)
        elif self._excess_ms(now_ns) < -_SLACK_MS:
            # It may yet come, and the delay has to grow anyway.
            self._signal.make_up(wanted)
            self._stretched += wanted
            self._count_concealed(wanted)
        elif lost > 1 or not self._recover(head, gap):
            piece = min(gap, wanted)
            self._signal.make_up(piece)
            self._expected += piece
            self._count_concealed(piece)

    def _rest_until(self, head: _Waiting, wanted: int, now_ns: int) -> None:
        """Nothing was sent before *head*: silence, which may be as long as suits the delay."""
        self._resting = True
        self._pending = 0
        gap = head.time - self._expected
        excess = int(self._excess_ms(now_ns) * self._per_ms)
        if excess > 0:
            self._expected += min(gap, excess)
            if gap <= excess:
                return
        piece = min(head.time - self._expected, wanted)
        self._signal.make_up(piece)
        if excess > -self._per_ms:
            self._expected += piece

    def _play_next(self, now_ns: int) -> None:
        """Decode the packet that is due, and join it to what was heard."""
        waiting = self._waiting
        excess_ms = self._excess_ms(now_ns)
        if excess_ms > _EXCESS_MS and not self._resting:
            until = self._expected + int(excess_ms * self._per_ms)
            left_out = 0
            while len(waiting) > 1 and waiting[0].time + waiting[0].length <= until:
                self._expected = max(self._expected, waiting[0].time + waiting[0].length)
                self._played = waiting.pop(0).sequence
                left_out += 1
            if left_out:
                self.counts.resyncs += 1
                self._signal.interrupt()
        head = waiting.pop(0)
        skipped = max(self._expected - head.time, 0)
        self._played = head.sequence
        try:
            samples = self._decoder.decode(head.payload)
        except ValueError:
            self.counts.malformed += 1
            self._signal.make_up(head.length - skipped)
            self._count_concealed(head.length - skipped)
        else:
            self._count_concealed(self._signal.append(samples[skipped:]))
        self._expected = self._decoded_until = head.time + head.length
        self._resting = False

    def _recover(self, head: _Waiting, gap: int) -> bool:
        """Make the packet before *head* up from what *head* knows of it."""
        whole = head.time - self._decoded_until
        if not gap <= whole <= _MOST_PACKET_MS * self._per_ms:
            return False
        samples = self._decoder.recover(head.payload, whole)
        if samples is None:
            return False
        self.counts.recovered += 1
        self._count_concealed(self._signal.append(samples[whole - gap :]))
        self._expected = self._decoded_until = head.time
        self._played = head.sequence - 1
        return True

    def _count_concealed(self, count: int) -> None:
        self.counts.concealed_samples += count * RATE_HZ // self._rate

    # -- delay --------------------------------------------------------------------------------------------------------

    def _steer(self, now_ns: int) -> None:
        """Keep the delay at its target against the sender's clock."""
        if self._resting or self._signal.run:
            return
        error_ms = min(max(self._excess_ms(now_ns), -_SLACK_MS), _SLACK_MS)
        self._resampler.record["ppm"] = self._steering.follow(error_ms)

    def _scale_time(self, count: int, now_ns: int) -> None:
        """Make what comes next shorter or longer, where the delay is far from its target; *count* samples are due."""
        excess_ms = self._excess_ms(now_ns)
        if abs(excess_ms) <= _SLACK_MS:
            return
        signal = self._signal
        while signal.queued < signal.wanted_to_scale + count and self._is_next_due():
            self._play_next(now_ns)
        changed = signal.scale(excess_ms, count)
        self.counts.shortened += changed < 0
        self.counts.lengthened += changed > 0

    def _is_next_due(self) -> bool:
        return bool(self._waiting) and self._waiting[0].time <= self._expected
