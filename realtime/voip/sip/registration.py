"""A name kept at a registrar (RFC 3261 §10): refreshed before it is forgotten, tried again when it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiosipua.headers import parse_address, parse_uri
from aiosipua.message import SipResponse

from .agent import Agent
from .dialog import Dialog
from .settings import AccountSettings

#: Refreshed at this part of what was granted, so that a lost answer can be asked for again.
_REFRESH = 0.7
#: Between two tries after a failure: doubled each time, up to the second (RFC 5626 §4.5).
_RETRY_S = (15.0, 900.0)


class Registration:
    """Keeps *account* registered from :meth:`start` on. *said* is told what changed, in words for people."""

    def __init__(self, agent: Agent, account: AccountSettings, said: Callable[[str], None]) -> None:
        self.account = account
        self.registered = False
        self._agent = agent
        self._said = said
        host = parse_uri(account.address).host
        self._dialog = Dialog.of_caller(account.address, account.address, host)
        self._dialog.target = account.registrar or f"sip:{host}"
        if account.proxy is not None:
            self._dialog.routes = [f"<{account.proxy};lr>"]
        self._expires_s = account.expires_s
        self._failures = 0
        self._raised = False
        self._next: asyncio.TimerHandle | None = None
        self._done: asyncio.Event = asyncio.Event()

    def start(self) -> None:
        """Register, and stay so."""
        self._register(self._expires_s, self._heard)

    async def stop(self, wait_s: float = 2.0) -> None:
        """Say that calls should come here no more, and wait for the answer."""
        if self._next is not None:
            self._next.cancel()
        if self.registered:
            self._register(0, lambda response: self._done.set() if response.status_code >= 200 else None)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), wait_s)
            self.registered = False

    def _register(self, expires_s: int, heard: Callable[[SipResponse], None]) -> None:
        request = self._dialog.request("REGISTER")
        request.headers.set_single("Contact", self._agent.contact(self._dialog))
        request.headers.set_single("Expires", str(expires_s))
        self._agent.ask(request, self._dialog, heard)

    def _heard(self, response: SipResponse) -> None:
        code = response.status_code
        if code < 200:
            return
        if code < 300:
            granted_s = self._granted_s(response)
            if not self.registered:
                self._said(f"registered as {self.account.address} for {granted_s} s")
            self.registered = True
            self._failures = 0
            self._again(_REFRESH * granted_s)
        elif code == 423 and self._raise_expiry(response):
            self.start()
        else:
            self._fail(code, response.reason_phrase)

    def _fail(self, code: int, reason: str) -> None:
        wait_s = min(_RETRY_S[0] * 2**self._failures, _RETRY_S[1])
        self._failures += 1
        if self.registered or self._failures == 1:
            words = "wrong name or password" if code in (401, 403, 407) else reason
            self._said(f"not registered as {self.account.address}: {code} {words}; tried again in {wait_s:.0f} s")
        self.registered = False
        self._again(wait_s)

    def _raise_expiry(self, response: SipResponse) -> bool:
        least = response.headers.get_first("min-expires") or ""
        if not (least.isdigit() and len(least) < 7 and int(least) > self._expires_s):
            return False
        self._expires_s = int(least)
        return True

    def _granted_s(self, response: SipResponse) -> int:
        """What the registrar gives (§10.3): the parameter of our Contact, else the header."""
        own = parse_uri(self._agent.contact(self._dialog)[1:-1])
        told = [response.headers.get_first("expires")]
        for value in response.headers.get("contact"):
            address = parse_address(value)
            if (address.uri.host, address.uri.port) == (own.host, own.port):
                told.insert(0, address.params.get("expires"))
        for text in told:
            if text and text.isdigit() and 0 < int(text) < 10**6:
                return int(text)
        return self._expires_s

    def _again(self, seconds: float) -> None:
        self._next = asyncio.get_running_loop().call_later(seconds, self.start)
