"""A leg over real sockets on loopback, its clock turned by hand."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from realtime.errors import FullbandError
from realtime.voip import rtcp
from realtime.voip.codecs import OPUS, PCMU
from realtime.voip.frames import Frame
from realtime.voip.leg import Leg
from realtime.voip.media import Direction, Media
from realtime.voip.rtp import Packet, build

_TONE: Frame = (0.1 * np.sin(np.arange(480) * 2 * np.pi / 48)).astype(np.float32)


@pytest.fixture
def pair() -> Iterator[tuple[Leg, Leg]]:
    """Two legs that have agreed on G.711 with keys."""
    with Leg() as one, Leg() as other:
        one.negotiate(Media(PCMU, remote=other.local, events_type=101))
        other.negotiate(Media(PCMU, remote=one.local, events_type=101))
        yield one, other


def _run(one: Leg, other: Leg, frames: int, began_ns: int | None = None) -> list[Frame]:
    """Both speak and listen, at once, as fast as it goes; gives what *other* heard."""
    heard = []
    now_ns = began_ns or time.monotonic_ns()
    for _ in range(frames):
        one.push(_TONE)
        other.push(_TONE)
        time.sleep(0.0055)  # the sockets are looked after once in 5 ms
        now_ns += 10_000_000
        one.pull()
        heard.append(other.pull())
    return heard


def _stranger() -> socket.socket:
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", 0))
    return line


def test_a_voice_goes_both_ways_and_all_packets_are_counted(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    _run(one, other, 40)
    for leg in pair:
        statistics = leg.statistics()
        assert statistics.packets_sent == 19  # 400 ms, less what waits for the resampler
        assert statistics.packets_received == statistics.expected == 19
        assert statistics.lost == statistics.refused == statistics.malformed == 0


def test_packets_from_elsewhere_are_refused_and_counted(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    with _stranger() as line:
        for number in range(10):
            line.sendto(build(Packet(0, False, number, 160 * number, 9, bytes(160))), other.local)
        _run(one, other, 10)
    assert other.statistics().refused == 10
    assert other.statistics().streams == 1


def test_with_latching_the_first_sound_packet_decides_and_sending_follows_it() -> None:
    with Leg(latch=True) as leg, _stranger() as first, _stranger() as second:
        leg.negotiate(Media(PCMU, remote=("127.0.0.1", 9)))
        first.sendto(b"no RTP at all", leg.local)
        first.sendto(build(Packet(77, False, 1, 1, 9, bytes(160))), leg.local)  # a type that was not negotiated
        second.sendto(build(Packet(0, False, 1, 1, 9, bytes(160))), leg.local)
        time.sleep(0.01)
        leg.pull()
        assert leg.remote == second.getsockname()
        for _ in range(3):  # a packet, and what waits for the resampler
            leg.push(_TONE)
        second.settimeout(1.0)
        assert len(second.recv(2_000)) == 172
        first.sendto(build(Packet(0, False, 2, 161, 9, bytes(160))), leg.local)
        time.sleep(0.01)
        leg.pull()
        assert leg.statistics().refused == 1


def test_keys_are_passed_on_once_with_their_length(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    pressed: list[tuple[str, int]] = []
    other.on_key = lambda key, ms: pressed.append((key, ms))
    one.send_key("5", 100)
    one.send_key("#", 160)
    one.send_key("X")  # there is none
    _run(one, other, 60)
    assert pressed == [("5", 100), ("#", 160)]
    assert other.statistics().keys_received == 2
    assert other.statistics().lost == 0


def test_a_key_whose_end_is_lost_is_told_all_the_same(pair: tuple[Leg, Leg]) -> None:
    _, other = pair
    pressed: list[tuple[str, int]] = []
    other.on_key = lambda key, ms: pressed.append((key, ms))
    now_ns = time.monotonic_ns()
    assert other.remote is not None
    other.take(build(Packet(101, True, 1, 1, 9, b"\x07\x0a\x03\x20")), other.remote, now_ns - 10**9)
    time.sleep(0.006)
    other.pull()
    assert pressed == [("7", 100)]


def test_on_hold_nothing_is_sent_or_heard_and_nothing_is_missed_after_it(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    _run(one, other, 20)
    one.negotiate(Media(PCMU, remote=other.local, events_type=101, direction=Direction.INACTIVE))
    sent = one.statistics().packets_sent
    _run(one, other, 20)
    assert one.statistics().packets_sent == sent
    assert not one.pull().any()
    one.negotiate(Media(PCMU, remote=other.local, events_type=101))
    heard = _run(one, other, 30)
    assert one.statistics().packets_sent > sent
    assert np.abs(heard[-1]).max() > 0.05
    assert other.statistics().lost == 0


def test_reports_tell_the_other_side_what_was_lost(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    _run(one, other, 20)
    one._report(time.monotonic_ns())
    _run(one, other, 2)
    other._report(time.monotonic_ns())
    _run(one, other, 2)
    assert one.statistics().remote_lost_share == 0.0
    round_trip_ms = one.statistics().round_trip_ms
    assert round_trip_ms is not None
    assert 0.0 <= round_trip_ms < 5_000.0


def test_goodbye_is_heard(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    gone: list[bool] = []
    other.on_bye = lambda: gone.append(True)
    _run(one, other, 4)
    one.close()
    time.sleep(0.01)
    other.pull()
    assert gone == [True]
    one.close()
    assert not one.pull().any()


def test_silence_is_told_once(pair: tuple[Leg, Leg]) -> None:
    _, other = pair
    told: list[float] = []
    other.on_silent, other.silent_after_s = told.append, 0.02
    for _ in range(8):
        time.sleep(0.01)
        other.pull()
    assert len(told) == 1
    assert told[0] > 0.02


def test_a_flood_is_cut_down(pair: tuple[Leg, Leg]) -> None:
    _, other = pair
    assert other.remote is not None
    now_ns = time.monotonic_ns()
    for number in range(2_000):
        packet = build(Packet(0, False, number, 160 * number, 9, bytes(160)))
        other.take(packet, other.remote, now_ns + 100_000 * number)
    statistics = other.statistics()
    assert statistics.packets_received <= 280
    assert statistics.limited >= 1_700


def test_a_packet_that_is_too_long_is_malformed(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    one._sockets.send(build(Packet(0, False, 1, 1, 9, bytes(5_000))), other.local)
    one._sockets.send(build(Packet(0, False, 1, 1, 9, bytes(1_400))), other.local)  # 175 ms: no packet of telephony
    time.sleep(0.01)
    other.pull()
    assert other.statistics().malformed == 2
    assert other.statistics().packets_received == 0


def test_an_address_that_is_taken_is_one_line() -> None:
    with Leg() as leg, pytest.raises(FullbandError, match=f"cannot listen on 127.0.0.1:{leg.local[1]}"):
        Leg("127.0.0.1", leg.local[1])


def test_reports_of_strangers_change_nothing(pair: tuple[Leg, Leg]) -> None:
    one, other = pair
    with _stranger() as line:
        line.sendto(rtcp.build(7, "x", rtcp.Block(1, 1.0, 9, 9, 9, 9, 9), None, bye=True), other.local)
        _run(one, other, 4)
    assert other.statistics().remote_lost_share is None
    assert other.statistics().refused == 1


class _Wire:
    """Sockets in memory, each the other's end."""

    def __init__(self) -> None:
        self.local = ("wire", 9)
        self.other: _Wire = self
        self._arrived: list[bytes] = []

    def receive(self, now_ns: int) -> Iterator[tuple[bytes, tuple[str, int], int]]:
        arrived, self._arrived = self._arrived, []
        return iter([(datagram, ("wire", 9), now_ns) for datagram in arrived])

    def send(self, datagram: bytes, to: tuple[str, int], *, report: bool = False) -> None:
        self.other._arrived.append(datagram)

    def close(self) -> None: ...


