"""One end of a call over RTP: its sockets, a receiver, a sender, and what both count."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from . import emodel, events, rtcp
from .frames import Frame, silence
from .limits import Bucket
from .media import Address, Media
from .receiver import Receiver
from .reports import Reports
from .rtp import Packet, looks_like_rtcp, parse
from .sender import Sender
from .sockets import SocketPair, Sockets
from .statistics import LegStatistics as LegStatistics
from .statistics import ReceivedCounts, SentCounts

#: More from one source than this is no telephone call: packets each second, and in one go. A tone beside audio in
#: packets of 10 ms makes 200.
_PACKETS_PER_SECOND, _BURST_PACKETS = 300.0, 200.0

#: The sockets are looked after once for each frame, by whichever of pull and push comes first.
_SERVICE_NS = 5_000_000


class Leg:
    """A source and a sink of frames that is a telephone line: silent until :meth:`negotiate`.

    Its sockets are bound at once, so that :attr:`local` can be offered. Audio moves when the exchange calls
    :meth:`pull` and :meth:`push`, on the exchange's thread; all else may be called from any thread.

    *on_key* is called with a key (``0``-``9 * # A``-``D``) and its duration in ms when the other side has pressed it;
    *on_silent* with the seconds since the last packet, once there was none for *silent_after_s* (again only after one
    has come); *on_bye* when the other side says goodbye in RTCP. They are called on the exchange's thread and have to
    return at once.

    Packets are taken from the negotiated address only. With *latch* the first sound packet decides the address, and
    sending follows it: for a peer behind a NAT. *sockets* take the place of UDP on *host* and *port*.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        latch: bool = False,
        on_key: Callable[[str, int], object] | None = None,
        on_silent: Callable[[float], object] | None = None,
        on_bye: Callable[[], object] | None = None,
        silent_after_s: float = 30.0,
        name: str = "fullband",
        sockets: Sockets | None = None,
    ) -> None:
        self.latch = latch
        self.on_key, self.on_silent, self.on_bye = on_key, on_silent, on_bye
        self.silent_after_s = silent_after_s
        self._lock = threading.RLock()
        self._sockets = SocketPair(host, port) if sockets is None else sockets
        #: Where the other side is to send RTP to.
        self.local: Address = self._sockets.local
        self._media: Media | None = None
        self._remote: Address | None = None
        self._latched = False
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._sent = SentCounts()
        self._received = ReceivedCounts()
        self._refused = self._limited = self._bad_rtcp = 0
        self._limit = Bucket(_PACKETS_PER_SECOND, _BURST_PACKETS)
        self._keys = events.Keys()
        self._reports = Reports(name)
        self._serviced_ns = 0
        self._heard_ns = time.monotonic_ns()
        self._told_silent = False
        self._told: deque[Callable[[], object]] = deque()
        self._closed = False

    @property
    def media(self) -> Media | None:
        """What was negotiated last."""
        return self._media

    @property
    def remote(self) -> Address | None:
        """Where packets go to, and are taken from; latched on, or as negotiated."""
        return self._remote

    @property
    def bandwidth_hz(self) -> float:
        """Where the band of the codec in use ends at most."""
        return self._media.codec.bandwidth_hz if self._media else 24_000.0

    @property
    def send_delay_ms(self) -> float:
        """From a frame pushed to the packet that ends with it."""
        return self._sender.delay_ms if self._sender else 0.0

    def negotiate(self, media: Media) -> None:
        """Use *media* from now on; again after a re-INVITE. Another codec begins a new stream, hold keeps it."""
        with self._lock:
            old, self._media = self._media, media
            if old is None or media.remote != old.remote:
                self._remote, self._latched = media.remote, False
            self._heard_ns, self._told_silent = time.monotonic_ns(), False
            if old is None or _format(media) != _format(old):
                ssrc = self._sender.ssrc if self._sender else None
                self._sender = Sender(media, self._send, self._sent, ssrc)
                self._receiver = Receiver(media, self._received)
            assert self._sender is not None
            assert self._receiver is not None
            self._sender.media = self._receiver.media = media
            if not media.direction.receives:
                self._receiver.rest()
            if old is None:
                self._reports.begin(time.monotonic_ns())

    def send_key(self, key: str, duration_ms: int = 160) -> None:
        """Press *key* (``0``-``9 * # A``-``D``) for the other side, as an event; ignored where it takes none."""
        with self._lock:
            media = self._media
            takes = media is not None and media.events_type is not None and key in events.KEYS
            if self._sender is not None and takes:
                self._sender.press(events.KEYS.index(key), duration_ms)

    def pull(self, now_ns: int | None = None) -> Frame:
        """What the other side says: a frame [480], concealed where it is missing. *now_ns* is for other clocks."""
        with self._lock:
            now_ns = time.monotonic_ns() if now_ns is None else now_ns
            self._service(now_ns)
            receiver, media = self._receiver, self._media
            if receiver is None or media is None or self._closed:
                frame = silence()
            else:
                frame = receiver.pull(now_ns)
                if not media.direction.receives:
                    frame[:] = 0.0
        self._tell()
        return frame

    def push(self, frame: Frame) -> None:
        """Say *frame* [480] to the other side."""
        with self._lock:
            self._service(time.monotonic_ns())
            if self._sender is not None and self._media is not None and not self._closed:
                if self._media.direction.sends and self._remote is not None:
                    self._sender.push(frame)
                else:
                    self._sender.pass_time()
        self._tell()

    def statistics(self) -> LegStatistics:
        """All counters at this moment."""
        with self._lock:
            counts, sent, receiver = self._received, self._sent, self._receiver
            concealed = counts.concealed_samples / max(counts.samples, 1)
            delay_ms = receiver.heard_delay_ms if receiver else 0.0
            one_way_ms = (
                delay_ms + (self._reports.round_trip_ms or 0.0) / 2 + (receiver.fixed_delay_ms if receiver else 0.0)
            )
            name = self._media.codec.name if self._media else ""
            return LegStatistics(
                codec=self._media.codec.rtpmap if self._media else "",
                packets_received=counts.packets,
                packets_sent=sent.packets,
                bytes_received=counts.payload_bytes,
                bytes_sent=sent.payload_bytes,
                expected=counts.expected,
                lost=counts.lost,
                late=counts.late,
                duplicate=counts.duplicate,
                reordered=counts.reordered,
                recovered=counts.recovered,
                malformed=counts.malformed + self._bad_rtcp,
                strange=counts.strange,
                refused=self._refused,
                limited=self._limited + counts.overflow,
                streams=counts.streams,
                resyncs=counts.resyncs,
                keys_received=self._keys.count,
                keys_sent=sent.keys,
                seconds_heard=counts.samples / 48_000,
                concealed_share=min(concealed, 1.0),
                jitter_ms=receiver.jitter_ms if receiver else 0.0,
                delay_ms=delay_ms,
                target_ms=receiver.target_ms if receiver else 0.0,
                drift_ppm=receiver.ppm if receiver else 0.0,
                round_trip_ms=self._reports.round_trip_ms,
                remote_lost_share=self._reports.lost_share,
                mos=emodel.mos(name, one_way_ms, min(concealed, 1.0)) if counts.samples else None,
            )

    def close(self) -> None:
        """Say goodbye (RTCP BYE) and close the sockets; from then on silent. May be called twice."""
        with self._lock:
            if not self._closed:
                if self._media is not None:
                    self._report(time.monotonic_ns(), bye=True)
                self._closed = True
                self._sockets.close()

    def __enter__(self) -> Leg:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # -- in and out ---------------------------------------------------------------------------------------------------

    def _send(self, datagram: bytes) -> None:
        if self._remote is not None:
            self._sockets.send(datagram, self._remote)

    def _service(self, now_ns: int) -> None:
        """Take all that has come, report when it is time, tell of silence."""
        if self._closed or now_ns - self._serviced_ns < _SERVICE_NS:
            return
        self._serviced_ns = now_ns
        for datagram, address, arrival_ns in self._sockets.receive(now_ns):
            self.take(datagram, address, arrival_ns)
        self._tell_keys(self._keys.expire(now_ns))
        if self._media is None:
            return
        if self._reports.comes_due(now_ns):
            self._report(now_ns)
        silent_s = (now_ns - self._heard_ns) / 1e9
        if silent_s > self.silent_after_s and not self._told_silent and self.on_silent is not None:
            self._told_silent = True
            self._told.append(partial(self.on_silent, silent_s))

    def take(self, datagram: bytes, address: Address, arrival_ns: int) -> None:
        """A datagram that came from *address*; the sockets' own are taken by themselves. Never raises."""
        is_report = looks_like_rtcp(datagram)
        if not self._is_from_peer(address, is_report):
            self._refused += 1
            return
        if not self._limit.take(arrival_ns * 1e-9):
            self._limited += 1
            return
        if is_report:
            self._take_report(datagram, arrival_ns)
            return
        packet = parse(datagram)
        if packet is None:
            self._received.malformed += 1
            return
        if self.latch and not self._latched and self._is_expected(packet):
            self._remote, self._latched = address, True
        self._take_packet(packet, arrival_ns)

    def _is_from_peer(self, address: Address, is_report: bool) -> bool:
        if address == self._remote or (self.latch and not self._latched and not is_report):
            return True
        return is_report and self._media is not None and address == self._media.rtcp_address

    def _is_expected(self, packet: Packet) -> bool:
        media = self._media
        return media is not None and packet.payload_type in media.received_types

    def _take_packet(self, packet: Packet, arrival_ns: int) -> None:
        media, receiver = self._media, self._receiver
        if media is None or receiver is None:
            return
        self._heard_ns, self._told_silent = arrival_ns, False
        if not media.direction.receives:
            return
        audio, keys, noise = media.received_types
        if packet.payload_type == audio:
            receiver.accept(packet, arrival_ns)
        elif packet.payload_type == keys:
            receiver.arrivals.skip(packet)
            self._take_event(packet, arrival_ns)
        elif packet.payload_type == noise:
            receiver.arrivals.skip(packet)
            receiver.note_noise(packet.payload)
        else:
            self._received.strange += 1

    def _take_event(self, packet: Packet, arrival_ns: int) -> None:
        event = events.parse(packet.payload)
        if event is None:
            self._received.malformed += 1
            return
        self._tell_keys(self._keys.take(event, packet.timestamp, arrival_ns))

    def _tell_keys(self, ended: list[events.Event]) -> None:
        for event in ended:
            if self.on_key is not None and self._media is not None:
                duration_ms = event.duration * 1000 // self._media.codec.clock_hz
                self._told.append(partial(self.on_key, events.KEYS[event.code], duration_ms))

    def _tell(self) -> None:
        """Callbacks, with no lock held."""
        while self._told:
            self._told.popleft()()

    # -- reports ------------------------------------------------------------------------------------------------------

    def _take_report(self, datagram: bytes, arrival_ns: int) -> None:
        contents = rtcp.parse(datagram)
        if contents is None:
            self._bad_rtcp += 1
            return
        self._reports.take(contents, self._sender.ssrc if self._sender else None, arrival_ns)
        if contents.goodbyes and self.on_bye is not None:
            self._told.append(self.on_bye)

    def _report(self, now_ns: int, bye: bool = False) -> None:
        media, sender, receiver = self._media, self._sender, self._receiver
        if media is None or sender is None or receiver is None or media.rtcp_address is None:
            return
        compound = self._reports.make(sender, receiver, self._received, now_ns, bye=bye)
        to = self._remote if self._latched and media.rtcp_mux and self._remote else media.rtcp_address
        self._sockets.send(compound, to, report=not media.rtcp_mux)


def _format(media: Media) -> tuple[object, ...]:
    """What a stream cannot change and go on."""
    return (media.codec, media.sent, media.type_number, media.received_types[0], media.ptime_ms, media.dtx)
