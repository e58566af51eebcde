"""A call whose other side went away ends by itself; one that is there is asked in time (RFC 4028)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from realtime.voip.sip import session

from .phones import SDP, Phone, agent


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a session may last two seconds and not ninety."""
    monkeypatch.setattr(session, "LEAST_SECONDS", 1)


async def up(alice: Phone, uri: str, **headers: str) -> tuple[Any, Any]:
    invite = alice.invite(uri, Supported="timer", **headers)
    alice.say(invite)
    answer = await alice.response(200, "INVITE")
    alice.say(alice.within("ACK", invite, answer, 1))
    return invite, answer


def test_a_caller_that_does_not_refresh_is_hung_up() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                await up(alice, running.uri, Session_Expires="2;refresher=uac")
                bye = await alice.request("BYE", 4.0)
                alice.reply(bye, 200)
                assert "session expired" in (bye.headers.get_first("reason") or "")

    run(test())


@pytest.mark.parametrize(("allowed", "method"), [("INVITE, BYE, UPDATE", "UPDATE"), ("INVITE, BYE", "INVITE")])
def test_this_side_refreshes_by_what_the_caller_knows(allowed: str, method: str) -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                invite, answer = await up(alice, running.uri, Session_Expires="2;refresher=uas", Allow=allowed)
                for _ in range(3):
                    asked = await alice.request(method, 4.0)
                    assert asked.headers.get_first("session-expires") == "2;refresher=uac"
                    body = SDP.format("") if method == "INVITE" else ""
                    alice.reply(asked, 200, body, Session_Expires="2;refresher=uac", Allow=allowed)
                assert running.desk.calls == 1
                await alice.hang_up(invite, answer)

    run(test())


def test_a_side_that_has_forgotten_the_call_ends_it() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with agent(alice, answer="echo") as running:
                await up(alice, running.uri, Session_Expires="2;refresher=uas", Allow="UPDATE")
                alice.reply(await alice.request("UPDATE", 4.0), 481)
                alice.reply(await alice.request("BYE"), 200)
                assert running.desk.calls == 0

    run(test())
