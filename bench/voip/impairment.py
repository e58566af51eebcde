"""A bad network between two UDP ports, as the kernel's netem would make it, but in this process and from a seed.

:class:`Link` decides, for one packet after the other, when and how often it arrives: by itself it serves runs in
virtual time. :class:`Proxy` is a link between sockets, in real time.
"""

from __future__ import annotations

import heapq
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: A packet that is overtaken is held back by so much: by the next of 20 ms, that is.
_OVERTAKEN_MS = 25.0
#: A copy comes so much later.
_COPY_MS = 3.0

#: The receiving side of the proxy waits so long for a packet before it looks whether it is to stop.
_IDLE_SECONDS = 0.05

_MOST_BYTES = 65_535

Address = tuple[str, int]


@dataclass(frozen=True)
class Impairment:
    """What is wrong. Shares are of packets, 0 to 1.

    *loss* is each packet's own chance; *burst_begin* and *burst_end* are the chances, at each packet, that a burst in
    which all are lost begins and ends (Gilbert, "Capacity of a burst-noise channel", BSTJ 39, 1960). *jitter_ms* delays
    each packet by up to so much, evenly. *sender_ppm* is how much faster the sender's clock runs.
    """

    loss: float = 0.0
    burst_begin: float = 0.0
    burst_end: float = 1.0
    jitter_ms: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    sender_ppm: float = 0.0


class Link:
    """One direction of a call. *longest_s* is how long it can be: a sender that is fast comes ever earlier, which it
    can only if it was held back at first."""

    def __init__(self, impairment: Impairment, seed: int = 0, longest_s: float = 0.0) -> None:
        self.impairment = impairment
        self.packets = self.lost = self.copies = self.overtaken = 0
        self._random = random.Random(seed)
        self._in_burst = False
        self._began_s: float | None = None
        self._held_s = max(impairment.sender_ppm, 0.0) * 1e-6 * longest_s

    def arrivals_s(self, sent_s: float) -> list[float]:
        """When the packet sent at *sent_s* arrives: never, once or twice."""
        what, draw = self.impairment, self._random.random
        if self._began_s is None:
            self._began_s = sent_s
        self.packets += 1
        drawn = [draw() for _ in range(5)]  # as many for each packet, so that one impairment does not move another
        self._in_burst = drawn[0] >= what.burst_end if self._in_burst else drawn[0] < what.burst_begin
        if self._in_burst or drawn[1] < what.loss:
            self.lost += 1
            return []
        elapsed_s = sent_s - self._began_s
        arrival_s = sent_s + self._held_s - elapsed_s * what.sender_ppm * 1e-6 + drawn[2] * what.jitter_ms / 1000.0
        if drawn[3] < what.reorder:
            self.overtaken += 1
            arrival_s += _OVERTAKEN_MS / 1000.0
        if drawn[4] < what.duplicate:
            self.copies += 1
            return [arrival_s, arrival_s + _COPY_MS / 1000.0]
        return [arrival_s]

    @property
    def lost_share(self) -> float:
        """Of the packets so far."""
        return self.lost / max(self.packets, 1)


class Proxy:
    """Passes datagrams that come to :attr:`address` on to every one of *targets*, by way of one :class:`Link`.

    All targets get the same packets at the same time. *change* may alter a datagram before it is sent on, or give
    None to drop it.
    """

    def __init__(
        self,
        link: Link,
        targets: Sequence[Address],
        change: Callable[[bytes], bytes | None] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.link = link
        self._targets = tuple(targets)
        self._change = change
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.address: Address = self._socket.getsockname()
        self._queue: list[tuple[float, int, bytes]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            wait_s = _IDLE_SECONDS
            if self._queue:
                wait_s = min(max(self._queue[0][0] - time.monotonic(), 1e-5), wait_s)
            self._socket.settimeout(wait_s)
            try:
                datagram = self._socket.recv(_MOST_BYTES)
            except (TimeoutError, OSError):
                datagram = b""
            if datagram:
                for arrival_s in self.link.arrivals_s(time.monotonic()):
                    number += 1
                    heapq.heappush(self._queue, (arrival_s, number, datagram))
            while self._queue and self._queue[0][0] <= time.monotonic():
                self._pass_on(heapq.heappop(self._queue)[2])

    def _pass_on(self, datagram: bytes) -> None:
        changed = datagram if self._change is None else self._change(datagram)
        if changed is not None:
            for target in self._targets:
                self._socket.sendto(changed, target)
