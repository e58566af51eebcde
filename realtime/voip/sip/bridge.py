"""A caller joined with the target that it may reach: a back-to-back agent (RFC 7092), each side with its own codec."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiosipua.headers import parse_uri

from .call import Party
from .conversation import Conversation, ended_by_callee
from .dialog import Dialog, display_name_of, uri_of
from .incoming import IncomingParty
from .media import Junction, Line
from .messages import Refusal, user_of
from .outgoing import OutgoingParty

if TYPE_CHECKING:
    from .desk import Desk

#: What is told to a caller whose callee answers so; any other code from 400 on is passed on as it is. A challenge is
#: ours to meet and not the caller's, and a redirection is not followed: this is no open relay.
_TRANSLATED = {401: 502, 407: 502, 408: 480, 481: 480, 482: 502, 483: 483, 484: 404, 416: 502, 420: 502, 422: 502}

_PLAIN_USER = re.compile(r"[A-Za-z0-9+._*#-]{1,64}")


class Bridge(Conversation):
    """Rings *target* and joins both when it answers."""

    service = "bridge"

    def __init__(self, desk: Desk, incoming: IncomingParty, target: str) -> None:
        super().__init__(desk, incoming, target)
        agent, request = incoming.agent, incoming.transaction.request
        uri = parse_uri(target)
        line = agent.open_line(uri.host)
        account = desk.settings.account
        caller = user_of(uri_of(request, "from"))
        user = caller if _PLAIN_USER.fullmatch(caller) else "anonymous"
        local = account.address if account is not None else f"sip:{user}@{_bracketed(line.host)}"
        dialog = Dialog.of_caller(local, target, line.host)
        if account is not None and account.proxy is not None:
            dialog.routes = [f"<{account.proxy};lr>"]
        self.outgoing = OutgoingParty(agent, dialog, line, desk.settings.codecs_out())
        self._junction: Junction | None = None
        self._ring_limit: asyncio.TimerHandle | None = None
        self._wire()

    def _wire(self) -> None:
        incoming, outgoing = self.incoming, self.outgoing
        outgoing.ringing = self._rings
        outgoing.answered = self._answered
        outgoing.failed = self._failed
        outgoing.ended = lambda why: self.finish("answered", *ended_by_callee(why))
        incoming.held = lambda direction: outgoing.offer_direction(_passed_on(direction))
        outgoing.held = lambda direction: incoming.offer_direction(_passed_on(direction))
        incoming.key_pressed = outgoing.line.leg.send_key
        outgoing.key_pressed = incoming.line.leg.send_key

    @property
    def lines(self) -> dict[str, Line]:
        """Both legs."""
        return {"caller": self.incoming.line, "callee": self.outgoing.line}

    @property
    def parties(self) -> list[Party]:
        """Both ends."""
        return [self.incoming, self.outgoing]

    def start(self) -> None:
        """Call the target."""
        request = self.incoming.transaction.request
        hops = request.headers.get_first("max-forwards") or "70"
        self._ring_limit = asyncio.get_running_loop().call_later(self.desk.settings.ring_seconds, self._rung_out)
        self.outgoing.call(hops=min(int(hops), 70) - 1, display_name=display_name_of(request, "from"))

    def _join(self) -> None:
        if self._junction is None:
            self._junction = Junction(self.desk.agent.board, self.incoming.line, self.outgoing.line, self._count_key)

    def _count_key(self) -> None:
        self.record.keys += 1

    def _rings(self, code: int, has_media: bool) -> None:
        if not has_media:
            self.incoming.ring(180 if code == 183 else code)
            return
        self._join()
        self.incoming.play_early()

    def _rung_out(self) -> None:
        self.incoming.refuse(Refusal(480, "No Answer"))
        self.finish("no answer", "us")

    def _answered(self) -> None:
        if self._ring_limit is not None:
            self._ring_limit.cancel()
        self._join()
        self.incoming.answer()
        for party in self.parties:
            self.watch(party)
        self.answered()

    def _failed(self, code: int, reason: str) -> None:
        told = 480 if 300 <= code < 400 else _TRANSLATED.get(code, code)
        self.incoming.refuse(Refusal(told))
        self.finish(f"refused {code}", "callee", reason)

    def leave(self) -> None:
        """Take both apart."""
        if self._ring_limit is not None:
            self._ring_limit.cancel()
        if self._junction is not None:
            self.record.enhanced = self._junction.enhanced
            self._junction.close()


def _passed_on(direction: str) -> str:
    """One side's direction of this agent, as what the agent offers to the other: who holds, holds through it."""
    return {"sendrecv": "sendrecv", "recvonly": "sendonly", "sendonly": "recvonly", "inactive": "inactive"}[direction]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
