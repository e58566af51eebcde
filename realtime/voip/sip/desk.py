"""Decides what is done with callers, and knows all calls that there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiosipua.message import SipRequest

from .answering import Answered, Recording
from .bridge import Bridge
from .conversation import Conversation
from .incoming import IncomingParty
from .messages import Refusal, Refused, user_of
from .records import Records
from .settings import SipSettings

if TYPE_CHECKING:
    from .agent import Agent


class Desk:
    """The service of *agent*, as *settings* wish. *said* is told of calls, in words for people."""

    def __init__(self, agent: Agent, settings: SipSettings, said: Callable[[str], None]) -> None:
        self.agent = agent
        self.settings = settings
        self.conversations: dict[str, Conversation] = {}
        self._said = said
        self._records = Records(settings.records)
        self._recording = None
        if settings.answer is not None and settings.answer != "echo":
            self._recording = Recording(Path(settings.answer))
        self._empty = asyncio.Event()
        self._empty.set()
        agent.service = self

    @property
    def calls(self) -> int:
        """How many there are now."""
        return len(self.conversations)

    @property
    def lost(self) -> int:
        """Call records that could not be written."""
        return self._records.lost

    def check(self, invite: SipRequest) -> None:
        """Raise :class:`Refused` with 404 where nobody is called so."""
        if self.settings.answer is None and self.settings.target_of(user_of(invite.uri)) is None:
            raise Refused(404)

    def incoming(self, party: IncomingParty) -> None:
        """A caller waits."""
        conversation: Bridge | Answered
        if self.settings.answer is not None:
            conversation = Answered(self, party, self._recording)
        else:
            target = self.settings.target_of(user_of(party.transaction.request.uri))
            assert target is not None
            try:
                conversation = Bridge(self, party, target)
            except Refused as refused:
                party.refuse(refused.refusal)
                return
        self.conversations[conversation.record.id] = conversation
        self._empty.clear()
        try:
            conversation.start()
        except Exception:
            self.agent.counters.faults += 1
            party.refuse(Refusal(500))
            conversation.finish("refused 500", "us")

    def finished(self, conversation: Conversation) -> None:
        """A call has ended."""
        record = conversation.record
        self.conversations.pop(record.id, None)
        self.agent.counters.ended(record.outcome)
        self._records.write(record)
        self._said(describe(conversation))
        if not self.conversations:
            self._empty.set()

    async def drain(self) -> None:
        """Take no more calls and wait until those that there are have ended by themselves."""
        self.agent.draining = True
        await self._empty.wait()

    def hang_up_all(self, reason: str) -> None:
        """End every call now."""
        for conversation in list(self.conversations.values()):
            outcome = "answered" if conversation.record.answered_s is not None else "refused 480"
            conversation.finish(outcome, "us", reason)


def describe(conversation: Conversation) -> str:
    """One line of what a call is or was."""
    record = conversation.record
    way = f"{record.caller} → {record.target or record.service}"
    if record.outcome and record.outcome != "answered":
        return f"call {record.id}  {way}  {record.outcome}"
    legs = [
        f"{name} {leg['codec']} lost {leg['lost']} jitter {leg['jitter_ms']:.1f} ms delay {leg['delay_ms']:.0f} ms"
        + (f" MOS {leg['mos']:.1f}" if leg["mos"] is not None else "")
        for name, leg in (record.legs or conversation.figures()).items()
    ]
    end = f"  ended by {record.ended_by}{': ' + record.reason if record.reason else ''}" if record.outcome else ""
    return f"call {record.id}  {way}  {record.talk_s:.1f} s  {'  '.join(legs)}{end}"
