"""An offer as Chromium writes it, shortened to what matters, and requests to a host in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from realtime.voip.exchange import Exchange
from realtime.voip.limits import Gate
from realtime.voip.web.guard import Guard
from realtime.voip.web.server import Server
from realtime.voip.web.sessions import Sessions
from realtime.voip.web.settings import WebSettings
from realtime.voip.web.uploads import Uploads

OFFER = """\
v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 0 111
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1467250027 1 udp 2122260223 127.0.0.1 46243 typ host generation 0 network-id 1
a=candidate:1467250028 1 udp 2122260222 6e7f8c4a-0c13-4f1d-9b1b-000000000000.local 46244 typ host generation 0
a=candidate:1467250029 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active generation 0
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:stream track
a=rtcp-mux
a=rtpmap:0 PCMU/8000
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=ssrc:2231627014 cname:cname
""".replace("\n", "\r\n")


@dataclass
class Running:
    """A host without its process: *ask* gives status, body and headers of an answer."""

    client: TestClient[Any, Any]
    sessions: Sessions
    exchange: Exchange
    faults: list[Exception]

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any, Any]:
        async with self.client.request(method, path, **more) as answer:
            body = await (answer.json() if answer.content_type == "application/json" else answer.read())
            return answer.status, body, answer.headers

    async def offer(self, sdp: Any = OFFER, **more: Any) -> tuple[int, Any, Any]:
        return await self.ask("POST", "/api/sessions", json={"sdp": sdp, **more})


@asynccontextmanager
async def running(
    model: str = "none", token: str | None = None, said: Callable[[str], None] = lambda text: None, **settings: Any
) -> AsyncIterator[Running]:
    """A host on a free port of loopback."""
    wished = WebSettings(**{"model": model, "sessions_per_second": 100.0, "requests_per_second": 1000.0, **settings})
    faults: list[Exception] = []
    with Exchange(model, wished.max_sessions) as exchange:
        guard = Guard(token, Gate(wished.requests_per_second, wished.sessions_per_second), faults.append)
        sessions, uploads = Sessions(exchange, wished, said), Uploads(wished)
        server = TestServer(Server(wished, guard, sessions, uploads).application(), host="127.0.0.1")
        try:
            async with TestClient(server) as client:
                yield Running(client, sessions, exchange, faults)
        finally:
            await sessions.close("the test is over")
            uploads.close()
    assert not faults
