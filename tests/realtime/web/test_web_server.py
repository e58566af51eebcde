"""Requests of pages and of others: each is answered by a status and a line, and nothing of them ends in the log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from aiohttp import WSMsgType
from numpy.typing import NDArray

from tests.sip_peers import voice

from .offers import OFFER, running


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120.0))


def as_wav(samples: NDArray[Any], rate_hz: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV")
    return file.getvalue()


def wav(seconds: float, rate_hz: int = 8_000) -> bytes:
    return as_wav(0.1 * np.random.default_rng(3).standard_normal(int(seconds * rate_hz)), rate_hz)


JSON = {"Content-Type": "application/json"}

REFUSED = {
    "nothing there": ("GET", "/nothing", {}, 404),
    "another method": ("DELETE", "/api/info", {}, 405),
    "no JSON": ("POST", "/api/sessions", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    "deep JSON": (
        "POST",
        "/api/sessions",
        {"data": b"[" * 60_000, "headers": {"Content-Type": "application/json"}},
        400,
    ),
    "a list": ("POST", "/api/sessions", {"json": []}, 400),
    "a form, as another page could send": ("POST", "/api/sessions", {"data": {"sdp": OFFER}}, 415),
    "no sdp": ("POST", "/api/sessions", {"json": {"band": "full"}}, 400),
    "a number for sdp": ("POST", "/api/sessions", {"json": {"sdp": 1}}, 400),
    "no SDP": ("POST", "/api/sessions", {"json": {"sdp": "hello"}}, 400),
    "no such band": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "band": "radio"}}, 400),
    "a level that is no number": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "level_db": "loud"}}, 400),
    "a level that is true": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "level_db": True}}, 400),
    "a level that is nothing": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "level_db": None}}, 400),
    "a level without end": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "level_db": float("nan")}}, 400),
    "too great a level": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "level_db": 13}}, 400),
    "a tilt without a model": ("POST", "/api/sessions", {"json": {"sdp": OFFER, "tilt_db": 1.0}}, 400),
    "too long an offer": ("POST", "/api/sessions", {"json": {"sdp": "x" * 70_000}}, 413),
    "no such session": ("GET", "/api/sessions/abc/events", {}, 404),
    "no such recording": ("GET", "/api/files/abc/before.wav", {}, 404),
    "a path that leads out": ("GET", "/api/files/abc/..%2f..%2fetc%2fpasswd", {}, 404),
    "an empty upload": ("POST", "/api/files", {"data": b""}, 400),
    "an upload for no such band": ("POST", "/api/files?band=radio", {"data": b"x"}, 400),
    "an upload for too great a tilt": ("POST", "/api/files?tilt_db=-12.5", {"data": b"x"}, 400),
    "an upload for a level without a model": ("POST", "/api/files?level_db=1", {"data": b"x"}, 400),
    "a page from elsewhere": ("GET", "/api/info", {"headers": {"Origin": "http://evil.example"}}, 403),
    "another name for this machine": ("GET", "/api/info", {"headers": {"Host": "evil.example"}}, 421),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_gets_its_status_and_one_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    method, path, more, status = REFUSED[name]

    async def test() -> None:
        async with running() as host:
            given, body, headers = await host.ask(method, path, **more)
            assert given == status
            assert list(body) == ["error"]
            assert "\n" not in body["error"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert host.sessions.count == 0

    run(test())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_with_a_token_nothing_but_the_page_is_given_without_it() -> None:
    async def test() -> None:
        async with running(token="0123456789abcdef") as host:
            assert (await host.ask("GET", "/"))[0] == 200
            for method, path in (("GET", "/api/info"), ("POST", "/api/sessions"), ("POST", "/api/files")):
                for given in (None, "Bearer wrong", "Basic 0123456789abcdef", "Bearer"):
                    headers = {} if given is None else {"Authorization": given}
                    status, _, answered = await host.ask(method, path, headers=headers)
                    assert status == 401
                    assert answered["WWW-Authenticate"].startswith("Bearer")
            right = {"Authorization": "Bearer 0123456789abcdef"}
            assert (await host.ask("GET", "/api/info", headers=right))[0] == 200
            # Behind TLS and a token the host may have any name.
            assert (await host.ask("GET", "/api/info", headers=right | {"Host": "voice.example"}))[0] == 200

    run(test())


def test_the_page_takes_nothing_from_elsewhere() -> None:
    async def test() -> None:
        async with running() as host:
            status, page, headers = await host.ask("GET", "/")
            assert status == 200
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert b"http://" not in page and b"https://" not in page
            for name in (
                "app.js",
                "api.js",
                "call.js",
                "brightness.js",
                "recording.js",
                "spectrogram.js",
                "tables.js",
                "style.css",
            ):
                assert (await host.ask("GET", f"/{name}"))[0] == 200
            _, info, _ = await host.ask("GET", "/api/info")
            assert {band["name"] for band in info["bands"]} == {"telephone", "wideband", "full"}
            assert any(table["heading"] == "Measured" for table in info["tables"])

    run(test())


def test_pages_past_the_limit_are_told_to_come_back() -> None:
    async def test() -> None:
        async with running(max_sessions=2) as host:
            opened = [(await host.offer())[1]["id"] for _ in range(2)]
            status, body, headers = await host.offer()
            assert status == 503
            assert "2 places are taken" in body["error"]
            assert int(headers["Retry-After"]) > 0
            assert (await host.ask("DELETE", f"/api/sessions/{opened[0]}"))[0] == 200
            assert (await host.offer())[0] == 200

    run(test())


def test_a_source_that_asks_too_often_is_told_to_wait() -> None:
    async def test() -> None:
        async with running(sessions_per_second=0.001) as host:
            statuses = [(await host.offer("no SDP"))[0] for _ in range(3)]
            assert statuses == [400, 429, 429]
        async with running(requests_per_second=1.0) as host:
            statuses = [(await host.ask("GET", "/"))[0] for _ in range(10)]
            assert statuses[0] == 200
            assert statuses[-1] == 429

    run(test())


def test_recordings_past_the_limit_are_refused_whether_or_not_their_size_was_told() -> None:
    async def test() -> None:
        async with running(max_upload_mb=0.01) as host:
            for data in (b"x" * 10_001, _pieces()):
                status, body, _ = await host.ask("POST", "/api/files", data=data)
                assert status == 413
                assert "up to 0.01 MB" in body["error"]

    run(test())


async def _pieces() -> Any:
    for _ in range(20):
        yield b"x" * 1_000


def test_a_page_that_never_comes_back_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("realtime.voip.web.session._OPEN_S", 0.2)
    records = tmp_path / "sessions.jsonl"
    said: list[str] = []

    async def test() -> None:
        async with running(records=records, said=said.append) as host:
            assert (await host.offer())[0] == 200
            assert host.sessions.count == host.exchange.calls == 1
            await until(lambda: host.sessions.count == 0)
            assert host.exchange.calls == 0

    run(test())
    (record,) = [json.loads(line) for line in records.read_text().splitlines()]
    assert record["outcome"] == "no media"
    assert record["reason"] == "the page did not open its events"
    assert len(said) == 1


def test_a_page_that_is_closed_ends_its_session_and_wrong_wishes_do_not() -> None:
    async def test() -> None:
        async with running() as host:
            _, opened, _ = await host.offer(band="full")
            path = f"/api/sessions/{opened['id']}"
            assert (await host.ask("GET", f"{path}/before.wav"))[0] == 404
            assert (await host.ask("GET", f"{path}/events"))[0] == 426
            socket = await host.client.ws_connect(f"{path}/events")
            for wish in ("[]", "{", '{"bypass": 1}', '{"band": "radio"}', '{"dance": true}'):
                await socket.send_str(wish)
                assert await told(socket, "error")
            await socket.send_json({"bypass": True, "band": "wideband"})
            while not (figures := await told(socket, "figures"))["bypass"]:
                pass
            assert figures["band"] == "wideband"
            assert not figures["connected"]
            await socket.close()
            await until(lambda: host.sessions.count == 0)
            assert (await host.ask("GET", f"{path}/events"))[0] == 404

    run(test())


def test_a_page_is_told_what_its_model_can_be_wished_and_where_that_begins() -> None:
    async def test() -> None:
        async with running() as host:
            assert (await host.ask("GET", "/api/info"))[1]["wishes"] == {}
        async with running(model="light", high_tilt_db=-2.0) as host:
            _, info, _ = await host.ask("GET", "/api/info")
            assert info["wishes"] == {
                "level_db": {"range": [-24.0, 12.0], "value": 0.0},
                "tilt_db": {"range": [-12.0, 12.0], "value": -2.0},
            }
            _, opened, _ = await host.offer(level_db=3)
            socket = await host.client.ws_connect(f"/api/sessions/{opened['id']}/events")
            figures = await told(socket, "figures")
            assert (figures["level_db"], figures["tilt_db"]) == (3.0, -2.0)
            await socket.send_json({"tilt_db": 12.1})
            assert "from -12 to 12" in await told(socket, "error")
            await socket.send_json({"tilt_db": 1.5})
            while (figures := await told(socket, "figures"))["tilt_db"] != 1.5:
                pass
            assert figures["level_db"] == 3.0

    run(test())


def test_the_longest_time_ends_a_session_and_the_page_is_told() -> None:
    async def test() -> None:
        async with running() as host:
            _, opened, _ = await host.offer()
            socket = await host.client.ws_connect(f"/api/sessions/{opened['id']}/events")
            host.sessions.find(opened["id"]).end("10 minutes are over, the longest time here")
            assert await told(socket, "ended") == "10 minutes are over, the longest time here"

    run(test())


async def told(socket: Any, key: str) -> Any:
    """The next message that has *key*."""
    while True:
        message = await socket.receive(timeout=20.0)
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        if message.type is WSMsgType.TEXT and key in (said := json.loads(message.data)):
            return said[key]


async def until(is_so: Any) -> None:
    for _ in range(400):
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("not within 20 s")


@pytest.mark.slow
def test_a_recording_comes_back_as_fullband_file_makes_it() -> None:
    async def test() -> None:
        async with running(model="light", max_upload_seconds=2.0) as host:
            status, made, _ = await host.ask("POST", "/api/files?band=telephone", data=wav(1.0, 48_000))
            assert status == 200
            assert made["band_rate_hz"] == 8_000
            sides = {}
            for side in ("before", "after"):
                _, content, headers = await host.ask("GET", f"/api/files/{made['id']}/{side}.wav")
                assert headers["Content-Type"] == "audio/wav"
                sides[side], rate_hz = soundfile.read(io.BytesIO(content))
                assert rate_hz == 48_000
            assert len(sides["before"]) == len(sides["after"]) == 48_000
            before, after = (np.fft.rfft(sides[side])[100:3_000] for side in ("before", "after"))
            assert np.linalg.norm(after - before) < 0.02 * np.linalg.norm(before)
            _, spectrum, _ = await host.ask("GET", f"/api/files/{made['id']}/spectrum")
            assert len(spectrum) == 50 * 2 * 120
            levels_dbfs = []
            for wish in ("level_db=0", "level_db=-20"):
                path = f"/api/files?band=telephone&{wish}"
                _, spoken, _ = await host.ask("POST", path, data=as_wav(voice(48_000)[:48_000], 48_000))
                levels_dbfs.append(spoken["high_after_dbfs"])
            assert levels_dbfs[0] - levels_dbfs[1] == pytest.approx(20.0, abs=2.0)
            for data, line in ((b"not audio at all", "cannot be read as audio"), (wav(3.0), "2 s are taken")):
                status, body, _ = await host.ask("POST", "/api/files", data=data)
                assert status == 422
                assert line in body["error"]

    run(test())