def test_each_side_may_send_another_codec_over_whatever_carries_datagrams() -> None:
    here, there = _Wire(), _Wire()
    here.other, there.other = there, here
    page, host = Leg(sockets=here), Leg(sockets=there)
    page.negotiate(Media(OPUS, send_codec=PCMU, remote=("wire", 9), rtcp_mux=True))
    host.negotiate(Media(PCMU, send_codec=OPUS, remote=("wire", 9), rtcp_mux=True))
    assert (page.bandwidth_hz, host.bandwidth_hz) == (24_000.0, 4_000.0)
    tone = (0.3 * np.sin(2 * np.pi * 1_000 * np.arange(480) / 48_000)).astype(np.float32)
    heard: dict[str, list[float]] = {"page": [], "host": []}
    now_ns = time.monotonic_ns()
    for _ in range(100):
        now_ns += 10_000_000
        for name, leg in (("page", page), ("host", host)):
            leg.push(tone)
            heard[name].append(float(np.sqrt(2 * np.mean(leg.pull(now_ns) ** 2))))
    for levels in heard.values():
        assert np.median(levels[50:]) == pytest.approx(0.3, rel=0.1)
    assert (page.statistics().codec, host.statistics().codec) == ("opus/48000/2", "PCMU/8000")
    assert page.statistics().malformed == host.statistics().malformed == 0
    page.close()
    host.close()
