"""A name kept at a registrar, and challenges met, with passwords that nobody else sees."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiosipua.headers import parse_auth
from aiosipua.message import SipRequest

from realtime.errors import FullbandError
from realtime.voip.sip.registration import Registration
from realtime.voip.sip.settings import load_sip_settings

from .phones import SDP, Phone, agent

_PASSWORD = "correct horse"


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{_PASSWORD}\n")
    return path


def account(registrar: Phone, password: Path, **more: Any) -> dict[str, Any]:
    return {
        "address": f"sip:fullband@127.0.0.1:{registrar.port}",
        "registrar": f"sip:127.0.0.1:{registrar.port}",
        "username": "fb",
        "password_file": str(password),
        **more,
    }


def challenge(algorithm: str = "MD5") -> str:
    return f'Digest realm="tests", nonce="n0nce", algorithm={algorithm}, qop="auth", opaque="o"'


def is_proven(request: SipRequest, header: str = "Authorization", hasher: Any = hashlib.md5) -> bool:
    """As a registrar computes it, from RFC 7616 and not from the code under test."""
    value = request.headers.get_first(header)
    if value is None:
        return False
    told = parse_auth(value, credentials=True).params

    def h(text: str) -> str:
        return str(hasher(text.encode()).hexdigest())

    mine, what = h(f"fb:tests:{_PASSWORD}"), h(f"{request.method}:{told['uri']}")
    proof = f"{mine}:n0nce:{told['nc']}:{told['cnonce']}:auth:{what}"
    return told["response"] == h(proof) and told["uri"] == request.uri and told["opaque"] == "o"


@pytest.mark.parametrize(("algorithm", "hasher"), [("MD5", hashlib.md5), ("SHA-256", hashlib.sha256)])
def test_a_challenge_is_met_and_the_binding_refreshed_and_taken_back(
    password: Path, algorithm: str, hasher: Any
) -> None:
    async def test() -> None:
        with Phone("registrar") as registrar:
            async with agent(answer="echo", account=account(registrar, password)) as running:
                registration = Registration(running.agent, running.agent.settings.account, running.said.append)
                registration.start()
                first = await registrar.request("REGISTER")
                registrar.reply(first, 401, WWW_Authenticate=challenge(algorithm))
                second = await registrar.request("REGISTER")
                assert is_proven(second, hasher=hasher)
                assert second.headers.get("call-id") == first.headers.get("call-id")
                contact = second.headers.get("contact")[0]
                assert f":{running.port}" in contact and "fullband@" in contact
                registrar.reply(second, 200, Contact=f"{contact};expires=1")
                third = await registrar.request("REGISTER", 3.0)
                assert registration.registered
                registrar.reply(third, 200, Contact=f"{contact};expires=600")
                await registrar.silence(0.1)
                stopping = asyncio.ensure_future(registration.stop())
                last = await registrar.request("REGISTER")
                assert last.headers.get_first("expires") == "0"
                registrar.reply(last, 200)
                await stopping
                assert not registration.registered
                heard = "".join(bytes(message).decode() for message in registrar.heard)
                assert _PASSWORD not in heard + "".join(running.said)

    run(test())


def test_a_wrong_password_is_said_once_and_tried_again_later(password: Path) -> None:
    async def test() -> None:
        with Phone("registrar") as registrar:
            async with agent(answer="echo", account=account(registrar, password)) as running:
                registration = Registration(running.agent, running.agent.settings.account, running.said.append)
                registration.start()
                for _ in range(2):
                    registrar.reply(await registrar.request("REGISTER"), 401, WWW_Authenticate=challenge())
                assert await registrar.silence(0.3) == []
                assert len(running.said) == 1 and "wrong name or password" in running.said[0]
                await registration.stop()

    run(test())


def test_a_registrar_that_wants_longer_gets_it(password: Path) -> None:
    async def test() -> None:
        with Phone("registrar") as registrar:
            async with agent(answer="echo", account=account(registrar, password)) as running:
                registration = Registration(running.agent, running.agent.settings.account, running.said.append)
                registration.start()
                registrar.reply(await registrar.request("REGISTER"), 423, Min_Expires="1800")
                second = await registrar.request("REGISTER")
                assert second.headers.get_first("expires") == "1800"
                registrar.reply(second, 200)
                await registrar.silence(0.05)
                assert registration.registered

    run(test())


def test_a_target_that_asks_for_proof_gets_it(password: Path) -> None:
    async def test() -> None:
        with Phone("alice") as alice, Phone("bob") as bob:
            async with agent(alice, bridge_to=bob.uri, account=account(bob, password)) as running:
                invite = alice.invite(running.uri)
                alice.say(invite)
                first = await bob.request("INVITE")
                bob.reply(first, 407, Proxy_Authenticate=challenge())
                second = await bob.request("INVITE")
                assert is_proven(second, "Proxy-Authorization")
                assert second.headers.get("cseq") == ["2 INVITE"]
                bob.reply(second, 200, SDP.format(""))
                ack = await bob.request("ACK")
                assert ack.headers.get("cseq") == ["2 ACK"]
                answer = await alice.response(200, "INVITE")
                alice.say(alice.within("ACK", invite, answer, 1))
                await alice.hang_up(invite, answer)
                bye = await bob.request("BYE")
                bob.reply(bye, 407, Proxy_Authenticate=challenge())
                assert is_proven(await bob.request("BYE"), "Proxy-Authorization")

    run(test())


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ('[account]\naddress = "sip:a@b"\npassword = "secret"', "password_env"),
        ('[account]\naddress = "a@b"', "sip:user@host"),
        ('bridge_too = "sip:a@b"', "bridge_to"),
        ('bridge_to = "http://a"', "sip:user@host"),
        ('listen = ["localhost:5060"]', "127.0.0.1:5060"),
        ('codec_in = ["PCMX"]', "PCMU"),
        ("session_seconds = 10", "90"),
        ("max_calls = 0", "max_calls"),
        ("", "--answer"),
    ],
)
def test_wrong_settings_are_one_line_that_says_what_to_do(tmp_path: Path, lines: str, word: str) -> None:
    path = tmp_path / "voip.toml"
    path.write_text(lines)
    with pytest.raises(FullbandError) as failure:
        load_sip_settings(path, {})
    assert word in str(failure.value)
    assert "secret" not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_password_that_is_not_where_it_should_be_is_said_at_the_start(tmp_path: Path) -> None:
    for line, word in (
        ('password_env = "FULLBAND_NOT_SET"', "FULLBAND_NOT_SET"),
        ('password_file = "nowhere"', "nowhere"),
    ):
        path = tmp_path / "voip.toml"
        path.write_text(f'answer = "echo"\n[account]\naddress = "sip:a@b"\n{line}\n')
        settings = load_sip_settings(path, {})
        assert settings.account is not None
        with pytest.raises(FullbandError, match=word):
            settings.account.credentials()
