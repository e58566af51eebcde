"""Telephone events (RFC 4733): key presses that travel beside the audio."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

_EVENT = struct.Struct("!BBH")

#: Event codes 0 to 15 are these keys.
KEYS = "0123456789*#ABCD"

#: How loud the tone was meant to be, in dB below full scale of the line: -10 dBm0 is what telephones send.
VOLUME = 10

#: A key whose end never comes has ended after so long.
_TIMEOUT_NS = 250_000_000


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


@dataclass
class _Pressed:
    """The event that comes in: which, when it began, and how long it is by now."""

    timestamp: int
    code: int
    duration: int
    seen_ns: int
    told: bool = False


class Keys:
    """Keys that the other side presses, each told once: at its end, which comes three times or not at all."""

    def __init__(self) -> None:
        self._key: _Pressed | None = None
        self.count = 0

    def take(self, event: Event, timestamp: int, now_ns: int) -> list[Event]:
        """*event* of a packet with *timestamp*; gives the keys that have ended by it, with their whole duration."""
        ended = []
        key = self._key
        if key is None or key.timestamp != timestamp:
            ended += self._end(key)
            key = self._key = _Pressed(timestamp, event.code, event.duration, now_ns)
        key.duration = max(key.duration, event.duration)
        key.seen_ns = now_ns
        return ended + self._end(key) if event.end else ended

    def expire(self, now_ns: int) -> list[Event]:
        """The key of which nothing more has come, if there is one."""
        key = self._key
        return self._end(key) if key is not None and now_ns - key.seen_ns > _TIMEOUT_NS else []

    def _end(self, key: _Pressed | None) -> list[Event]:
        # It stays known, so that its repeated end is not another key.
        if key is None or key.told or key.code >= len(KEYS):
            return []
        key.told = True
        self.count += 1
        return [Event(key.code, True, key.duration)]
