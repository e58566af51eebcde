"""What the two ends of a leg agreed on; signalling (SDP, a command line) makes it, the leg obeys it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .codecs import DEFAULT_COMPLEXITY, Codec

#: Host and port.
Address = tuple[str, int]

#: RFC 3389: where comfort noise is, for codecs with a clock of 8 kHz.
COMFORT_NOISE_TYPE = 13


class Direction(StrEnum):
    """From our side, as in SDP: ``sendonly`` sends and does not listen. Hold is ``sendonly`` or ``inactive``."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)


@dataclass(frozen=True)
class Media:
    """One audio stream as negotiated.

    *payload_type* None is the codec's own; *receive_type* is what the other side sends it as, None: the same.
    *send_codec* is what we send where that is another codec than *codec*, which is then what comes (RFC 3264 section
    6.1 lets each side choose); *payload_type* and *events_type* are of what is sent.
    *remote* None: only listen (until latched on, see :class:`~.leg.Leg`). *remote_rtcp* None: the port after
    *remote*'s, or *remote* itself with *rtcp_mux*. *events_type* is the payload type of RFC 4733 events at the codec's
    clock, None where the other side has none; *receive_events_type* what it sends them as, None: the same.
    *noise_type* is that of comfort noise, which is taken from the other side and, with *dtx*, sent. *complexity* is how
    hard Opus's encoder tries, 0 to 10.
    """

    codec: Codec
    payload_type: int | None = None
    remote: Address | None = None
    remote_rtcp: Address | None = None
    ptime_ms: int = 20
    events_type: int | None = None
    noise_type: int | None = COMFORT_NOISE_TYPE
    rtcp_mux: bool = False
    direction: Direction = Direction.SENDRECV
    dtx: bool = False
    complexity: int = DEFAULT_COMPLEXITY
    receive_type: int | None = None
    receive_events_type: int | None = None
    send_codec: Codec | None = None

    @property
    def sent(self) -> Codec:
        """The codec that we send."""
        return self.codec if self.send_codec is None else self.send_codec

    @property
    def type_number(self) -> int:
        """The payload type that we send."""
        return self.sent.payload_type if self.payload_type is None else self.payload_type

    @property
    def received_types(self) -> tuple[int, int | None, int | None]:
        """The payload types that come: audio, events and comfort noise."""
        audio = self.receive_type
        if audio is None:
            audio = self.type_number if self.send_codec is None else self.codec.payload_type
        events = self.events_type if self.receive_events_type is None else self.receive_events_type
        return audio, events, self.noise_type

    @property
    def rtcp_address(self) -> Address | None:
        """Where RTCP is sent."""
        if self.remote is None or self.remote_rtcp is not None:
            return self.remote_rtcp
        return self.remote if self.rtcp_mux else (self.remote[0], self.remote[1] + 1)
