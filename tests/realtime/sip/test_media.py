"""What goes through the bridge beside voice, and what is played to a caller."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from .phones import SDP, Phone, agent


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


def rtp_port(answer: Any) -> int:
    return int(answer.text.partition("m=audio ")[2].split()[0])


def event(sequence: int, code: int, duration: int, end: bool, marker: bool = False) -> bytes:
    """An RFC 4733 packet of payload type 101."""
    header = struct.pack("!BBHII", 0x80, 101 | (0x80 if marker else 0), sequence, 8_000, 99)
    return header + struct.pack("!BBH", code, 10 | (0x80 if end else 0), duration)


def test_a_key_goes_through_the_bridge_as_an_event_of_the_other_side() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob, Phone("voice") as spoken, Phone("ear") as heard:
            async with agent(alice, bridge_to=bob.uri, codec_in=["PCMU"], codec_out=["PCMA"]) as running:
                running.agent.board.exchange.start()
                invite = alice.invite(running.uri, SDP.format("").replace("40000", str(spoken.port)))
                alice.say(invite)
                asked = await bob.request("INVITE")
                body = SDP.format("").replace("40000", str(heard.port)).replace("AVP 0 101", "AVP 8 105")
                bob.reply(asked, 200, body.replace("0 PCMU", "8 PCMA").replace("101 tel", "105 tel"))
                await bob.request("ACK")
                answer = await alice.response(200, "INVITE")
                alice.say(alice.within("ACK", invite, answer, 1))
                spoken.peer = ("127.0.0.1", rtp_port(answer))
                for sequence in range(6):
                    spoken.say(event(sequence, 5, 160 * (sequence + 1), sequence >= 3, sequence == 0))
                    await asyncio.sleep(0.02)
                loop = asyncio.get_running_loop()
                codes, ends = set(), 0
                for _ in range(200):
                    data = await asyncio.wait_for(loop.sock_recv(heard.socket, 2048), 3.0)
                    if data[1] & 0x7F == 105:
                        codes.add(data[12])
                        ends += data[13] >> 7
                    if ends >= 3:
                        break
                assert codes == {5} and ends >= 3
                (conversation,) = running.desk.conversations.values()
                await alice.hang_up(invite, answer)
                assert conversation.record.keys == 1

    run(test())


def test_a_recording_is_played_to_its_end_and_then_hung_up(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(8_000) * 2 * np.pi * 440 / 8_000), 8_000)

    async def test() -> None:
        with Phone("alice") as alice, Phone("ear") as ear:
            async with agent(alice, answer=str(path)) as running:
                running.agent.board.exchange.start()
                invite = alice.invite(running.uri, SDP.format("").replace("40000", str(ear.port)))
                alice.say(invite)
                answer = await alice.response(200, "INVITE")
                alice.say(alice.within("ACK", invite, answer, 1))
                (conversation,) = running.desk.conversations.values()
                alice.reply(await alice.request("BYE", 20.0), 200)
                assert conversation.record.reason == "end of file"
                packets = conversation.record.legs["caller"]["packets_sent"]
                assert packets >= 50

    run(test())
