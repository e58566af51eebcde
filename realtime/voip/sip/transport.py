"""SIP over UDP and TCP (RFC 3261 §18): whole messages in and out, and nothing that a peer sends can raise here."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiosipua.headers import parse_via, stringify_via
from aiosipua.message import SipMessage, SipRequest, SipResponse

from ...errors import FullbandError
from ..limits import Gate
from .counters import Counters

# The grammar logs what it finds wrong with each message. It is counted here instead: a log is no place for strangers.
logging.getLogger("aiosipua").addHandler(logging.NullHandler())
logging.getLogger("aiosipua").propagate = False

#: Longer is no telephone call. A datagram cannot be longer; a stream that promises more is closed.
_HEADER_BYTES = 16_384
_BODY_BYTES = 65_536

#: A burst waits here while the interpreter is busy; the kernel may give less.
_RECEIVE_BUFFER_BYTES = 1 << 20

_CONNECTIONS = 256
_IDLE_SECONDS = 900.0
_KEEP_ALIVE = b"\r\n\r\n"
_PONG = b"\r\n"

Message = SipRequest | SipResponse


@dataclass(frozen=True)
class Peer:
    """The far end of a message. *protocol* is ``udp`` or ``tcp``, *host* an address."""

    protocol: str
    host: str
    port: int

    @property
    def is_reliable(self) -> bool:
        """Whether what is sent arrives, or is known not to have."""
        return self.protocol != "udp"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}:{host}:{self.port}"


class Transport:
    """Sockets of one user agent. *receive* gets every message that can be read, *failed* peers out of reach."""

    def __init__(
        self,
        receive: Callable[[Message, Peer], None],
        failed: Callable[[Peer], None],
        gate: Gate,
        counters: Counters,
    ) -> None:
        self.counters = counters
        self._receive = receive
        self._failed = failed
        self._gate = gate
        self._datagrams: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._streams: dict[Peer, _Stream] = {}
        self._opening: dict[Peer, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bound: dict[str, tuple[str, int]] = {}

    async def listen(self, protocol: str, host: str, port: int) -> tuple[str, int]:
        """Open ``udp`` or ``tcp``; the address and port that it got. *port* 0 takes any.

        Raises :class:`FullbandError` where the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        try:
            if protocol == "udp":
                self._datagrams, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self._take), local_addr=(host, port)
                )
                name = self._datagrams.get_extra_info("sockname")
                self._datagrams.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES
                )
            else:
                self._server = await loop.create_server(lambda: _Stream(self), host, port)
                name = self._server.sockets[0].getsockname()
        except OSError as error:
            raise FullbandError(
                f"cannot listen on {Peer(protocol, host, port)}: {error.strerror}; choose another with --listen"
            ) from None
        self._bound[protocol] = (name[0], name[1])
        return self._bound[protocol]

    def own_address(self, peer: Peer) -> tuple[str, int]:
        """The address and port by which *peer* reaches this side."""
        host, port = self._bound.get(peer.protocol) or next(iter(self._bound.values()))
        return (address_towards(peer.host) if host in ("0.0.0.0", "::") else host), port

    def send(self, message: Message, peer: Peer) -> None:
        """Send *message*; a stream that is not open yet is opened. A peer out of reach is told to *failed*."""
        data = bytes(message)
        self.counters.sent += 1
        if peer.protocol == "udp":
            if self._datagrams is not None and not self._datagrams.is_closing():
                self._datagrams.sendto(data, (peer.host, peer.port))
        elif stream := self._streams.get(peer):
            stream.write(data)
        elif peer in self._opening:
            self._opening[peer].append(data)
        else:
            self._opening[peer] = [data]
            task = asyncio.get_running_loop().create_task(self._open(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(8.0):
                _, stream = await loop.create_connection(lambda: _Stream(self, peer), peer.host, peer.port)
        except (OSError, TimeoutError):
            self._opening.pop(peer, None)
            self._failed(peer)
            return
        for data in self._opening.pop(peer, []):
            stream.write(data)

    def _take(self, data: bytes, peer: Peer) -> None:
        """One message, as far as it is one."""
        if not data.strip(b"\r\n\0"):
            return
        if not self._gate.admits_message(peer.host):
            self.counters.throttled += 1
            return
        self.counters.received += 1
        try:
            message = _read(data)
            if isinstance(message, SipRequest):
                _stamp(message, peer)
        except (ValueError, IndexError):
            message = None
        if message is None:
            self.counters.dropped += 1
        else:
            self._receive(message, peer)

    def _opened(self, stream: _Stream, peer: Peer) -> bool:
        if len(self._streams) >= _CONNECTIONS:
            return False
        self._streams[peer] = stream
        return True

    def _closed(self, stream: _Stream, peer: Peer) -> None:
        if self._streams.get(peer) is stream:
            del self._streams[peer]

    async def close(self) -> None:
        """Close all sockets."""
        for task in list(self._tasks):
            task.cancel()
        if self._server is not None:
            self._server.close()
        for stream in list(self._streams.values()):
            stream.close()
        if self._datagrams is not None:
            self._datagrams.close()
        # Sockets close in the loop's next round.
        await asyncio.sleep(0)


def address_towards(host: str) -> str:
    """The address of this machine that packets to *host* leave from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((host, 9))
        return str(probe.getsockname()[0])
    return "::1" if family == socket.AF_INET6 else "127.0.0.1"


def _read(data: bytes) -> Message | None:
    """The message in *data*; None where there is none. Raises ValueError or IndexError where it breaks off."""
    words = data.partition(b"\n")[0].split()
    if not words:
        return None
    # A request of another version is answered by 505; without any it is no SIP.
    version = words[0] if words[0].startswith(b"SIP/") else words[-1].upper()
    if not version.startswith(b"SIP/"):
        return None
    message = SipMessage.parse(data)
    message.headers.remove(VERSION_HEADER)
    if version != b"SIP/2.0":
        message.headers.append(VERSION_HEADER, ascii(version)[2:-1])
    return message


#: Where the transport leaves the version of a request that is not SIP/2.0; the grammar forgets it.
VERSION_HEADER = "X-Fullband-Version"


def _stamp(request: SipRequest, peer: Peer) -> None:
    """Write where it came from into the topmost Via (RFC 3261 §18.2.1, RFC 3581)."""
    lines = request.headers.get("via")
    if not lines:
        return
    via = parse_via(lines[0])
    wants_port = "rport" in via.params
    if via.host.strip("[]") != peer.host or wants_port:
        via.params["received"] = peer.host
    if wants_port:
        via.params["rport"] = str(peer.port)
    with suppress(ValueError):
        rest = lines[1:]
        request.headers.set_single("Via", stringify_via(via))
        for line in rest:
            request.headers.append("Via", line)


def reply_peer(request: SipRequest, peer: Peer) -> Peer:
    """Where responses to *request* go (RFC 3261 §18.2.2): never anywhere but to the host that it came from."""
    if peer.is_reliable:
        return peer
    via = parse_via(request.headers.get("via")[0])
    if "rport" in via.params:
        return peer
    return Peer(peer.protocol, peer.host, via.port if via.port and 0 < via.port < 65_536 else 5060)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Peer], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._take(data, Peer("udp", addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """A datagram that reached nobody is one that is not answered: its transaction finds out."""


class _Stream(asyncio.Protocol):
    """A TCP connection; messages are told apart by their Content-Length."""

    def __init__(self, owner: Transport, peer: Peer | None = None) -> None:
        self._owner = owner
        self._peer = peer
        self._kept = bytearray()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._peer is None:
            name = transport.get_extra_info("peername")
            self._peer = Peer("tcp", name[0], name[1])
        if not self._owner._opened(self, self._peer):
            transport.abort()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._peer is not None:
            self._owner._closed(self, self._peer)

    def data_received(self, data: bytes) -> None:
        self._wait()
        self._kept += data
        while self._kept and self._take_one():
            pass

    def _take_one(self) -> bool:
        if self._kept.startswith(_KEEP_ALIVE):
            del self._kept[: len(_KEEP_ALIVE)]
            self.write(_PONG)
            return True
        if self._kept.startswith(_PONG) and len(self._kept) > 2:
            del self._kept[: len(_PONG)]
            return True
        end = self._kept.find(_KEEP_ALIVE)
        if end < 0:
            if len(self._kept) > _HEADER_BYTES:
                self._refuse()
            return False
        length = _content_length(bytes(self._kept[:end]))
        if end > _HEADER_BYTES or length is None or length > _BODY_BYTES:
            self._refuse()
            return False
        whole = end + len(_KEEP_ALIVE) + length
        if len(self._kept) < whole:
            return False
        message = bytes(self._kept[:whole])
        del self._kept[:whole]
        assert self._peer is not None
        self._owner._take(message, self._peer)
        return True

    def _refuse(self) -> None:
        """Where one message ends is not known any more."""
        self._owner.counters.dropped += 1
        self._kept.clear()
        self.close()

    def _wait(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self.close)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _content_length(header: bytes) -> int | None:
    """The length of the body; 0 where it is not told, None where it is not a number."""
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-length", b"l"):
            value = value.strip()
            return int(value) if value.isdigit() and len(value) < 8 else None
    return 0
