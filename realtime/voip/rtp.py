"""RTP packets (RFC 3550 section 5): read without ever failing, written in one call."""

from __future__ import annotations

import struct
from typing import NamedTuple

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")

#: What is read from a socket at most. A packet of this size was never meant for a telephone; longer ones are cut, and
#: refused for it.
MAX_PACKET_BYTES = 1_500

SEQUENCE_RANGE = 1 << 16
TIMESTAMP_RANGE = 1 << 32


class Packet(NamedTuple):
    """One RTP packet; *timestamp* counts in the codec's clock."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(datagram: bytes) -> Packet | None:
    """The packet in *datagram*; None where it is none: another version, lengths that do not fit, no payload at all."""
    size = len(datagram)
    if not 12 < size <= MAX_PACKET_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    if first >> 6 != 2:
        return None
    start, end = 12 + 4 * (first & 0x0F), size
    if first & 0x10:
        if start + 4 > size:
            return None
        start += 4 + 4 * _EXTENSION.unpack_from(datagram, start)[1]
    if first & 0x20:
        padding = datagram[-1]
        if padding == 0:
            return None
        end -= padding
    if start >= end:
        return None
    return Packet(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, datagram[start:end])


def build(packet: Packet) -> bytes:
    """The datagram of *packet*, without extensions."""
    second = packet.payload_type | (0x80 if packet.marker else 0)
    header = _HEADER.pack(0x80, second, packet.sequence, packet.timestamp, packet.ssrc)
    return header + packet.payload


def looks_like_rtcp(datagram: bytes) -> bool:
    """Whether *datagram* is RTCP where both come to one port (RFC 5761 section 4)."""
    return len(datagram) >= 8 and datagram[0] >> 6 == 2 and 192 <= datagram[1] <= 223


def unwrap(value: int, near: int, size: int) -> int:
    """The number that *value* modulo *size* stands for, nearest to *near*."""
    offset = (value - near) % size
    return near + (offset if offset < size // 2 else offset - size)
