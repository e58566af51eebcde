"""The two UDP sockets of a leg. What comes has the kernel's time of arrival, so that a late reader spoils no figure."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from ..errors import FullbandError
from .media import Address
from .rtp import MAX_PACKET_BYTES

#: Taken at a time at most; what a flood leaves waits for the next frame, or is dropped by the kernel.
_MOST_AT_ONCE = 256

#: The kernel's SO_TIMESTAMPNS: a struct timespec of CLOCK_REALTIME with each datagram (Linux; socket(7)).
_SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)

#: Older than this a time of arrival is not believed: the wall clock was set meanwhile.
_OLDEST_NS = 2_000_000_000

#: Expedited forwarding (RFC 3246), which networks that care give to voice.
_EXPEDITED = 0xB8

Datagram = tuple[bytes, Address, int]


class Sockets(Protocol):
    """Where a leg's datagrams come from and go to, as :class:`SocketPair`; nothing of it blocks."""

    local: Address

    def receive(self, now_ns: int) -> Iterator[Datagram]: ...

    def send(self, datagram: bytes, to: Address, *, report: bool = False) -> None: ...

    def close(self) -> None: ...


class SocketPair:
    """RTP on an even port and RTCP on the next; *port* 0 takes any free pair. Nothing here blocks."""

    def __init__(self, host: str, port: int = 0) -> None:
        self._rtp, self._rtcp = _open_pair(host, port)
        name = self._rtp.getsockname()
        self.local: Address = (name[0], name[1])

    def receive(self, now_ns: int) -> Iterator[Datagram]:
        """What has come: datagram, sender and time of arrival on CLOCK_MONOTONIC; *now_ns* is that clock's now.

        One byte more than a packet may have is read at most, so that a longer one is known.
        """
        to_monotonic_ns = now_ns - time.time_ns()
        for waiting in (self._rtp, self._rtcp):
            for _ in range(_MOST_AT_ONCE):
                try:
                    datagram, ancillary, _, address = waiting.recvmsg(MAX_PACKET_BYTES + 1, _ANCILLARY_BYTES)
                except OSError:
                    break
                yield datagram, (address[0], address[1]), _arrival_ns(ancillary, to_monotonic_ns, now_ns)

    def send(self, datagram: bytes, to: Address, *, report: bool = False) -> None:
        """Send, or drop: a peer that is gone, a full buffer; the next packet may find it better."""
        with suppress(OSError):
            (self._rtcp if report else self._rtp).sendto(datagram, to)

    def close(self) -> None:
        """Close both."""
        self._rtp.close()
        self._rtcp.close()


def _arrival_ns(ancillary: list[tuple[int, int, bytes]], to_monotonic_ns: int, now_ns: int) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            arrival_ns = seconds * 1_000_000_000 + nanoseconds + to_monotonic_ns
            if now_ns - _OLDEST_NS < arrival_ns <= now_ns:
                return int(arrival_ns)
    return now_ns


def _open_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        pair = (socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM))
        rtp, rtcp = pair
        try:
            rtp.bind((host, port))
            taken = rtp.getsockname()[1]
            if port == 0 and taken % 2:
                raise OSError(0, "an odd port")
            rtcp.bind((host, taken + 1))
        except (OSError, OverflowError) as error:
            rtp.close()
            rtcp.close()
            if port or isinstance(error, socket.gaierror):
                reason = getattr(error, "strerror", None) or str(error)
                raise FullbandError(f"cannot listen on {host}:{port}: {reason}") from None
            continue
        for one in pair:
            one.setblocking(False)
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            with suppress(OSError):
                one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED)
        return pair
    raise FullbandError(f"no free pair of UDP ports on {host}: is it an address of this machine?")
