"""Offers of pages: sound ones are answered, all others are refused with a code and a line."""

from __future__ import annotations

import pytest
from aiortc import RTCDtlsFingerprint
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.voip.codecs import G722, OPUS, PCMU
from realtime.voip.web.guard import Refused
from realtime.voip.web.offer import Own, read_offer, write_answer

from .offers import OFFER

OWN = Own("abcd", "x" * 22, (), (RTCDtlsFingerprint("sha-256", "AA"),))

#: What is changed in a sound offer, and what that is answered.
WRONG = {
    "no SDP": (OFFER, "hello", 400),
    "nothing": (OFFER, "", 400),
    "a port that is none": ("m=audio 9", "m=audio nine", 400),
    "video alone": ("m=audio", "m=video", 422),
    "audio refused": ("m=audio 9", "m=audio 0", 422),
    "not encrypted": ("UDP/TLS/RTP/SAVPF", "RTP/AVP", 422),
    "no rtcp-mux": ("a=rtcp-mux\r\n", "", 422),
    "one way": ("a=sendrecv", "a=recvonly", 422),
    "no mid": ("a=mid:0\r\n", "", 400),
    "a mid that breaks lines": ("a=mid:0", "a=mid:0 a=evil", 400),
    "a user that is too short": ("a=ice-ufrag:EsAw", "a=ice-ufrag:Es", 400),
    "no password": ("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", "", 400),
    "a password with signs": ("a=ice-pwd:P2uYro0", "a=ice-pwd:P2u ro0", 400),
    "no fingerprint": ("a=fingerprint:sha-256", "a=nothing:sha-256", 400),
    "a digest that is too short": ("D2:FA:0E", "D2:FA", 400),
    "a digest that nobody trusts": ("sha-256", "md5", 400),
    "no setup": ("a=setup:actpass\r\n", "", 422),
    "a setup of an answer": ("a=setup:actpass", "a=setup:passive", 422),
    "a setup that is none": ("a=setup:actpass", "a=setup:maybe", 400),
    "no Opus": ("opus/48000/2", "SPEEX/48000/2", 422),
    "a candidate without an address": ("127.0.0.1 46243", "nobody 46243", 400),
    "a port past the end": ("46243", "99999", 400),
    "a candidate cut short": (" 46243 typ host generation 0 network-id 1", "", 400),
    "candidates without end": ("a=setup", "a=candidate:1 1 udp 1 10.0.0.1 5000 typ host\r\n" * 65 + "a=setup", 400),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_offer_is_refused_with_a_code_and_a_line(name: str) -> None:
    old, new, status = WRONG[name]
    assert old in OFFER
    with pytest.raises(Refused) as refused:
        read_offer(OFFER.replace(old, new))
    assert refused.value.status == status
    assert 0 < len(str(refused.value)) < 120


def test_the_first_codec_of_the_page_comes_and_opus_goes_back() -> None:
    offer = read_offer(OFFER)
    assert (offer.codec, offer.receive_type, offer.send_type) == (PCMU, 0, 111)
    lines = write_answer(offer, OWN).splitlines()
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 0 111" in lines
    assert "a=setup:active" in lines
    # Extensions of headers and feedback are for those who use them.
    assert not [line for line in lines if line.startswith(("a=extmap", "a=rtcp-fb"))]
    wide = OFFER.replace("SAVPF 0 111", "SAVPF 9 111").replace("a=rtpmap:0 PCMU", "a=rtpmap:9 G722")
    assert read_offer(wide).codec is G722
    assert read_offer(OFFER.replace("SAVPF 0 111", "SAVPF 111 0")).codec is OPUS


def test_only_candidates_that_can_be_used_at_once_are_tried() -> None:
    (candidate,) = read_offer(OFFER).candidates
    assert (candidate.host, candidate.port, candidate.transport) == ("127.0.0.1", 46243, "udp")


def test_streams_that_are_not_wanted_are_answered_by_port_0() -> None:
    more = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n"
    lines = write_answer(read_offer(OFFER + more), OWN).splitlines()
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96" in lines
    assert "a=group:BUNDLE 0" in lines


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_offer_is_answered_or_refused_and_nothing_else(data: st.DataObject) -> None:
    lines = OFFER.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        what = data.draw(st.sampled_from(("drop", "double", "cut", "junk")))
        if what == "drop":
            lines[at] = ""
        elif what == "double":
            lines.insert(at, lines[at])
        elif what == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        else:
            place = data.draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:place] + data.draw(st.text(max_size=6)) + lines[at][place:]
    try:
        answer = write_answer(read_offer("\r\n".join(lines)), OWN)
    except Refused as refused:
        assert refused.status in (400, 422)
    else:
        assert answer.startswith("v=0\r\n")
