"""A call goes on unharmed while strangers send ten thousand broken messages, and while the agent is told to end."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import soxr
from scipy.signal import butter, correlate, sosfiltfilt

from tests.sip_peers import Host, host, voice, wait

from .phones import SDP, Phone
from .rtp_peers import Listener, Talker
from .test_malformed import mutated

pytestmark = [pytest.mark.slow, pytest.mark.server]

_MESSAGES = 10_000
_L16 = "m=audio {} RTP/AVP 98\r\na=rtpmap:98 L16/48000\r\n"


def one_way_delay_ms(talker: Talker, listener: Listener) -> float:
    """From mouth to ear, without the buffer of the ear."""
    began_s, heard = listener.timeline()
    said = np.tile(soxr.resample(voice(8_000)[: len(voice(8_000)) // 160 * 160 - 160], 8_000, 48_000), 2)
    low = butter(6, (300, 3_000), "bandpass", fs=48_000, output="sos")
    piece = sosfiltfilt(low, heard[48_000 : 3 * 48_000])
    lag = int(np.argmax(correlate(sosfiltfilt(low, said), piece, "valid", "fft")))
    delay_s = began_s + 1.0 - (talker.began_s + lag / 48_000)
    return 1000.0 * delay_s


def broken(running: Host, stranger: Phone, call_id: str, choose: random.Random) -> list[bytes]:
    uri = f"sip:bob@{running.address}"
    made = [
        stranger.invite(uri),
        stranger.make("OPTIONS", uri),
        stranger.make("BYE", uri, Call_ID=call_id, To=f"<{uri}>;tag=guessed"),
        stranger.make("UPDATE", uri, SDP.format(""), Call_ID=call_id),
        stranger.make("CANCEL", uri, Call_ID=call_id),
        stranger.make("ACK", uri, Call_ID=call_id),
        stranger.make("INFO", uri, "Signal=1", Call_ID=call_id),
    ]
    sound = [bytes(message) for message in made]
    sound.append(b"SIP/2.0 200 OK\r\n" + sound[0].partition(b"\r\n")[2])
    return [mutated(sound[number % len(sound)], choose) for number in range(_MESSAGES)]


async def fire(running: Host, stranger: Phone, shots: list[bytes]) -> None:
    """As fast as they are taken: after some, a sound request has to be answered."""
    for number, shot in enumerate(shots):
        stranger.say(shot)
        if number % 50 == 49:
            asked = stranger.make("OPTIONS", f"sip:{running.address}")
            stranger.say(asked)
            while (await stranger.next(20.0)).call_id != asked.call_id:
                pass


async def the_call(running: Host, bob: Phone, talker: Talker, listener: Listener) -> dict[str, float]:
    choose = random.Random(3261)
    uri = f"sip:bob@{running.address}"
    with Phone("alice") as alice, Phone("mallory") as mallory:
        alice.peer = mallory.peer = ("127.0.0.1", running.port)
        invite = alice.invite(uri, SDP.format("").replace("40000", str(talker.port)))
        alice.say(invite)
        asked = await bob.request("INVITE", 10.0)
        head = SDP.format("").partition("m=")[0]
        bob.reply(asked, 200, head + _L16.format(listener.port))
        await bob.request("ACK", 10.0)
        answer = await alice.response(200, "INVITE", 10.0)
        talker.to = ("127.0.0.1", int(answer.text.partition("m=audio ")[2].split()[0]))
        alice.say(alice.within("ACK", invite, answer, 1))
        talker.start()
        await asyncio.sleep(4.0)
        delay_ms = one_way_delay_ms(talker, listener)
        shots = broken(running, mallory, invite.call_id or "", choose)
        await fire(running, mallory, shots[: _MESSAGES // 3])
        before = running.resident_bytes
        await fire(running, mallory, shots[_MESSAGES // 3 :])
        after = running.resident_bytes
        await asyncio.sleep(0.5)
        heard = len(listener.packets)
        running.signal()
        await asyncio.sleep(0.5)
        alice.say(alice.invite(uri))
        refused = await alice.response(503, seconds=10.0)
        assert refused.headers.get_first("retry-after")
        await asyncio.sleep(0.5)
        assert running.process.poll() is None
        assert len(listener.packets) > heard, "the call did not go on while the agent drained"
        alice.say(alice.within("BYE", invite, answer, 2))
        await alice.response(200, "BYE", 10.0)
        bob.reply(await bob.request("BYE", 10.0), 200)
    return {"delay_ms": delay_ms, "grown_mb": (after - before) / 2**20}


def test_a_call_is_unharmed_by_ten_thousand_broken_messages_and_by_a_drain(tmp_path: Path) -> None:
    talker, listener, bob = Talker(), Listener(), Phone("bob")
    listener.start()
    config = tmp_path / "voip.toml"
    config.write_text("messages_per_second = 1e6\ncalls_per_second = 1e6\nring_seconds = 2.0\nmax_calls = 4\n")
    arguments = ["--config", str(config), "--bridge-to", bob.uri, "--codec-in", "PCMU", "--codec-out", "L16"]
    with host(tmp_path, *arguments) as running:
        began_s = time.monotonic()
        try:
            found = asyncio.run(asyncio.wait_for(the_call(running, bob, talker, listener), 120.0))
        except TimeoutError:
            pytest.fail(running.log)
        talker.ended.set()
        listener.ended.set()
        assert wait(running.process, 20.0) == 0, running.log
        figures = json.loads(running.figures.read_text())
        assert "Traceback" not in running.log and "fault" not in running.log, running.log
    bob.close()
    call = next(r for r in map(json.loads, running.records.read_text().splitlines()) if r["outcome"] == "answered")
    concealed = 100 * call["legs"]["caller"]["concealed_share"]
    print(
        f"one-way delay {found['delay_ms']:.1f} ms; {figures['messages']}; grown {found['grown_mb']:.1f} MiB; "
        f"concealed {concealed:.2f} %, {time.monotonic() - began_s:.0f} s"
    )
    assert figures["messages"]["faults"] == 0
    assert figures["messages"]["received"] > 0.95 * _MESSAGES
    assert found["grown_mb"] < 16.0
    assert listener.missing == 0
    assert call["ended_by"] == "caller"
    assert call["legs"]["caller"]["lost"] == 0
