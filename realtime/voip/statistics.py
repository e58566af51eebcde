"""What a leg counts, and what it tells of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class SentCounts:
    """What was sent from the beginning of a leg, for reports and for RTCP."""

    packets: int = 0
    payload_bytes: int = 0
    keys: int = 0


@dataclass
class ReceivedCounts:
    """What came and what became of it, from the beginning of a leg; samples are at 48 kHz.

    *lost* never came; *late* came when its time had passed; *strange* belonged to no stream; *recovered* were lost and
    made up from the packet after. *concealed_samples* were made up from what went before.
    """

    packets: int = 0
    payload_bytes: int = 0
    expected: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0
    malformed: int = 0
    strange: int = 0
    overflow: int = 0
    recovered: int = 0
    streams: int = 0
    shortened: int = 0
    lengthened: int = 0
    resyncs: int = 0
    samples: int = 0
    concealed_samples: int = 0

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(self.expected - self.packets + self.duplicate, 0)


@dataclass(frozen=True)
class LegStatistics:
    """One leg at one moment. Counts are from its beginning; times are the present ones.

    *refused* came from somewhere else than was negotiated, *limited* were too many. *jitter_ms* is RFC 3550's.
    *concealed_share* is of all that was played while the other side was speaking. *delay_ms* is what the jitter buffer
    adds now, *target_ms* what it aims at; *drift_ppm* how much faster the other side's clock runs. *round_trip_ms* and
    *remote_lost_share* are from the other side's last report, None before. *mos* is the E-model's estimate (G.107) for
    what is heard here, 1 to 4.5; None before anything was.
    """

    codec: str
    packets_received: int
    packets_sent: int
    bytes_received: int
    bytes_sent: int
    expected: int
    lost: int
    late: int
    duplicate: int
    reordered: int
    recovered: int
    malformed: int
    strange: int
    refused: int
    limited: int
    streams: int
    resyncs: int
    keys_received: int
    keys_sent: int
    seconds_heard: float
    concealed_share: float
    jitter_ms: float
    delay_ms: float
    target_ms: float
    drift_ppm: float
    round_trip_ms: float | None
    remote_lost_share: float | None
    mos: float | None

    def as_dict(self) -> dict[str, Any]:
        """For reports."""
        return {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(self).items()}
