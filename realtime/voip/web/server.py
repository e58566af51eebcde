"""HTTP of the page: what there is, and what each request is answered.

| request | answer |
|---|---|
| ``GET /``, ``/app.js`` … | the page |
| ``GET /api/info`` | limits, bands, codecs, the model card's tables |
| ``POST /api/sessions`` | ``{sdp, band, bypass, level_db, tilt_db}`` → ``{id, sdp}`` |
| ``GET /api/sessions/ID/events`` | a WebSocket: figures as JSON, columns of both spectrograms as bytes; takes wishes |
| ``GET /api/sessions/ID/before.wav``, ``after.wav`` | the last recording |
| ``DELETE /api/sessions/ID`` | hung up |
| ``POST /api/files?band=&level_db=&tilt_db=`` | a recording → ``{id, …}`` |
| ``GET /api/files/ID/before.wav``, ``after.wav``, ``spectrum`` | what became of it |

What is refused is refused as ``{"error": LINE}``: 400 what makes no sense, 401 without the token, 403 and 421 another
page, 404, 413 too large, 415 another kind, 422 what cannot be done, 429 too often, 503 no room.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from ... import __version__
from ...wishes import BRIGHTNESS_RANGES_DB
from .band import BANDS, Band
from .card import measured
from .guard import Guard, Refused
from .offer import CODECS
from .session import Session
from .sessions import Sessions
from .settings import WebSettings
from .taps import BAND_HZ, COLUMN_SAMPLES, RANGE_DB
from .taps import BANDS as SPECTRUM_BANDS
from .uploads import Uploads

_STATIC = Path(__file__).resolve().parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

#: No offer of a browser is as long.
_MOST_OFFER_BYTES = 65_536

#: Spectra are sent every so often, and figures with every so many of them.
_EVERY_S, _FIGURES_EVERY = 0.06, 8

#: Wishes are short, and no person has more of them than one in so many seconds.
_MOST_WISH_BYTES, _WISH_S = 512, 0.05


class Server:
    """The routes of one host."""

    def __init__(self, settings: WebSettings, guard: Guard, sessions: Sessions, uploads: Uploads) -> None:
        self._settings = settings
        self._guard = guard
        self._sessions = sessions
        self._uploads = uploads
        self._card = [table.as_dict() for table in measured()]

    def application(self) -> web.Application:
        """For aiohttp."""
        app = web.Application(middlewares=[self._guard.middleware()], client_max_size=_MOST_OFFER_BYTES)
        for file in sorted(_STATIC.iterdir()):
            path = "/" if file.name == "index.html" else f"/{file.name}"
            app.router.add_get(path, _file(file))
        session, upload = r"/api/sessions/{id:[\w-]{1,64}}", r"/api/files/{id:[\w-]{1,64}}"
        app.router.add_get("/api/info", self._info)
        app.router.add_post("/api/sessions", self._open)
        app.router.add_delete(session, self._hang_up)
        app.router.add_get(session + "/events", self._events)
        app.router.add_get(session + r"/{side:before|after}.wav", self._recording)
        app.router.add_post("/api/files", self._upload)
        app.router.add_get(upload + r"/{file:before\.wav|after\.wav|spectrum}", self._converted)
        return app

    async def _info(self, request: web.Request) -> web.Response:
        settings = self._settings
        return web.json_response(
            {
                "version": __version__,
                "model": settings.model,
                "bands": [{"name": band.name, "label": band.label} for band in BANDS.values()],
                "codecs": [codec.name for codec in CODECS],
                "wishes": {
                    name: {"range": limits, "value": getattr(settings.brightness, name)}
                    for name, limits in BRIGHTNESS_RANGES_DB.items()
                    if self._sessions.takes(name)
                },
                "limits": {
                    "minutes": settings.max_minutes,
                    "record_seconds": settings.max_record_seconds,
                    "upload_mb": settings.max_upload_mb,
                    "upload_seconds": settings.max_upload_seconds,
                },
                "spectrum": {
                    "bands": SPECTRUM_BANDS,
                    "band_hz": BAND_HZ,
                    "columns_per_second": 48_000 / COLUMN_SAMPLES,
                    "range_db": RANGE_DB,
                },
                "tables": self._card,
            }
        )

    # -- sessions -----------------------------------------------------------------------------------------------------

    async def _open(self, request: web.Request) -> web.Response:
        self._guard.check_session(request)
        asked = await _object(request)
        sdp, bypass = asked.get("sdp"), asked.get("bypass", False)
        if not isinstance(sdp, str) or not isinstance(bypass, bool):
            raise Refused(400, 'wanted: {"sdp": text, "band": name, "bypass": true or false}')
        band = _band(asked.get("band", "telephone"))
        brightness = self._sessions.brightness(asked)
        session, answer = await self._sessions.open(request.remote or "", sdp, band, bypass, brightness)
        return web.json_response({"id": session.id, "sdp": answer})

    async def _hang_up(self, request: web.Request) -> web.Response:
        self._session(request).end("hung up", by="caller")
        return web.json_response({})

    async def _recording(self, request: web.Request) -> web.Response:
        side = request.match_info["side"]
        return _wav(self._session(request).recording(side), side)

    def _session(self, request: web.Request) -> Session:
        return self._sessions.find(request.match_info["id"])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        session = self._session(request)
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=_MOST_WISH_BYTES)
        if not socket.can_prepare(request).ok:
            raise Refused(426, "this is a WebSocket (RFC 6455)", Upgrade="websocket")
        await socket.prepare(request)
        session.watched()
        telling = asyncio.ensure_future(_tell(session, socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._wish(session, socket, message.data)
                    await asyncio.sleep(_WISH_S)
        finally:
            session.end("the page was closed", by="caller")
            telling.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await telling
        return socket

    async def _wish(self, session: Session, socket: web.WebSocketResponse, text: str) -> None:
        try:
            wishes = json.loads(text)
            if not isinstance(wishes, dict):
                raise ValueError
            session.wish(wishes)
        except ValueError:
            await socket.send_json({"error": "a wish is a JSON object"})
        except Refused as refused:
            await socket.send_json({"error": str(refused)})

    # -- recordings ---------------------------------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.Response:
        self._guard.check_session(request)
        band = _band(request.query.get("band", "telephone")).name
        brightness = self._sessions.brightness(request.query)
        body = request.content.iter_chunked(65_536)
        return web.json_response(await self._uploads.convert(body, request.content_length, band, brightness))

    async def _converted(self, request: web.Request) -> web.Response:
        file = request.match_info["file"]
        content = self._uploads.read(request.match_info["id"], file)
        if file == "spectrum":
            return web.Response(body=content, content_type="application/octet-stream")
        return _wav(content, file.removesuffix(".wav"))


def _band(name: object) -> Band:
    band = BANDS.get(name) if isinstance(name, str) else None
    if band is None:
        raise Refused(400, f"no band named {str(name)[:40]!r}; there are: {', '.join(BANDS)}")
    return band


def _file(path: Path) -> Any:
    content = path.read_bytes()

    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=_TYPES[path.suffix], charset="utf-8")

    return serve


def _wav(content: bytes, side: str) -> web.Response:
    return web.Response(
        body=content,
        content_type="audio/wav",
        headers={"Content-Disposition": f'attachment; filename="fullband-{side}.wav"'},
    )


async def _object(request: web.Request) -> dict[str, Any]:
    """The JSON object that *request* holds. It has to say that it is JSON: no form of another page can."""
    if request.content_type != "application/json":
        raise Refused(415, "wanted: application/json")
    try:
        asked = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise Refused(400, "this is no JSON") from None
    if not isinstance(asked, dict):
        raise Refused(400, "this is no JSON object")
    return asked


async def _tell(session: Session, socket: web.WebSocketResponse) -> None:
    """What happens, until the session ends; then why it did."""
    turn = 0
    while not session.ended.done():
        columns = session.columns()
        if columns:
            await socket.send_bytes(columns)
        if turn % _FIGURES_EVERY == 0:
            await socket.send_json({"figures": session.figures()})
        turn += 1
        await asyncio.wait([session.ended], timeout=_EVERY_S)
    await socket.send_json({"ended": session.ended.result()})
    await socket.close()
