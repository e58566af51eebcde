"""Offer and answer (RFC 3264): one audio stream, its codec and its addresses, in SDP (RFC 8866)."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, replace

from aiosipua.message import SipRequest, SipResponse
from aiosipua.sdp import Codec as Written
from aiosipua.sdp import MediaDescription, SdpMessage, parse_sdp

from ..codecs import Codec
from .messages import Refused, has_sdp

#: What each direction looks like from the other side.
_MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_PTIMES_MS = (10, 20, 30, 40, 60)
_DEFAULT_PTIME_MS = 20
_EVENT_TYPES = {8_000: 101, 48_000: 110}


@dataclass(frozen=True)
class Agreement:
    """What two sides agree on. *direction* is this side's; *event_type* that of RFC 4733, where both have it."""

    codec: Codec
    host: str
    port: int
    send_type: int
    receive_type: int
    direction: str = "sendrecv"
    ptime_ms: int = _DEFAULT_PTIME_MS
    event_type: int | None = None
    event_receive_type: int | None = None

    @property
    def sends(self) -> bool:
        """Whether the other side wants to hear this one."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        """Whether the other side speaks."""
        return self.direction in ("sendrecv", "recvonly")


class Description:
    """This side's end of the stream: *host* and *port* of its RTP socket. Its version counts what it has said."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._id = secrets.randbelow(2**31)
        self._version = 0
        self._said: list[str] = []

    def _write(self, media: list[str]) -> str:
        if media != self._said:
            self._version += 1
            self._said = media
        family = "IP6" if ":" in self.host else "IP4"
        lines = [
            "v=0",
            f"o=- {self._id} {self._version} IN {family} {self.host}",
            "s=-",
            f"c=IN {family} {self.host}",
            "t=0 0",
            *media,
        ]
        return "\r\n".join(lines) + "\r\n"

    def _audio(self, codecs: list[Codec], events: list[tuple[int, int]], direction: str, ptime_ms: int) -> list[str]:
        types = [codec.payload_type for codec in codecs] + [number for number, _ in events]
        lines = [f"m=audio {self.port} RTP/AVP {' '.join(map(str, types))}"]
        for codec in codecs:
            lines.append(f"a=rtpmap:{codec.payload_type} {codec.rtpmap}")
            if codec.fmtp:
                lines.append(f"a=fmtp:{codec.payload_type} {codec.fmtp}")
        for number, clock_hz in events:
            lines += [f"a=rtpmap:{number} telephone-event/{clock_hz}", f"a=fmtp:{number} 0-15"]
        return [*lines, f"a=ptime:{ptime_ms}", f"a={direction}"]

    def offer(self, codecs: list[Codec], direction: str = "sendrecv") -> str:
        """Offer *codecs*, best first."""
        clocks = sorted({codec.clock_hz for codec in codecs} & set(_EVENT_TYPES))
        events = [(_EVENT_TYPES[clock], clock) for clock in clocks]
        return self._write(self._audio(codecs, events, direction, _DEFAULT_PTIME_MS))

    def answer(self, offer: SdpMessage, codecs: list[Codec], wished: str = "sendrecv") -> tuple[str, Agreement]:
        """Answer *offer* with the first of its codecs that is in *codecs*; *wished* limits this side's direction.

        Raises :class:`Refused` with 488 where there is none.
        """
        index, audio, agreement = first_usable(offer, codecs)
        direction = _both(agreement.direction, wished)
        agreement = replace(agreement, direction=direction)
        media: list[str] = []
        for number, other in enumerate(offer.media):
            if number != index:
                # §6: a stream that is not wanted is answered by port 0.
                media.append(f"m={other.media} 0 {other.proto} {' '.join(other.formats) or '0'}")
                continue
            kind = replace(agreement.codec, payload_type=agreement.receive_type)
            events = [] if agreement.event_type is None else [(agreement.event_type, _event_clock(audio, agreement))]
            media += self._audio([kind], events, direction, agreement.ptime_ms)
        return self._write(media), agreement


