"""Two parties through the bridge: who may say what, when, and what the other one hears of it."""

from __future__ import annotations

from typing import Any

import pytest
from aiosipua.message import SipResponse

from .phones import SDP, answering, bridged, in_time, up


def lines(message: Any, start: str) -> list[str]:
    return [line for line in message.text.splitlines() if line.startswith(start)]


@in_time
async def test_the_callers_bye_ends_the_callee_and_the_record_says_who() -> None:
    async with bridged() as (alice, bob, running):
        invite, answer, _ = await up(alice, bob, running.uri)
        (conversation,) = running.desk.conversations.values()
        await alice.hang_up(invite, answer)
        bob.reply(await bob.request("BYE"), 200)
        assert (conversation.record.outcome, conversation.record.ended_by) == ("answered", "caller")
        assert running.desk.calls == 0 and not running.agent.parties


@in_time
async def test_the_callees_bye_ends_the_caller() -> None:
    async with bridged() as (alice, bob, running):
        _, _, asked = await up(alice, bob, running.uri)
        (conversation,) = running.desk.conversations.values()
        bob.say(bob.ask("BYE", asked, "callee", 1))
        await bob.response(200, "BYE")
        alice.reply(await alice.request("BYE"), 200)
        assert conversation.record.ended_by == "callee"


@in_time
async def test_a_cancel_is_passed_on_only_when_the_callee_is_known_to_have_the_call() -> None:
    async with bridged() as (alice, bob, running):
        invite = alice.invite(running.uri)
        alice.say(invite)
        asked = await bob.request("INVITE")
        alice.cancel(invite)
        await alice.response(200, "CANCEL")
        await alice.response(487, "INVITE")
        assert all(m.method == "INVITE" for m in await bob.silence(0.2))
        bob.reply(asked, 180)
        cancelled = await bob.request("CANCEL")
        assert cancelled.headers.get("via") == asked.headers.get("via")
        bob.reply(cancelled, 200)
        bob.reply(asked, 487)
        await bob.request("ACK")
        assert running.agent.counters.calls == {"cancelled": 1}


@in_time
async def test_a_callee_that_answers_while_it_is_cancelled_is_hung_up() -> None:
    async with bridged() as (alice, bob, running):
        invite = alice.invite(running.uri)
        alice.say(invite)
        asked = await bob.request("INVITE")
        bob.reply(asked, 180)
        await alice.response(180)
        alice.cancel(invite)
        await alice.response(487, "INVITE")
        await bob.request("CANCEL")
        bob.reply(asked, 200, SDP.format(""))
        await bob.request("ACK")
        bob.reply(await bob.request("BYE"), 200)
        assert not running.agent.parties


@pytest.mark.parametrize(("said", "told"), [(486, 486), (603, 603), (302, 480), (401, 502), (407, 502), (488, 488)])
@in_time
async def test_a_refusal_is_passed_on_but_no_challenge_and_no_redirection(said: int, told: int) -> None:
    async with bridged() as (alice, bob, running):
        alice.say(alice.invite(running.uri))
        bob.reply(
            await bob.request("INVITE"),
            said,
            Contact="<sip:elsewhere@127.0.0.1:9>",
            WWW_Authenticate='Digest realm="r", nonce="n"',
        )
        await bob.request("ACK")
        await alice.response(told)


@in_time
async def test_each_side_has_its_own_codec() -> None:
    codecs = {"codec_in": ["PCMU"], "codec_out": ["opus", "G722"], "model": "light"}
    async with bridged(**codecs) as (alice, bob, running):
        invite = alice.invite(running.uri)
        alice.say(invite)
        asked = await bob.request("INVITE")
        assert lines(asked, "m=audio")[0].split()[3:5] == ["111", "9"]
        body = SDP.format("").replace("RTP/AVP 0 101", "RTP/AVP 111").replace("0 PCMU/8000", "111 opus/48000/2")
        bob.reply(asked, 200, body)
        await bob.request("ACK")
        answer = await alice.response(200, "INVITE")
        assert lines(answer, "m=audio")[0].split()[3:] == ["0", "101"]
        alice.say(alice.within("ACK", invite, answer, 1))
        (conversation,) = running.desk.conversations.values()
        there = conversation.figures()
        assert (there["caller"]["codec"], there["callee"]["codec"]) == ("PCMU/8000", "opus/48000/2")
        await alice.hang_up(invite, answer)
        # Only the callee can take more than its other side has.
        assert conversation.record.enhanced == [False, True]


