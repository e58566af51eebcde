"""RTP, RTCP, events and comfort noise: what is written is read again, and nothing that is read can raise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.voip import events, noise, rtcp, rtp


@given(
    st.builds(
        rtp.Packet,
        st.integers(0, 127),
        st.booleans(),
        st.integers(0, 65_535),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(min_size=1, max_size=1_400),
    )
)
def test_a_packet_is_read_as_it_was_written(packet: rtp.Packet) -> None:
    assert rtp.parse(rtp.build(packet)) == packet


@settings(max_examples=500)
@given(st.binary(max_size=1_600))
def test_nothing_that_comes_can_raise(datagram: bytes) -> None:
    rtp.parse(datagram)
    rtp.looks_like_rtcp(datagram)
    rtcp.parse(datagram)
    rtcp.parse(b"\x81\xc8\x00\x0c" + datagram)
    events.parse(datagram)
    noise.parse(datagram)


def test_header_extensions_sources_and_padding_are_left_out() -> None:
    plain = rtp.build(rtp.Packet(0, False, 1, 2, 3, b"voice"))
    with_source = bytes([plain[0] | 0x01]) + plain[1:12] + b"\0\0\0\7" + plain[12:]
    extended = bytes([plain[0] | 0x10]) + plain[1:12] + b"\xbe\xde\0\1\x10\xaa\0\0" + plain[12:]
    padded = bytes([plain[0] | 0x20]) + plain[1:] + b"\0\0\3"
    for datagram in (with_source, extended, padded):
        packet = rtp.parse(datagram)
        assert packet is not None
        assert packet.payload == b"voice"


def test_lengths_that_do_not_fit_are_refused() -> None:
    plain = rtp.build(rtp.Packet(0, False, 1, 2, 3, b"voice"))
    assert rtp.parse(plain[:12]) is None  # nothing in it
    assert rtp.parse(bytes([plain[0] | 0x0F]) + plain[1:]) is None  # more sources than bytes
    assert rtp.parse(bytes([plain[0] | 0x10]) + plain[1:12] + b"\0\0\xff\xff") is None  # an extension beyond the end
    assert rtp.parse(bytes([plain[0] | 0x20]) + plain[1:] + b"\xff") is None  # padding beyond the beginning
    assert rtp.parse(bytes([0x40]) + plain[1:]) is None  # another version
    assert rtp.parse(plain + bytes(rtp.MAX_PACKET_BYTES)) is None  # too long


@given(st.integers(0, 2**40), st.integers(-30_000, 30_000))
def test_sequence_numbers_count_on_when_they_wrap_around(near: int, step: int) -> None:
    assert rtp.unwrap((near + step) % rtp.SEQUENCE_RANGE, near, rtp.SEQUENCE_RANGE) == near + step


@given(
    st.builds(
        rtcp.Block,
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.0, 0.25, 0.5]),
        st.integers(-(2**23), 2**23 - 1),
        *[st.integers(0, 2**32 - 1)] * 4,
    ),
    st.booleans(),
)
def test_a_report_is_read_as_it_was_written(block: rtcp.Block, bye: bool) -> None:
    contents = rtcp.parse(rtcp.build(7, "name", block, (2**40, 5, 6, 7), bye=bye))
    assert contents is not None
    assert contents.reports[0].ssrc == 7
    assert contents.reports[0].ntp == 2**40
    assert contents.reports[0].blocks == (block,)
    assert contents.goodbyes == ((7,) if bye else ())


def test_comfort_noise_comes_back_at_its_level_and_with_power_one() -> None:
    found = noise.parse(noise.build(0.01))
    assert found is not None
    rms, colour = found
    assert abs(20 * np.log10(rms / 0.01)) < 0.6
    response = np.zeros(2_000)
    response[0] = colour.gain
    for n in range(1, len(response)):
        past = response[max(n - len(colour.filter), 0) : n][::-1]
        response[n] -= colour.filter[: len(past)] @ past
    assert abs(np.sum(response**2) - 1.0) < 0.02
