"""What is wrong is answered by the standard's own code, or dropped and counted: never an exception."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from .phones import SDP, Phone, agent


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


OPUS_ONLY_VIDEO = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5000 RTP/AVP 96\r\n"

#: What is changed in a sound INVITE, and what that is answered.
WRONG = {
    "no contact": (("Contact: ", "X-Contact: "), 400),
    "a number that is none": (("CSeq: 1 INVITE", "CSeq: one INVITE"), 400),
    "a number past the end": (("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE"), 400),
    "another method in CSeq": (("CSeq: 1 INVITE", "CSeq: 1 BYE"), 400),
    "no tag in From": ((";tag=", ";gat="), 400),
    "two Call-IDs": (("Call-ID:", "Call-ID: other\r\nCall-ID:"), 400),
    "a length too long": (("Content-Length: ", "Content-Length: 9"), 400),
    "a length that is none": (("Content-Length: ", "Content-Length: x"), 400),
    "hops that are none": (("Max-Forwards: 70", "Max-Forwards: many"), 400),
    "no hops left": (("Max-Forwards: 70", "Max-Forwards: 0"), 483),
    "another version": ((" SIP/2.0\r\nVia", " SIP/3.0\r\nVia"), 505),
    "another scheme": (("INVITE sip:", "INVITE http:"), 416),
    "an extension": (("Contact:", "Require: 100rel\r\nContact:"), 420),
    "another type of body": (("application/sdp", "text/html"), 415),
    "a packed body": (("Content-Type:", "Content-Encoding: gzip\r\nContent-Type:"), 415),
    "a body that is no SDP": (("v=0", "v=X"), 400),
    "a port that is none": (("m=audio 40000", "m=audio porto"), 400),
    "a port past the end": (("m=audio 40000", "m=audio 99999"), 488),
    "a codec we do not have": (("0 PCMU/8000", "0 SPEEX/8000"), 488),
    "keys in SDP": (("RTP/AVP", "RTP/SAVP"), 488),
    "a group of addresses": (("IN IP4 127.0.0.1\r\nt=", "IN IP4 239.1.1.1\r\nt="), 488),
    "no address": (("c=IN IP4 127.0.0.1", "a=nothing-at-all-x"), 488),
    "a method nobody knows": (("INVITE", "DANCE"), 501),
    "a method we do not serve": (("INVITE", "SUBSCRIBE"), 405),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_gets_the_code_of_the_standard(name: str) -> None:
    (old, new), code = WRONG[name]

    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                text = bytes(alice.invite(running.uri)).decode()
                assert old in text
                alice.say(text.replace(old, new).encode())
                await alice.response(code)
                assert running.desk.calls == 0

    run(test())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"\xff\xfe" * 40,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"INVITE",
        b"INVITE sip:bob@127.0.0.1 SIP/2.0",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 abc OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\nCSeq: 1 INVITE\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nVia: nonsense\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x>\r\nCall-ID: 1\r\nCSeq: 1 X",
        b"OPTIONS sip:x SIP/2.0\r\n" + b"A: b\r\n" * 3000,
    ],
)
def test_what_cannot_be_answered_is_dropped(data: bytes) -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                alice.say(data)
                assert await alice.silence(0.05) == []
                alice.say(alice.make("OPTIONS", running.uri))
                await alice.response(200)

    run(test())


def test_folded_and_compact_headers_are_read() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                text = bytes(alice.invite(running.uri)).decode()
                for long, short in (("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("Contact", "m")):
                    text = text.replace(f"{long}: ", f"{short} : ")
                text = text.replace("Content-Type: ", "c:\r\n  ").replace("Content-Length", "l")
                alice.say(text.encode())
                await alice.response(200)

    run(test())


def mutated(message: bytes, choose: random.Random) -> bytes:
    """*message* with a few bytes changed, lost, added or repeated."""
    data = bytearray(message)
    for _ in range(choose.randint(1, 4)):
        at = choose.randrange(len(data) + 1)
        match choose.randrange(5):
            case 0:
                data[at : at + 1] = bytes([choose.randrange(256)])
            case 1:
                del data[at : at + choose.randint(1, 40)]
            case 2:
                data[at:at] = choose.randbytes(choose.randint(1, 20))
            case 3:
                start = choose.randrange(len(data) + 1)
                data[at:at] = data[start : start + choose.randint(1, 80)]
            case 4:
                data[at:at] = choose.choice(
                    [b"\r\n", b";", b"<", b'"', b"%00", b"99999999999", b"=", b",", b"\r\n\r\n"]
                )
    return bytes(data)


def test_a_thousand_mutated_messages_raise_nothing_and_leave_no_calls() -> None:
    """The long one, beside a call with audio, is in test_sip_peers.py."""

    async def test() -> None:
        choose = random.Random(4475)
        with Phone("alice") as alice:
            async with agent(alice, answer="echo", max_calls=4) as running:
                sound = [
                    bytes(alice.invite(running.uri)),
                    bytes(alice.make("OPTIONS", running.uri)),
                    bytes(alice.make("BYE", running.uri)),
                    bytes(alice.make("UPDATE", running.uri, SDP.format(""))),
                    bytes(alice.make("CANCEL", running.uri)),
                    b"SIP/2.0 200 OK\r\n" + bytes(alice.invite(running.uri)).partition(b"\r\n")[2],
                ]
                for number in range(1000):
                    alice.say(mutated(sound[number % len(sound)], choose))
                    await asyncio.sleep(0)
                    if number % 8 == 0:
                        await alice.silence(0.002)
                assert running.agent.counters.received > 900
                # Calls end for want of an ACK, then their BYE for want of an answer.
                for _ in range(100):
                    if len(running.agent.transactions) == 0:
                        break
                    await alice.silence(0.1)
                assert not running.desk.calls and not running.agent.parties
                assert len(running.agent.transactions) == 0

    run(test())