def read(message: SipRequest | SipResponse) -> SdpMessage | None:
    """The session description in *message*; None where there is none.

    Raises :class:`Refused` with 400 where it is not one.
    """
    if not has_sdp(message):
        return None
    try:
        description = parse_sdp(message.text)
    except (ValueError, IndexError):
        raise Refused(400, "Bad Session Description") from None
    if not message.text.lstrip().startswith("v=0"):
        raise Refused(400, "Bad Session Description")
    return description


def agree(answer: SdpMessage, offered: list[Codec]) -> Agreement:
    """What *answer* makes of an offer of *offered*. Raises :class:`Refused` with 488 where it makes nothing of it."""
    _, _, agreement = first_usable(answer, offered)
    own = agreement.codec
    events = _EVENT_TYPES.get(own.clock_hz) if agreement.event_type is not None else None
    return replace(agreement, receive_type=own.payload_type, event_receive_type=events)


def first_usable(description: SdpMessage, codecs: list[Codec]) -> tuple[int, MediaDescription, Agreement]:
    """The first audio stream of *description* that can be had with *codecs*, its index, and what that would mean.

    Raises :class:`Refused` with 488 where there is none.
    """
    for index, media in enumerate(description.media):
        if media.media != "audio" or media.proto != "RTP/AVP" or not 0 < media.port < 65_536:
            continue
        where = media.connection or description.connection
        chosen = _first_common(media.codecs, codecs)
        if where is None or chosen is None or (address := _usable(where.address)) is None:
            continue
        written, common = chosen
        on_hold = address.is_unspecified  # RFC 2543's way to hold
        events = _events(media, common)
        return (
            index,
            media,
            Agreement(
                codec=common,
                host=str(address),
                port=media.port,
                send_type=written.payload_type,
                receive_type=written.payload_type,
                direction="inactive" if on_hold else _MIRRORED[_direction(description, media)],
                ptime_ms=_ptime_ms(media),
                event_type=events,
                event_receive_type=events,
            ),
        )
    raise Refused(488)


def _first_common(written: list[Written], codecs: list[Codec]) -> tuple[Written, Codec] | None:
    for one in written:
        for codec in codecs:
            if 0 <= one.payload_type < 128 and _is(one, codec):
                return one, codec
    return None


def _is(written: Written, codec: Codec) -> bool:
    return (
        written.encoding_name.lower() == codec.name.lower()
        and written.clock_rate == codec.clock_hz
        and (written.channels or 1) == codec.channels
    )


def _usable(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address that one packet goes to one machine by."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_multicast or address == ipaddress.ip_address("255.255.255.255"):
        return None
    return address


def _direction(description: SdpMessage, media: MediaDescription) -> str:
    for attributes in (media.attributes, description.attributes):
        for name in _MIRRORED:
            if name in attributes:
                return name
    return "sendrecv"


def _both(one: str, other: str) -> str:
    sends = one in ("sendrecv", "sendonly") and other in ("sendrecv", "sendonly")
    receives = one in ("sendrecv", "recvonly") and other in ("sendrecv", "recvonly")
    return {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
        (sends, receives), "inactive"
    )


def _ptime_ms(media: MediaDescription) -> int:
    for value in media.attributes.get("ptime", []):
        if value.isdigit() and int(value) in _PTIMES_MS:
            return int(value)
    return _DEFAULT_PTIME_MS


def _events(media: MediaDescription, chosen: Codec) -> int | None:
    """The telephone-event whose clock is the codec's, as RFC 4733 §2.1 asks for; else any."""
    events = [c for c in media.codecs if c.encoding_name.lower() == "telephone-event" and 96 <= c.payload_type < 128]
    fitting = [c for c in events if c.clock_rate == chosen.clock_hz]
    return (fitting or events)[0].payload_type if events else None


def _event_clock(media: MediaDescription, agreement: Agreement) -> int:
    return next(c.clock_rate or 8_000 for c in media.codecs if c.payload_type == agreement.event_type)
