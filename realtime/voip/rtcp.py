"""RTCP (RFC 3550 section 6): reports of what came, and goodbye. Read without ever failing."""

from __future__ import annotations

import random
import struct
import time
from dataclasses import dataclass
from typing import NamedTuple

_SENDER, _RECEIVER, _DESCRIPTION, _BYE = 200, 201, 202, 203
_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
_SENDER_INFO = struct.Struct("!IQIII")

#: Seconds from 1900, where NTP begins, to 1970.
_NTP_EPOCH = 2_208_988_800

#: Between two reports, drawn anew each time from half to one and a half of it, the first after half (section 6.2).
INTERVAL_S = 5.0


class Block(NamedTuple):
    """What one side says of a stream that it receives. Times are NTP's middle 32 bits (1/65536 s)."""

    ssrc: int
    fraction_lost: float
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    since_last_report: int


@dataclass(frozen=True)
class Report:
    """A sender's or a receiver's report; *ntp* is None in the latter."""

    ssrc: int
    ntp: int | None
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Contents:
    """What a compound packet held that we use."""

    reports: tuple[Report, ...]
    goodbyes: tuple[int, ...]


def ntp_now() -> int:
    """Now, in NTP's 64 bits."""
    seconds = time.time() + _NTP_EPOCH
    return int(seconds * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def middle(ntp: int) -> int:
    """The middle 32 of the 64 bits."""
    return ntp >> 16 & 0xFFFF_FFFF


def next_interval_s() -> float:
    """Until the next report."""
    return INTERVAL_S * random.uniform(0.5, 1.5)


def parse(datagram: bytes) -> Contents | None:
    """What is in a compound packet; None where its lengths or its beginning are wrong."""
    reports: list[Report] = []
    goodbyes: list[int] = []
    position = 0
    while position < len(datagram):
        if position + 8 > len(datagram):
            return None
        first, kind, words = _HEADER.unpack_from(datagram, position)
        end = position + 4 * (words + 1)
        if first >> 6 != 2 or end > len(datagram) or (position == 0 and kind not in (_SENDER, _RECEIVER)):
            return None
        count = first & 0x1F
        body = datagram[position + 4 : end]
        if kind in (_SENDER, _RECEIVER):
            report = _report(kind, count, body)
            if report is None:
                return None
            reports.append(report)
        elif kind == _BYE:
            if 4 * count > len(body):
                return None
            goodbyes += struct.unpack_from(f"!{count}I", body)
        position = end
    return Contents(tuple(reports), tuple(goodbyes)) if reports else None


def _report(kind: int, count: int, body: bytes) -> Report | None:
    start, ntp = 4, None
    if kind == _SENDER:
        if len(body) < _SENDER_INFO.size:
            return None
        ntp = _SENDER_INFO.unpack_from(body)[1]
        start = _SENDER_INFO.size
    if start + count * _BLOCK.size > len(body):
        return None
    blocks = []
    for k in range(count):
        ssrc, losses, highest, jitter, last, since = _BLOCK.unpack_from(body, start + k * _BLOCK.size)
        lost = losses & 0xFF_FFFF
        lost -= (lost >> 23) << 24
        blocks.append(Block(ssrc, (losses >> 24) / 256.0, lost, highest, jitter, last, since))
    return Report(struct.unpack_from("!I", body)[0], ntp, tuple(blocks))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _pack_block(block: Block) -> bytes:
    lost = min(max(block.lost, -(1 << 23)), (1 << 23) - 1) & 0xFF_FFFF
    losses = min(int(block.fraction_lost * 256), 255) << 24 | lost
    return _BLOCK.pack(
        block.ssrc, losses, block.highest_sequence, block.jitter, block.last_report, block.since_last_report
    )


def build(
    ssrc: int,
    cname: str,
    block: Block | None,
    sent: tuple[int, int, int, int] | None,
    *,
    bye: bool = False,
) -> bytes:
    """A compound packet: a report, our name, and with *bye* the end.

    *sent* is (NTP time, RTP timestamp, packets, bytes) of what we send; None where we send nothing.
    """
    blocks = _pack_block(block) if block else b""
    if sent is not None:
        ntp, timestamp, packets, octets = sent
        info = _SENDER_INFO.pack(ssrc, ntp, timestamp, packets & 0xFFFF_FFFF, octets & 0xFFFF_FFFF)
        report = _packet(_SENDER, int(block is not None), info + blocks)
    else:
        report = _packet(_RECEIVER, int(block is not None), struct.pack("!I", ssrc) + blocks)
    name = cname.encode()[:255]
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name
    item += bytes(4 - len(item) % 4)
    compound = report + _packet(_DESCRIPTION, 1, item)
    return compound + (_packet(_BYE, 1, struct.pack("!I", ssrc)) if bye else b"")
