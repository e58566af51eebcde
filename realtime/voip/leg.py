"""One end of a call over RTP: a pair of sockets, a receiver, a sender, and what both count."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import FullbandError
from . import events
from .frames import Frame, silence
from .media import Address, Media
from .receiver import ReceivedCounts, Receiver
from .rtp import MAX_PACKET_BYTES, Packet, looks_like_rtcp, parse
from .sender import Sender


@dataclass(frozen=True)
class LegStatistics:
    """One leg at one moment. Counts are from its beginning; times and rates are the present ones.

    *jitter_ms* is RFC 3550's. *concealed_share* is of all that was played while the other side was to be heard.
    *delay_ms* is what the jitter buffer adds now. *round_trip_ms* is None until the other side has reported. *mos* is
    the E-model's estimate (G.107) for what is heard here, 1 to 4.5; None before anything was.
    """

    codec: str
    packets_received: int
    packets_sent: int
    bytes_received: int
    bytes_sent: int
    lost: int
    late: int
    duplicate: int
    reordered: int
    malformed: int
    refused: int
    concealed_share: float
    jitter_ms: float
    delay_ms: float
    target_ms: float
    round_trip_ms: float | None
    remote_lost_share: float | None
    mos: float | None

    def as_dict(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


class Leg:
    """A source and a sink of frames that is a telephone line: silent until :meth:`negotiate`.

    Its sockets are bound at once, so that :attr:`local` can be offered. Audio moves when the exchange calls
    :meth:`pull` and :meth:`push`, on the exchange's thread; all else may be called from any thread. *on_key* is called
    with a key (``0``-``9 * # A``-``D``) and its duration in ms when the other side has pressed it, *on_silent* with the
    seconds since the last packet once there was none for *silent_after_s*; both on the exchange's thread: they have
    to return at once.

    Packets are taken from the negotiated address only. With *latch* the first sound packet decides the address, and
    sending follows it: for a peer behind a NAT.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        latch: bool = False,
        on_key: Callable[[str, int], None] | None = None,
        on_silent: Callable[[float], None] | None = None,
        silent_after_s: float = 30.0,
    ) -> None:
        self.latch = latch
        self.on_key = on_key
        self.on_silent = on_silent
        self.silent_after_s = silent_after_s
        self._lock = threading.RLock()
        self._rtp, self._rtcp = _open_pair(host, port)
        self.local: Address = self._rtp.getsockname()[:2]
        self._media: Media | None = None
        self._remote: Address | None = None
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._received = ReceivedCounts()
        self._refused = 0
        self._told: deque[Callable[[], None]] = deque()
        self._closed = False

    @property
    def media(self) -> Media | None:
        """What was negotiated last."""
        return self._media

    @property
    def bandwidth_hz(self) -> float:
        """Where the band of the codec in use ends."""
        return self._media.codec.bandwidth_hz if self._media else 24_000.0

    def negotiate(self, media: Media) -> None:
        """Use *media* from now on; again after a re-INVITE. A new codec begins a new stream; hold keeps it."""
        with self._lock:
            old = self._media
            self._media = media
            if old is None or media.remote != old.remote:
                self._remote = media.remote
            same = old is not None and (media.codec, media.type_number, media.ptime_ms, media.dtx) == (
                old.codec, old.type_number, old.ptime_ms, old.dtx,
            )  # fmt: skip
            if not same or self._sender is None:
                self._sender = Sender(media, self._send)
                self._receiver = Receiver(media, self._received)

    def send_key(self, key: str, duration_ms: int = 160) -> None:
        """Press *key* (``0``-``9 * # A``-``D``) for the other side, as an event; ignored where it takes none."""
        raise NotImplementedError

    def pull(self) -> Frame:
        """What the other side says: a frame [480], concealed where it is missing."""
        with self._lock:
            self._service()
            receiver, media = self._receiver, self._media
            frame = silence()
            if receiver is not None and media is not None:
                heard = receiver.pull()
                frame = heard if media.direction.receives else frame
        self._tell()
        return frame

    def push(self, frame: Frame) -> None:
        """Say *frame* [480] to the other side."""
        with self._lock:
            self._service()
            if self._sender is not None and self._media is not None:
                if self._media.direction.sends and self._remote is not None:
                    self._sender.push(frame)
                else:
                    self._sender.pass_time()
        self._tell()

    def statistics(self) -> LegStatistics:
        """All counters at this moment."""
        with self._lock:
            counts, sender, receiver = self._received, self._sender, self._receiver
            return LegStatistics(
                codec=self._media.codec.rtpmap if self._media else "",
                packets_received=counts.packets,
                packets_sent=sender.counts.packets if sender else 0,
                bytes_received=counts.payload_bytes,
                bytes_sent=sender.counts.payload_bytes if sender else 0,
                lost=counts.lost,
                late=counts.late,
                duplicate=counts.duplicate,
                reordered=counts.reordered,
                malformed=counts.malformed,
                refused=self._refused,
                concealed_share=counts.concealed_samples / max(counts.samples, 1),
                jitter_ms=0.0,
                delay_ms=receiver.buffer_ms if receiver else 0.0,
                target_ms=0.0,
                round_trip_ms=None,
                remote_lost_share=None,
                mos=None,
            )

    def close(self) -> None:
        """Say goodbye (RTCP BYE) and close the sockets; from then on silent. May be called twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._rtp.close()
                self._rtcp.close()

    def __enter__(self) -> Leg:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _send(self, datagram: bytes) -> None:
        if self._closed or self._remote is None:
            return
        # A peer that is gone, a full buffer: the next packet may find it better.
        with suppress(OSError):
            self._rtp.sendto(datagram, self._remote)

    def _service(self) -> None:
        """Take all that has come."""
        while not self._closed:
            try:
                datagram, address = self._rtp.recvfrom(MAX_PACKET_BYTES + 1)
            except OSError:
                return
            if looks_like_rtcp(datagram):
                continue
            packet = parse(datagram)
            if packet is None:
                self._received.malformed += 1
            elif not self._is_from_peer(address[:2]):
                self._refused += 1
            else:
                self._take(packet, time.monotonic_ns())

    def _is_from_peer(self, address: Address) -> bool:
        if self._remote is None and self.latch:
            self._remote = address
        return address == self._remote

    def _take(self, packet: Packet, arrival_ns: int) -> None:
        media, receiver = self._media, self._receiver
        if media is None or receiver is None:
            return
        if packet.payload_type == media.type_number:
            receiver.accept(packet, arrival_ns)
        elif packet.payload_type == media.events_type:
            event = events.parse(packet.payload)
            if event is not None and event.end and self.on_key is not None and event.code < len(events.KEYS):
                key, ms = events.KEYS[event.code], event.duration * 1000 // media.codec.clock_hz
                on_key = self.on_key
                self._told.append(lambda: on_key(key, ms))

    def _tell(self) -> None:
        """Callbacks, with no lock held."""
        while self._told:
            self._told.popleft()()


def _open_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """RTP's socket on an even port, and RTCP's on the next; *port* 0: any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        rtp, rtcp = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        try:
            rtp.bind((host, port))
            taken = rtp.getsockname()[1]
            if port == 0 and taken % 2:
                raise OSError(None, "an odd port")
            rtcp.bind((host, taken + 1))
        except OSError as error:
            rtp.close()
            rtcp.close()
            if port:
                raise FullbandError(f"cannot listen on {host}:{port}: {error.strerror}") from None
            continue
        rtp.setblocking(False)
        rtcp.setblocking(False)
        return rtp, rtcp
    raise FullbandError(f"no free pair of UDP ports on {host}")
