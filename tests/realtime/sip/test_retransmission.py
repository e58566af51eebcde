"""A call survives the loss of any packet, and what comes twice counts once (RFC 3261 §17)."""

from __future__ import annotations

import asyncio

from .phones import SDP, Phone, agent, up


def run(test) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


def bridged(phone: Phone) -> dict[str, str]:
    return {"bridge_to": phone.uri}


def test_an_invite_that_comes_twice_is_one_call_and_is_answered_twice() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                invite = alice.invite(running.uri)
                for _ in range(3):
                    alice.say(invite)
                    await alice.response(100)
                assert running.desk.calls == 1
                branches = {m.headers.get("via")[0] for m in await bob.silence(0.3)}
                assert len(branches) == 1

    run(test())


def test_an_invite_without_an_answer_is_sent_again_until_a_provisional_one_comes() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                alice.say(alice.invite(running.uri))
                again = [await bob.request("INVITE") for _ in range(3)]
                assert len({m.headers.get("via")[0] for m in again}) == 1
                bob.reply(again[0], 180)
                await alice.response(180)
                assert await bob.silence(0.4) == []

    run(test())


def test_a_callee_that_says_nothing_is_given_up_and_the_caller_told() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                alice.say(alice.invite(running.uri))
                await alice.response(480, seconds=6.0)
                assert running.desk.calls == 0

    run(test())


def test_an_answer_is_sent_again_until_it_is_acknowledged() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                invite = alice.invite(running.uri)
                alice.say(invite)
                for _ in range(3):
                    answer = await alice.response(200)
                alice.say(alice.within("ACK", invite, answer, 1))
                await alice.silence(0.15)
                assert await alice.silence(0.4) == []
                await alice.hang_up(invite, answer)

    run(test())


def test_an_answer_that_is_never_acknowledged_ends_the_call_on_both_sides() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                alice.say(alice.invite(running.uri))
                asked = await bob.request("INVITE")
                bob.reply(asked, 200, SDP.format(""))
                bye, _ = await asyncio.gather(bob.request("BYE", 6.0), alice.request("BYE", 6.0))
                bob.reply(bye, 200)
                assert running.desk.calls == 0

    run(test())


def test_a_refusal_is_sent_again_until_it_is_acknowledged() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, targets={"carol": "sip:carol@127.0.0.1:9"}) as running:
                invite = alice.invite(running.uri)
                alice.say(invite)
                refusals = [await alice.response(404) for _ in range(2)]
                ack = alice.within("ACK", invite, _with_contact(refusals[0], running.uri), 1)
                ack.headers.set_single("Via", invite.headers.get("via")[0])
                alice.say(ack)
                await alice.silence(0.1)
                assert await alice.silence(0.4) == []

    run(test())


def test_a_200_that_comes_again_is_acknowledged_again() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                _, _, asked = await up(alice, bob, running.uri)
                bob.reply(asked, 200, SDP.format(""))
                await bob.request("ACK")
                assert running.desk.calls == 1

    run(test())


def test_a_second_phone_that_answers_is_left_at_once() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                _, _, asked = await up(alice, bob, running.uri)
                bob.reply(asked, 200, SDP.format(""), tag="another")
                ack = await bob.request("ACK")
                bye = await bob.request("BYE")
                assert all("tag=another" in m.headers.get("to")[0] for m in (ack, bye))
                bob.reply(bye, 200)
                assert running.desk.calls == 1

    run(test())


def test_a_bye_without_an_answer_is_sent_again() -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, **bridged(bob)) as running:
                invite, answer, _ = await up(alice, bob, running.uri)
                await alice.hang_up(invite, answer)
                for _ in range(3):
                    bye = await bob.request("BYE")
                bob.reply(bye, 200)
                await bob.silence(0.1)
                assert await bob.silence(0.3) == []

    run(test())


def _with_contact(response, uri: str):
    response.headers.set_single("Contact", f"<{uri}>")
    return response
