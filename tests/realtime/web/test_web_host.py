"""The page's host is told to end: it waits for sessions that there are, within bounds, or hangs up when told again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import pytest
from aiohttp import ClientSession

from realtime.voip.web.host import Host
from realtime.voip.web.settings import WebSettings

from .offers import OFFER


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


@dataclass
class Running:
    """A host, what it says and gives in the end, and a page that asks it."""

    host: Host
    ended: asyncio.Task[dict[str, Any]]
    said: list[str]
    page: ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.page.request(method, path, **more) as answer:
            return answer.status, await answer.json()

    async def open(self) -> tuple[int, Any]:
        return await self.ask("POST", "/api/sessions", json={"sdp": OFFER})


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Running]:
    said: list[str] = []
    wished = {"listen": "127.0.0.1:0", "model": "none", "sessions_per_second": 100.0} | settings
    host = Host(WebSettings(**wished), said.append)
    ended = asyncio.ensure_future(host.run())
    while not any("listening" in line for line in said):
        assert not ended.done(), ended.result()
        await asyncio.sleep(0.02)
    address = next(line for line in said if "listening" in line).rpartition(" ")[2]
    async with ClientSession(base_url=address) as page:
        try:
            yield Running(host, ended, said, page)
        finally:
            host.end()
            host.end()
            await ended


def test_sigterm_waits_for_a_session_opens_no_other_and_ends_with_the_last() -> None:
    async def test() -> None:
        async with running() as host:
            status, session = await host.open()
            assert status == 200
            os.kill(os.getpid(), signal.SIGTERM)
            while not any("waiting" in line for line in host.said):
                await asyncio.sleep(0.02)
            status, refused = await host.open()
            assert (status, refused["error"]) == (503, "this host is shutting down")
            assert not host.ended.done()
            # The page of the session is served as before.
            assert (await host.ask("DELETE", f"/api/sessions/{session['id']}"))[0] == 200
            await asyncio.wait_for(asyncio.shield(host.ended), 30.0)
            assert sum((await host.ended)["ended"].values()) == 1

    run(test())


def test_the_second_end_hangs_up() -> None:
    async def test() -> None:
        async with running() as host:
            await host.open()
            host.host.end()
            host.host.end()
            await asyncio.wait_for(host.ended, 30.0)
            assert any("this host is shutting down" in line for line in host.said)

    run(test())


def test_a_session_that_does_not_end_is_not_waited_for_for_ever() -> None:
    async def test() -> None:
        async with running(drain_seconds=0.2) as host:
            await host.open()
            host.host.end()
            await asyncio.wait_for(host.ended, 30.0)

    run(test())


def test_without_sessions_the_end_is_at_once() -> None:
    async def test() -> None:
        async with running() as host:
            host.host.end()
            assert (await asyncio.wait_for(host.ended, 30.0))["faults"] == 0
            assert not any("waiting" in line for line in host.said)

    run(test())


def test_prometheus_is_told_of_sessions_and_of_a_drain() -> None:
    pytest.importorskip("prometheus_client")

    async def test() -> None:
        async with running(metrics_port=0) as host:
            address = next(line for line in host.said if "Prometheus" in line).rpartition(" ")[2]

            async def told(words: str) -> None:
                while words not in await asyncio.to_thread(lambda: urlopen(address).read().decode()):
                    await asyncio.sleep(0.2)

            await told("fullband_web_active_sessions 0.0")
            await host.open()
            await told("fullband_web_active_sessions 1.0")
            await told("fullband_web_draining 0.0")
            host.host.end()
            await told("fullband_web_draining 1.0")
            await told("fullband_web_requests_total 1.0")

    run(test())
