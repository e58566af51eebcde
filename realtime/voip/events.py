"""Telephone events (RFC 4733): key presses that travel beside the audio."""

from __future__ import annotations

import struct
from typing import NamedTuple

_EVENT = struct.Struct("!BBH")

#: Event codes 0 to 15 are these keys.
KEYS = "0123456789*#ABCD"

#: How loud the tone was meant to be, in dB below full scale of the line: -10 dBm0 is what telephones send.
VOLUME = 10


class Event(NamedTuple):
    """State of one event: *duration* so far, in the codec's clock."""

    code: int
    end: bool
    duration: int


def parse(payload: bytes) -> Event | None:
    """The event in *payload*; None where it is none. Later ones in the same payload are ignored, as they may be."""
    if len(payload) < _EVENT.size:
        return None
    code, flags, duration = _EVENT.unpack_from(payload)
    return Event(code, flags >= 0x80, duration)


def build(event: Event) -> bytes:
    """The payload for *event*."""
    return _EVENT.pack(event.code, (0x80 if event.end else 0) | VOLUME, min(event.duration, 0xFFFF))
