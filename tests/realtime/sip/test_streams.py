"""SIP over TCP: messages in pieces and many in one, and the same connection both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiosipua.message import SipMessage, SipResponse

from .phones import SDP, Phone, agent


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


def over_tcp(message: Any) -> bytes:
    return bytes(message).replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP", 1)


async def read(reader: asyncio.StreamReader) -> Any:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5.0)
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return SipMessage.parse(head + await reader.readexactly(length))


def test_a_call_over_one_connection_in_both_directions() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(answer="echo", max_minutes=0.01) as running:
                reader, writer = await asyncio.open_connection("127.0.0.1", running.tcp_port)
                invite = alice.invite(running.uri, SDP.format(""))
                data = over_tcp(invite)
                for piece in (data[:1], data[1:90], data[90:-20], data[-20:]):
                    writer.write(piece)
                    await asyncio.sleep(0.02)
                answer = await read(reader)
                while answer.status_code < 200:
                    answer = await read(reader)
                assert answer.status_code == 200 and "transport=tcp" in answer.headers.get("contact")[0]
                # Two in one piece, and a keep-alive before them (RFC 5626).
                ack, options = alice.within("ACK", invite, answer, 1), alice.make("OPTIONS", running.uri)
                writer.write(b"\r\n\r\n" + over_tcp(ack) + over_tcp(options))
                assert await reader.readexactly(2) == b"\r\n"
                assert (await read(reader)).status_code == 200
                bye = await read(reader)
                assert bye.method == "BYE" and "SIP/2.0/TCP" in bye.headers.get("via")[0]
                response = SipResponse(status_code=200, reason_phrase="OK")
                for name in ("Via", "From", "To", "Call-ID", "CSeq"):
                    response.headers.append(name, bye.headers.get(name)[0])
                writer.write(bytes(response))
                await asyncio.sleep(0.1)
                assert running.desk.calls == 0 and len(running.agent.transactions) <= 2
                writer.close()

    run(test())


def test_a_stream_that_is_no_sip_is_closed_and_the_others_go_on() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(answer="echo") as running:
                for data in (b"x" * 20_000, b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n"):
                    reader, writer = await asyncio.open_connection("127.0.0.1", running.tcp_port)
                    writer.write(data)
                    assert await asyncio.wait_for(reader.read(), 5.0) == b""
                    writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", running.tcp_port)
                writer.write(over_tcp(alice.make("OPTIONS", running.uri)))
                assert (await read(reader)).status_code == 200
                writer.close()

    run(test())


def test_a_target_over_tcp_that_is_not_there_is_known_at_once() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, bridge_to="sip:bob@127.0.0.1:9;transport=tcp") as running:
                alice.say(alice.invite(running.uri))
                await alice.response(503)
                assert running.desk.calls == 0

    run(test())
