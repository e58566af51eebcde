"""Who may ask, how often, and how a refusal looks: one JSON object with one line, whatever went wrong."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web

from ..limits import Gate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: What the token opens. All else is the page itself, which holds no secret, or has a name that nobody can guess.
_GUARDED = frozenset({"/api/info", "/api/sessions", "/api/files"})

#: The page is what it is served as: nothing from elsewhere, and in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not served: HTTP status, one line, and headers such as ``Retry_After``."""

    def __init__(self, status: int, line: str, **headers: str) -> None:
        super().__init__(line)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> web.Response:
        """As JSON."""
        return web.json_response({"error": str(self)}, status=self.status, headers=self.headers)


class Guard:
    """Before every request. *fault* is told of failures of this program.

    Without a *token* only pages of this machine itself are served: a browser that is led here under another name
    (DNS rebinding) is refused.
    """

    def __init__(self, token: str | None, gate: Gate, fault: Callable[[Exception], None]) -> None:
        self._token = token
        self._gate = gate
        self._fault = fault
        self.requests = self.refused = self.throttled = 0

    def middleware(self) -> Any:
        """For aiohttp."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests += 1
            try:
                self._check(request)
                response = await handler(request)
            except Refused as refused:
                response = self._refuse(refused)
            except web.HTTPException as error:
                response = self._refuse(_as_refused(error))
            except (ConnectionError, TimeoutError):
                raise
            except Exception as error:
                self._fault(error)
                response = self._refuse(Refused(500, "a fault of this program; it is told of where it runs"))
            if not response.prepared:
                response.headers.update(_HEADERS)
            return response

        return guard

    def check_session(self, request: web.Request) -> None:
        """Raise :class:`Refused` where this source asks for sessions or conversions too often."""
        if not self._gate.admits_call(request.remote or ""):
            self.throttled += 1
            raise Refused(429, "too many at once from one address; wait a few seconds", Retry_After="5")

    def _refuse(self, refused: Refused) -> web.Response:
        self.refused += 1
        return refused.response()

    def _check(self, request: web.Request) -> None:
        if not self._gate.admits_message(request.remote or ""):
            self.throttled += 1
            raise Refused(429, "too many requests from one address; wait a second", Retry_After="1")
        if self._token is None and not _is_own_name(request.host):
            raise Refused(421, "this host serves its own machine: open it as http://127.0.0.1 or http://localhost")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin.partition("://")[2] != request.host:
            raise Refused(403, "another page than this host's own has asked")
        if self._token is not None and request.path in _GUARDED:
            kind, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
                raise Refused(401, "this host wants its token", WWW_Authenticate='Bearer realm="fullband"')


def _is_own_name(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _as_refused(error: web.HTTPException) -> Refused:
    lines = {
        404: "there is no such thing here",
        405: "not by this method",
        413: "too large",
    }
    kept = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Refused(error.status, lines.get(error.status, error.reason.lower()), **kept)
