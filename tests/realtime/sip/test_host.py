"""The agent from its start to its end: settings that ship, figures, and two ways of being told to end."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime.commands.voip_sip import plainly
from realtime.paths import CONFIGS
from realtime.report import Report
from realtime.voip.sip.host import Host
from realtime.voip.sip.settings import SipSettings, load_sip_settings

from .phones import Phone


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


@asynccontextmanager
async def running(phone: Phone, **settings: Any) -> AsyncIterator[tuple[Host, asyncio.Task[dict[str, Any]], list[str]]]:
    said: list[str] = []
    values = {"listen": ["udp:127.0.0.1:0"], "answer": "echo", "model": "none"} | settings
    host = Host(SipSettings.model_validate(values), said.append)
    task = asyncio.ensure_future(host.run())
    while not any("listening" in line for line in said):
        assert not task.done(), task.result()
        await asyncio.sleep(0.02)
    phone.peer = ("127.0.0.1", int(next(line for line in said if "listening" in line).rpartition(":")[2]))
    try:
        yield host, task, said
    finally:
        host.end()
        host.end()
        await task


async def call(phone: Phone) -> tuple[Any, Any]:
    invite = phone.invite(f"sip:bob@127.0.0.1:{phone.peer[1]}")
    phone.say(invite)
    answer = await phone.response(200, "INVITE")
    phone.say(phone.within("ACK", invite, answer, 1))
    return invite, answer


def test_the_first_end_waits_for_a_call_and_the_second_hangs_up() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with running(alice) as (host, task, said):
                await call(alice)
                host.end()
                alice.say(alice.make("OPTIONS", "sip:127.0.0.1"))
                await alice.response(503)
                assert not task.done() and "once more hangs up" in said[-1]
                host.end()
                bye = await alice.request("BYE")
                alice.reply(bye, 200)
                assert (await task)["ended"] == {"answered": 1}

    run(test())


def test_an_end_without_calls_is_at_once() -> None:
    async def test() -> None:
        with Phone("alice") as alice:
            async with running(alice) as (host, task, _):
                host.end()
                assert (await asyncio.wait_for(task, 5.0))["messages"]["faults"] == 0

    run(test())


def test_prometheus_is_told_of_calls_and_their_legs() -> None:
    pytest.importorskip("prometheus_client")

    async def test() -> None:
        with Phone("alice") as alice:
            async with running(alice, metrics_port=0) as (_, _, said):
                (url,) = re.findall(r"http://\S+", "\n".join(said))
                await call(alice)
                await asyncio.sleep(1.5)
                text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
                assert "fullband_sip_active_calls 1.0" in text
                assert re.search(r'fullband_sip_leg_jitter_seconds\{call="[0-9a-f]{8}",leg="caller"\}', text)
                assert re.search(r"fullband_sip_received_total [1-9]", text)

    run(test())


def test_the_settings_that_ship_are_right_with_all_their_examples(tmp_path: Path) -> None:
    text = (CONFIGS / "voip.toml").read_text()
    load_sip_settings(CONFIGS / "voip.toml", {})
    path = tmp_path / "voip.toml"
    path.write_text(re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", text))
    settings = load_sip_settings(path, {"records": None})
    assert settings.account is not None and settings.targets and settings.advertise


def test_the_command_line_decides_what_is_done_with_callers() -> None:
    shipped = CONFIGS / "voip.toml"
    assert load_sip_settings(shipped, {"answer": "echo"}).bridge_to is None
    assert load_sip_settings(shipped, {"bridge_to": "sip:a@127.0.0.1"}).bridge_to == "sip:a@127.0.0.1"


def test_a_caller_cannot_write_markup_to_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    said = plainly(Report(None))
    for words in ("call 1  [/bold]@127.0.0.1 → echo", "listening on udp:[::1]:5060"):
        said(words)
        assert capsys.readouterr().out.strip() == words


def test_a_password_on_the_command_line_is_no_option() -> None:
    assert not [name for name in SipSettings.model_fields if "password" in name]
