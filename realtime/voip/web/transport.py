"""ICE and DTLS-SRTP of one page: encrypted datagrams on the network, plain RTP and RTCP for a leg.

aioice finds the way, aiortc encrypts. aiortc has no public way to have its packets undecoded: :class:`_Dtls` takes them
where it would hand them to its own receiver. These names of aiortc are private; all that is used of them is here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from aioice import Candidate, Connection
from aiortc import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport

from ..media import Address
from ..rtp import MAX_PACKET_BYTES
from ..sockets import Datagram
from .offer import Offer, Own

#: The page's address, as far as a leg is concerned: what is decrypted comes from it and from nobody else.
PEER: Address = ("page", 9)

#: ICE and DTLS are done within tenths of a second, or never.
_CONNECT_S = 15.0

#: Datagrams that wait for the exchange, and for the loop, at most.
_MOST_WAITING = 256


class _Connection(Connection):
    """ICE on *addresses* alone (empty: on all but loopback); what comes before there is a way is dropped."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__(ice_controlling=False)
        self._own_addresses = addresses
        self.connected = False

    async def get_component_candidates(self, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        return await super().get_component_candidates(component, self._own_addresses or addresses, timeout)

    def data_received(self, data: bytes, component: int) -> None:
        if self.connected and 0 < len(data) <= MAX_PACKET_BYTES + 100:
            super().data_received(data, component)


class _Way:
    """What DTLS asks of the transport below it."""

    #: RFC 8445: the side that answers.
    role = "controlled"

    def __init__(self, connection: Connection) -> None:
        self._recv = connection.recv
        self._send = connection.send


class _Dtls(RTCDtlsTransport):
    """Gives decrypted packets to *take*, RTP and RTCP alike."""

    def __init__(self, way: _Way, certificate: RTCCertificate, take: Callable[[bytes], None]) -> None:
        super().__init__(way, [certificate])  # type: ignore[arg-type]
        self._take = take

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        self._take(data)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self._take(data)

    async def send(self, data: bytes) -> None:
        await self._send_rtp(data)


class Transport:
    """The sockets of a leg whose other end is a page. *ended* is called once, in the loop, when the page has gone.

    Make it in the loop; :meth:`receive` and :meth:`send` are for the exchange's thread.
    """

    def __init__(self, addresses: list[str], ended: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._connection = _Connection(addresses)
        self._certificate = RTCCertificate.generateCertificate()
        self._dtls = _Dtls(_Way(self._connection), self._certificate, self._take)
        self._arrived: deque[Datagram] = deque(maxlen=_MOST_WAITING)
        self._leaving: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self.connected = False
        self.local: Address = ("", 0)

    async def gather(self) -> Own:
        """Bind, and say where."""
        connection = self._connection
        await connection.gather_candidates()
        return Own(
            connection.local_username,
            connection.local_password,
            tuple(connection.local_candidates),
            tuple(self._certificate.getFingerprints()),
        )

    async def connect(self, offer: Offer) -> bool:
        """Meet the page; whether that came about."""
        connection, dtls = self._connection, self._dtls
        connection.remote_username, connection.remote_password = offer.ufrag, offer.password
        for candidate in offer.candidates:
            await connection.add_remote_candidate(candidate)
        # More may come by themselves (peer-reflexive), so that the end of candidates is never declared.
        try:
            async with asyncio.timeout(_CONNECT_S):
                await connection.connect()
                connection.connected = True
                await dtls.start(RTCDtlsParameters(fingerprints=list(offer.fingerprints)))
        except (TimeoutError, ConnectionError, ValueError):
            return False
        if dtls.state != "connected" or self._closed:
            return False
        self.connected = True
        dtls.on("statechange", self._changed)
        self._tasks.append(asyncio.ensure_future(self._send_all()))
        return True

    def _changed(self) -> None:
        if self._dtls.state in ("closed", "failed") and self.connected:
            self.connected = False
            self._ended("the page hung up, or was not heard of any more")

    def _take(self, data: bytes) -> None:
        self._arrived.append((data, PEER, time.monotonic_ns()))

    async def _send_all(self) -> None:
        while True:
            data = await self._leaving.get()
            # A way that is gone is told of by the state.
            with suppress(ConnectionError):
                await self._dtls.send(data)

    def receive(self, now_ns: int) -> Iterator[Datagram]:
        """What has come."""
        arrived = self._arrived
        for _ in range(len(arrived)):
            yield arrived.popleft()

    def send(self, datagram: bytes, to: Address, *, report: bool = False) -> None:
        """Send, or drop."""
        if self.connected:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._queue, datagram)

    def _queue(self, datagram: bytes) -> None:
        with suppress(asyncio.QueueFull):
            self._leaving.put_nowait(datagram)

    def close(self) -> None:
        """Say goodbye and let go of the sockets, in the background; :meth:`closed` waits for it."""
        if not self._closed:
            self._closed = True
            self._tasks.append(asyncio.ensure_future(self._leave()))

    async def _leave(self) -> None:
        # What the leg has said last, its goodbye, is on its way to the queue.
        await asyncio.sleep(0)
        while self.connected and not self._leaving.empty():
            with suppress(ConnectionError):
                await self._dtls.send(self._leaving.get_nowait())
        self.connected = False
        with suppress(ConnectionError):
            await self._dtls.stop()
        await self._connection.close()

    async def closed(self) -> None:
        """Wait until nothing is left of it."""
        for task in self._tasks[:-1]:
            task.cancel()
        done: list[Any] = await asyncio.gather(*self._tasks, return_exceptions=True)
        del done