@in_time
async def test_hold_is_answered_and_passed_on_and_taken_back() -> None:
    async with bridged() as (alice, bob, running):
        invite, answer, _ = await up(alice, bob, running.uri)
        for number, wish, mirrored in ((2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")):
            alice.say(alice.within("INVITE", invite, answer, number, SDP.format(f"a={wish}\r\n")))
            again = await alice.response(200, "INVITE")
            assert lines(again, "a=recv") + lines(again, "a=send") == [f"a={mirrored}"]
            alice.say(alice.within("ACK", invite, answer, number))
            asked = await bob.request("INVITE")
            assert lines(asked, "a=send") == [f"a={wish}"]
            bob.reply(asked, 200, SDP.format(f"a={mirrored}\r\n"))
            await bob.request("ACK")
        await alice.hang_up(invite, answer, 4)


@in_time
async def test_the_version_of_a_description_rises_only_when_it_changes() -> None:
    async with answering() as (alice, running):
        invite, answer = await alice.call(running.uri)
        versions = [lines(answer, "o=")[0].split()[2]]
        for number, wish in ((2, "sendrecv"), (3, "sendonly")):
            alice.say(alice.within("INVITE", invite, answer, number, SDP.format(f"a={wish}\r\n")))
            again = await alice.response(200, "INVITE")
            alice.say(alice.within("ACK", invite, answer, number))
            versions.append(lines(again, "o=")[0].split()[2])
        assert versions == ["1", "1", "2"]
        await alice.hang_up(invite, answer, 4)


@in_time
async def test_an_invite_without_an_offer_is_given_one_and_the_ack_answers_it() -> None:
    async with answering(codec_in=["G722", "PCMU"]) as (alice, running):
        invite = alice.invite(running.uri, "")
        alice.say(invite)
        answer = await alice.response(200)
        assert lines(answer, "m=audio")[0].split()[3:5] == ["9", "0"]
        alice.say(alice.within("ACK", invite, answer, 1, SDP.format("")))
        await alice.silence(0.05)
        (conversation,) = running.desk.conversations.values()
        assert conversation.figures()["caller"]["codec"] == "PCMU/8000"
        await alice.hang_up(invite, answer)


@in_time
async def test_two_offers_that_meet_are_both_refused_for_now() -> None:
    async with bridged() as (alice, bob, running):
        invite, answer, asked = await up(alice, bob, running.uri)
        alice.say(alice.within("INVITE", invite, answer, 2, SDP.format("a=sendonly\r\n")))
        await alice.response(200, "INVITE")
        alice.say(alice.within("ACK", invite, answer, 2))
        await bob.request("INVITE")
        bob.say(bob.ask("INVITE", asked, "callee", 1, SDP.format("a=sendonly\r\n")))
        await bob.response(491, "INVITE")


@in_time
async def test_an_offer_that_was_refused_for_now_is_made_again() -> None:
    async with bridged() as (alice, bob, running):
        _, _, asked = await up(alice, bob, running.uri)
        # The callee holds: the caller's side is not the owner of its Call-ID, and waits at most 2 s.
        bob.say(bob.ask("INVITE", asked, "callee", 1, SDP.format("a=sendonly\r\n")))
        await bob.response(200, "INVITE")
        bob.say(bob.ask("ACK", asked, "callee", 1))
        alice.reply(await alice.request("INVITE"), 491)
        again = await alice.request("INVITE", 4.0)
        while again.headers.get("cseq")[0] == "1 INVITE":
            again = await alice.request("INVITE", 4.0)
        assert lines(again, "a=send") == ["a=sendonly"]


@in_time
async def test_routes_of_a_caller_keep_their_order_and_those_of_a_callee_are_turned_round() -> None:
    async with bridged() as (alice, bob, running):
        first, second = f"<sip:127.0.0.1:{alice.port};lr;n=1>", f"<sip:127.0.0.1:{alice.port};lr;n=2>"
        near, far = f"<sip:127.0.0.1:{bob.port};lr;n=1>", f"<sip:127.0.0.1:{bob.port};lr;n=2>"
        invite = alice.invite(running.uri, Record_Route=f"{first}, {second}")
        alice.say(invite)
        asked = await bob.request("INVITE")
        bob.reply(asked, 200, SDP.format(""), Record_Route=f"{far}, {near}")
        ack = await bob.request("ACK")
        assert [v for value in ack.headers.get("route") for v in value.split(", ")] == [near, far]
        answer = await alice.response(200, "INVITE")
        assert answer.headers.get("record-route") == [first, second]
        alice.say(alice.within("ACK", invite, answer, 1))
        bob.say(bob.ask("BYE", asked, "callee", 1))
        bye = await alice.request("BYE")
        assert bye.headers.get("route") == [first, second]
        alice.reply(bye, 200)


@in_time
async def test_early_media_of_the_callee_is_given_to_the_caller() -> None:
    async with bridged() as (alice, bob, running):
        alice.say(alice.invite(running.uri))
        asked = await bob.request("INVITE")
        bob.reply(asked, 183, SDP.format(""))
        early = await alice.response(183)
        bob.reply(asked, 200, SDP.format(""))
        assert (await alice.response(200, "INVITE")).text == early.text


@in_time
async def test_keys_sent_by_info_are_counted() -> None:
    async with answering() as (alice, running):
        invite, answer = await alice.call(running.uri)
        for number, body, code in ((2, "Signal=5\r\nDuration=160\r\n", 200), (3, "Signal=boo\r\n", 400)):
            info = alice.within("INFO", invite, answer, number, body)
            info.headers.set_single("Content-Type", "application/dtmf-relay")
            alice.say(info)
            await alice.response(code, "INFO")
        (conversation,) = running.desk.conversations.values()
        await alice.hang_up(invite, answer, 4)
        record = conversation.record.as_dict()
        assert record["keys"] == 1
        assert "Signal" not in str(record)


@in_time
async def test_a_session_timer_too_short_is_refused_with_the_least_there_is() -> None:
    async with answering() as (alice, running):
        alice.say(alice.invite(running.uri, Supported="timer", Session_Expires="30"))
        refused = await alice.response(422)
        assert refused.headers.get_first("min-se") == "90"
        invite = alice.invite(running.uri, Supported="timer", Session_Expires="600;refresher=uac")
        alice.say(invite)
        answer = await alice.response(200)
        assert answer.headers.get_first("session-expires") == "600;refresher=uac"
        assert answer.headers.get_first("require") == "timer"
        alice.say(alice.within("ACK", invite, answer, 1))
        update = alice.within("UPDATE", invite, answer, 2)
        update.headers.set_single("Session-Expires", "300;refresher=uac")
        alice.say(update)
        assert (await alice.response(200, "UPDATE")).headers.get_first("session-expires", "").startswith("300")
        await alice.hang_up(invite, answer, 3)


@in_time
async def test_a_callee_that_wants_a_longer_session_gets_it() -> None:
    async with bridged(session_seconds=90) as (alice, bob, running):
        alice.say(alice.invite(running.uri))
        first = await bob.request("INVITE")
        assert first.headers.get_first("session-expires") == "90"
        bob.reply(first, 422, Min_SE="400")
        await bob.request("ACK")
        second = await bob.request("INVITE")
        assert second.headers.get_first("session-expires") == "400"
        assert second.headers.get("cseq") == ["2 INVITE"]
        assert second.headers.get("call-id") == first.headers.get("call-id")


@in_time
async def test_requests_that_fit_no_dialog_are_told_so() -> None:
    async with answering() as (alice, running):
        invite, answer = await alice.call(running.uri)
        stranger = alice.within("BYE", invite, answer, 2)
        stranger.headers.set_single("From", f"<{alice.uri}>;tag=somebody-else")
        alice.say(stranger)
        await alice.response(481, "BYE")
        alice.say(alice.within("UPDATE", invite, answer, 9))
        await alice.response(200, "UPDATE")
        alice.say(alice.within("UPDATE", invite, answer, 5))
        await alice.response(500, "UPDATE")
        assert running.desk.calls == 1
        await alice.hang_up(invite, answer, 10)


@in_time
async def test_a_call_ends_when_its_time_is_over() -> None:
    async with answering(max_minutes=0.005) as (alice, running):
        await alice.call(running.uri)
        bye = await alice.request("BYE")
        assert "longest time" in (bye.headers.get_first("reason") or "")
        alice.reply(bye, 200)


@in_time
async def test_a_caller_nobody_answers_hears_so_and_the_callee_stops_ringing() -> None:
    async with bridged(ring_seconds=0.2) as (alice, bob, running):
        alice.say(alice.invite(running.uri))
        bob.reply(await bob.request("INVITE"), 180)
        await alice.response(480)
        await bob.request("CANCEL")
        assert running.agent.counters.calls == {"no answer": 1}


@in_time
async def test_a_bridge_that_calls_itself_ends_by_max_forwards() -> None:
    async with answering(answer=None, bridge_to="sip:x@127.0.0.1:9", max_calls=4) as (alice, running):
        loop = running.agent.settings.model_copy(update={"bridge_to": running.uri})
        running.desk.settings = loop
        alice.say(alice.invite(running.uri, Max_Forwards="2"))
        refused: SipResponse = await alice.response(483)
        assert refused.status_code == 483
        assert running.desk.calls == 0
