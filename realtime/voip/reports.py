"""What the two ends of a stream tell each other in RTCP (RFC 3550 section 6.4): losses, and how long the way is."""

from __future__ import annotations

from . import rtcp
from .receiver import Receiver
from .sender import Sender
from .statistics import ReceivedCounts


class Reports:
    """The reports of one end. Before the other side's first one *round_trip_ms* and *lost_share* are None."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._due_ns: int | None = None
        self._heard: tuple[int, int] | None = None
        self._told = (0, 0)
        #: There and back, as the newest report has it.
        self.round_trip_ms: float | None = None
        #: What the other side misses of our packets, 0..1.
        self.lost_share: float | None = None

    def begin(self, now_ns: int) -> None:
        """The first one is due after half an interval (section 6.2)."""
        self._due_ns = now_ns + int(0.5e9 * rtcp.next_interval_s())

    def comes_due(self, now_ns: int) -> bool:
        """Whether one is to be made now; the next comes due an interval later."""
        if self._due_ns is None or now_ns < self._due_ns:
            return False
        self._due_ns = now_ns + int(1e9 * rtcp.next_interval_s())
        return True

    def take(self, contents: rtcp.Contents, ssrc: int | None, arrival_ns: int) -> None:
        """What the other side says; *ssrc* is what we send under."""
        for report in contents.reports:
            if report.ntp is not None:
                self._heard = (rtcp.middle(report.ntp), arrival_ns)
            for block in report.blocks:
                if block.ssrc == ssrc:
                    self.lost_share = block.fraction_lost
                    if block.last_report:
                        passed = (rtcp.middle(rtcp.ntp_now()) - block.last_report - block.since_last_report) % (1 << 32)
                        # A negative time, by clocks that are read at slightly different moments, is none.
                        self.round_trip_ms = passed / 65.536 if passed < 1 << 31 else 0.0

    def make(self, sender: Sender, receiver: Receiver, counts: ReceivedCounts, now_ns: int, *, bye: bool) -> bytes:
        """A compound packet of how it stands; with *bye* the last."""
        block = self._block(receiver, counts, now_ns) if receiver.arrivals.ssrc is not None else None
        sent = None
        if sender.counts.packets:
            sent = (rtcp.ntp_now(), sender.timestamp, sender.counts.packets, sender.counts.payload_bytes)
        return rtcp.build(sender.ssrc, self._name, block, sent, bye=bye)

    def _block(self, receiver: Receiver, counts: ReceivedCounts, now_ns: int) -> rtcp.Block:
        arrivals = receiver.arrivals
        assert arrivals.ssrc is not None
        new_expected, new_lost = counts.expected - self._told[0], counts.lost - self._told[1]
        self._told = (counts.expected, counts.lost)
        last, came_ns = self._heard or (0, now_ns)
        return rtcp.Block(
            arrivals.ssrc,
            max(new_lost, 0) / max(new_expected, 1),
            counts.lost,
            arrivals.newest & 0xFFFF_FFFF,
            int(arrivals.jitter_clock),
            last,
            int((now_ns - came_ns) * 65_536 / 1e9) if last else 0,
        )
