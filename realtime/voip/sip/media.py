"""The RTP leg of one party, and two of them joined through the network."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from ...errors import FullbandError
from ..codecs import DEFAULT_COMPLEXITY
from ..exchange import Exchange
from ..frames import Sink, Source
from ..leg import Leg
from ..media import Direction, Media
from ..stream import Stream
from .messages import Refused
from .sdp import Agreement

#: RFC 6716's full band.
_FULL_BAND_HZ = 20_000.0


class Line:
    """One party's leg, obeying what SDP agrees on. *host* is what the other side is told.

    *changed* is called when the codec is another, *key_pressed* with a key of the other side and its duration in ms
    (RFC 4733); both in the loop's thread.
    """

    def __init__(self, leg: Leg, host: str, complexity: int = DEFAULT_COMPLEXITY) -> None:
        self.leg = leg
        self._complexity = complexity
        self.host = host
        self.port = leg.local[1]
        self.agreement: Agreement | None = None
        self.changed: Callable[[], None] = lambda: None
        self.key_pressed: Callable[[str, int], None] = lambda key, duration_ms: None
        self._last: dict[str, Any] = {}
        self._closed = False
        loop = asyncio.get_running_loop()
        leg.on_key = lambda key, ms: _tell(loop, lambda: self.key_pressed(key, ms))

    def agree(self, agreement: Agreement) -> None:
        """Send and receive as agreed, from now on."""
        before, self.agreement = self.agreement, agreement
        self.leg.negotiate(
            Media(
                agreement.codec,
                payload_type=agreement.send_type,
                receive_type=agreement.receive_type,
                remote=(agreement.host, agreement.port),
                ptime_ms=agreement.ptime_ms,
                events_type=agreement.event_type,
                receive_events_type=agreement.event_receive_type,
                direction=Direction(agreement.direction),
                complexity=self._complexity,
            )
        )
        if before is None or before.codec is not agreement.codec:
            self.changed()

    def statistics(self) -> dict[str, Any]:
        """What the leg counts; the last figures once it is closed."""
        if not self._closed:
            self._last = self.leg.statistics().as_dict()
        return self._last

    def close(self) -> None:
        """Hang up the leg. May be called twice."""
        if not self._closed:
            self.statistics()
            self._closed = True
            self.leg.close()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """From the exchange's thread to the loop's; nothing where that has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


class Switchboard:
    """Opens lines and joins them on one exchange. *ports* are those of RTP, both ends included; None: any.

    *complexity* is that of Opus, see :class:`~..media.Media`.
    """

    def __init__(
        self,
        exchange: Exchange,
        ports: tuple[int, int] | None = None,
        latch: bool = False,
        complexity: int = DEFAULT_COMPLEXITY,
    ) -> None:
        self.exchange = exchange
        self._ports = ports
        self._latch = latch
        self._complexity = complexity

    def open(self, host: str, told: str | None = None) -> Line:
        """A line on the address *host*, which the other side is told as *told*.

        Raises :class:`Refused` with 503 where no port is free.
        """
        for port in self._candidates():
            try:
                return Line(Leg(host, port, latch=self._latch), told or host, self._complexity)
            except FullbandError:
                continue
        raise Refused(503, "No Port For Media")

    def _candidates(self) -> list[int]:
        if self._ports is None:
            return [0]
        first, last = self._ports
        even = list(range(first + first % 2, last, 2))
        # Not always the same first, so that a late packet of one call does not meet the next.
        start = secrets.randbelow(len(even))
        return even[start:] + even[:start]

    def carry(self, source: Source, sink: Sink) -> Stream:
        """Carry audio; through the network where *sink* can take more band than *source* may have.

        A full-band source may yet carry a telephone's voice: the exchange finds out. Where all lanes are taken it goes
        without the network: dull, but a call.
        """
        band_hz = _band_hz(sink)
        if band_hz >= _FULL_BAND_HZ or band_hz > source.bandwidth_hz:
            try:
                return self.exchange.connect(source, sink)
            except FullbandError:
                pass
        return self.exchange.connect(source, sink, enhance=False)


def _band_hz(sink: Sink) -> float:
    return float(getattr(sink, "bandwidth_hz", 24_000.0))


class Junction:
    """Two lines that hear each other, from the moment that both have agreed.

    Keys are passed on both ways; *pressed* is told of each, and not which.
    """

    def __init__(self, board: Switchboard, one: Line, other: Line, pressed: Callable[[], None] = lambda: None) -> None:
        self._board = board
        self._pressed = pressed
        self._lines = (one, other)
        self._streams: list[Stream] = []
        self._closed = False
        one.changed = other.changed = self._connect
        one.key_pressed = self._passer(other)
        other.key_pressed = self._passer(one)
        self._connect()

    def _passer(self, line: Line) -> Callable[[str, int], None]:
        def pass_on(key: str, duration_ms: int) -> None:
            self._pressed()
            line.leg.send_key(key, duration_ms)

        return pass_on

    @property
    def enhanced(self) -> list[bool]:
        """Whether the first hears the second through the network, and the second the first."""
        return [stream.batch is not None for stream in self._streams]

    def _connect(self) -> None:
        one, other = self._lines
        if self._closed or one.agreement is None or other.agreement is None:
            return
        for stream in self._streams:
            stream.close()
        self._streams = [self._board.carry(other.leg, one.leg), self._board.carry(one.leg, other.leg)]

    def close(self) -> None:
        """Leave both lines alone. May be called twice."""
        self._closed = True
        for stream in self._streams:
            stream.close()
