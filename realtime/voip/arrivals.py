"""Which packets of a stream came, where they lie in time, and which cannot be its own (RFC 3550 appendix A.1).

Times of one stream lie on one line, the *media time*, in samples of the codec's rate; sequence numbers are counted on
for ever. Both wrap around in packets, and begin anew with another stream.
"""

from __future__ import annotations

from .codecs import Codec
from .rtp import SEQUENCE_RANGE, TIMESTAMP_RANGE, Packet, unwrap
from .statistics import ReceivedCounts

#: A packet that comes so much later, or earlier, than the fastest, whose sequence number jumps so far, or further than
#: its timestamp allows, is another stream's, or none's: the next packet tells. Early ones are the more harmful: all
#: others look late beside them.
_STRANGE_LATE_MS, _STRANGE_EARLY_MS = 2_000.0, 60.0
_MOST_DROPOUT, _MOST_MISORDER = 3_000, 100
_SURE_DROPOUT, _SHORTEST_PACKET_MS = 10, 2.5

#: Of so many packets it is remembered which came.
_REMEMBERED = 512


class Arrivals:
    """The packets of *codec*, counted in *counts*, of one stream after another."""

    def __init__(self, codec: Codec, counts: ReceivedCounts) -> None:
        self.ssrc: int | None = None
        #: RFC 3550's interarrival jitter, in the codec's clock.
        self.jitter_clock = 0.0
        #: The highest sequence number, counted on.
        self.newest = 0
        self._counts = counts
        self._clock_hz = codec.clock_hz
        self._per_ms = codec.rate_hz // 1000
        self._scale = codec.rate_hz // codec.clock_hz
        self._first = self._expected_before = self._came = 0
        self._timestamp = self._clock = 0  # of the newest, as the packet tells it and as media time
        self._transit_ms: float | None = None

    def begin(self, packet: Packet, time: int) -> None:
        """A new stream begins with *packet*, at the media *time*."""
        self._counts.streams += 1
        self._clock = time
        self.ssrc = packet.ssrc
        self.jitter_clock = 0.0
        self._transit_ms = None
        self._timestamp = packet.timestamp
        self.newest = self._first = packet.sequence
        self._expected_before = self._counts.expected
        self._came = 0

    def number(self, packet: Packet) -> int:
        """Its sequence number, counted on."""
        return unwrap(packet.sequence, self.newest, SEQUENCE_RANGE)

    def media_time(self, packet: Packet) -> int:
        """Of its first sample."""
        since = unwrap(packet.timestamp, self._timestamp, TIMESTAMP_RANGE) - self._timestamp
        return since * self._scale + self._clock

    def transit_ms(self, packet: Packet, arrival_ns: int) -> float:
        """How long it was on its way, to a constant: its arrival less its media time."""
        return arrival_ns / 1e6 - self.media_time(packet) / self._per_ms

    def is_strange(self, packet: Packet, arrival_ns: int, fastest_ms: float) -> bool:
        """Whether it is hardly of this stream, whose fastest packet of late was on its way for *fastest_ms*."""
        if packet.ssrc != self.ssrc:
            return True
        step = self.number(packet) - self.newest
        if not -_MOST_MISORDER < step < _MOST_DROPOUT:
            return True
        if step > _SURE_DROPOUT:
            passed_ms = (self.media_time(packet) - self._clock) / self._per_ms
            if passed_ms < step * _SHORTEST_PACKET_MS:
                return True
        later_ms = self.transit_ms(packet, arrival_ns) - fastest_ms
        return not -_STRANGE_EARLY_MS < later_ms < _STRANGE_LATE_MS

    def take(self, packet: Packet, arrival_ns: int) -> tuple[int, int] | None:
        """Count a packet with audio: its number and its media time; None where it had come before."""
        number, time = self.number(packet), self.media_time(packet)
        self._counts.reordered += number < self.newest
        if not self._note(packet, number):
            return None
        if number == self.newest:
            # The next timestamp is unwrapped from here, so that it may wrap around for ever.
            self._timestamp, self._clock = packet.timestamp, time
        transit_ms = arrival_ns / 1e6 - time / self._per_ms
        if self._transit_ms is not None:
            difference = abs(transit_ms - self._transit_ms) * self._clock_hz / 1000.0
            self.jitter_clock += (difference - self.jitter_clock) / 16.0
        self._transit_ms = transit_ms
        return number, time

    def skip(self, packet: Packet) -> None:
        """A packet of the same stream that holds no audio (an event, comfort noise) was not lost."""
        if packet.ssrc != self.ssrc:
            return
        number = self.number(packet)
        if -_MOST_MISORDER < number - self.newest < _MOST_DROPOUT:
            self._note(packet, number)

    def missing(self, after: int, before: int) -> int:
        """Packets between the numbers *after* and *before* that have not come, as far as it is remembered."""
        numbers = range(max(after + 1, self.newest - _REMEMBERED + 1), before)
        return sum(not self._came >> (self.newest - number) & 1 for number in numbers)

    def _note(self, packet: Packet, number: int) -> bool:
        """Remember that packet *number* came; False when it had come before."""
        counts = self._counts
        counts.packets += 1
        counts.payload_bytes += len(packet.payload)
        step = number - self.newest
        if step > 0:
            self._came = (self._came << step | 1) & ((1 << _REMEMBERED) - 1)
            self.newest = number
        else:
            bit = 1 << -step
            if self._came & bit:
                counts.duplicate += 1
                return False
            self._came |= bit
        counts.expected = self._expected_before + self.newest - min(self._first, number) + 1
        self._first = min(self._first, number)
        return True


def follows(held: Packet, packet: Packet, clock_hz: int) -> bool:
    """Whether *packet* is the one after *held* of the same stream."""
    return (
        held.ssrc == packet.ssrc
        and (packet.sequence - held.sequence) % SEQUENCE_RANGE == 1
        and (packet.timestamp - held.timestamp) % TIMESTAMP_RANGE <= clock_hz
    )
