"""How much one caller, and all of them, get."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from realtime.voip.limits import Gate

from .phones import Phone, agent


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


def test_a_source_past_its_rate_waits_and_another_does_not() -> None:
    now = [0.0]
    gate = Gate(messages_per_second=10, calls_per_second=1, burst_seconds=2, clock=lambda: now[0])
    assert [gate.admits_message("10.0.0.1") for _ in range(21)] == [True] * 20 + [False]
    assert gate.admits_message("10.0.0.2")
    now[0] += 0.1
    assert [gate.admits_message("10.0.0.1") for _ in range(2)] == [True, False]


def test_forged_sources_cost_no_memory() -> None:
    gate = Gate(10, 1)
    for number in range(20_000):
        gate.admits_message(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(gate._messages._kept) <= 4096


def test_calls_past_the_rate_of_a_source_are_told_to_come_later() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo", calls_per_second=1.0) as running:
                for code in (200, 200, 503):
                    alice.say(alice.invite(running.uri))
                    refused = await alice.response(code)
                assert refused.headers.get_first("retry-after")
                assert running.agent.counters.throttled == 1

    run(test())


def test_one_call_too_many_is_busy_and_options_say_so() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo", max_calls=1) as running:
                invite = alice.invite(running.uri)
                alice.say(invite)
                answer = await alice.response(200, "INVITE")
                alice.say(alice.within("ACK", invite, answer, 1))
                for method in ("INVITE", "OPTIONS"):
                    make = alice.invite(running.uri) if method == "INVITE" else alice.make(method, running.uri)
                    alice.say(make)
                    assert (await alice.response(486, method)).headers.get_first("retry-after")
                await alice.hang_up(invite, answer)
                alice.say(alice.make("OPTIONS", running.uri))
                assert "INVITE" in ",".join((await alice.response(200, "OPTIONS")).headers.get("allow"))

    run(test())


def test_a_draining_agent_takes_no_call_and_waits_for_those_that_run() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                invite = alice.invite(running.uri)
                alice.say(invite)
                answer = await alice.response(200, "INVITE")
                alice.say(alice.within("ACK", invite, answer, 1))
                drained = asyncio.ensure_future(running.desk.drain())
                await asyncio.sleep(0.05)
                assert not drained.done()
                alice.say(alice.invite(running.uri))
                assert (await alice.response(503)).headers.get_first("retry-after")
                await alice.hang_up(invite, answer)
                await drained

    run(test())


def test_only_callers_that_are_allowed_are_served() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            for networks, code in ((["10.0.0.0/8"], 403), (["127.0.0.0/8", "10.0.0.0/8"], 200)):
                async with agent(alice, answer="echo", allow=networks) as running:
                    alice.say(alice.invite(running.uri))
                    await alice.response(code)

    run(test())


def test_the_bridge_calls_configured_targets_and_nobody_else() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, targets={"sales": bob.uri}) as running:
                for wished in (f"sip:victim@127.0.0.1:{bob.port}", running.uri, "tel:+4930123456"):
                    alice.say(alice.invite(wished))
                    await alice.response(404)
                alice.say(alice.invite(f"sip:sales@127.0.0.1:{running.port}"))
                assert (await bob.request("INVITE")).uri == bob.uri

    run(test())


def test_the_same_call_by_two_ways_is_taken_once() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, bridge_to=bob.uri) as running:
                invite = alice.invite(running.uri)
                alice.say(invite)
                await bob.request("INVITE")
                invite.headers.set_single("Via", invite.headers.get("via")[0].replace("z9hG4bK", "z9hG4bKother"))
                alice.say(invite)
                await alice.response(482)
                assert running.desk.calls == 1

    run(test())
