"""What a bridged call and an answered one have in common: a record, a longest time, and one end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from .call import Party
from .incoming import IncomingParty
from .media import Line
from .messages import name_of, user_of
from .records import CallRecord

if TYPE_CHECKING:
    from .desk import Desk


class Conversation:
    """One caller and what is done with it."""

    service = ""

    def __init__(self, desk: Desk, incoming: IncomingParty, target: str | None = None) -> None:
        self.desk = desk
        self.incoming = incoming
        request = incoming.transaction.request
        self.record = CallRecord(
            self.service,
            caller=name_of(request, "from"),
            called=user_of(request.uri),
            source=str(incoming.transaction.source),
            target=target,
        )
        self._limit: asyncio.TimerHandle | None = None
        self._finished = False
        incoming.ended = lambda why: self.finish("answered", *_ended_by("caller", why))
        incoming.cancelled = lambda: self.finish("cancelled", "caller")

    @property
    def lines(self) -> dict[str, Line]:
        """The legs, by whose they are."""
        return {"caller": self.incoming.line}

    @property
    def parties(self) -> list[Party]:
        """Who is in the call."""
        return [self.incoming]

    def figures(self) -> dict[str, dict[str, Any]]:
        """What each leg counts now."""
        return {name: line.statistics() for name, line in self.lines.items()}

    def watch(self, party: Party) -> None:
        """End the call where nothing at all comes from *party* for long, though something should."""
        leg, loop = party.line.leg, asyncio.get_running_loop()
        leg.silent_after_s = self.desk.settings.silent_seconds

        def silent(seconds: float) -> None:
            loop.call_soon_threadsafe(self._silent, party)

        leg.on_silent = silent

    def _silent(self, party: Party) -> None:
        if party.is_up and party.agreement is not None and party.agreement.receives:
            self.finish("answered", "us", "no media")

    def answered(self) -> None:
        """It is up: count its time."""
        self.record.answered_s = time.time()
        seconds = 60.0 * self.desk.settings.max_minutes
        self._limit = asyncio.get_running_loop().call_later(
            seconds, lambda: self.finish("answered", "us", "longest time reached")
        )

    def finish(self, outcome: str, by: str, reason: str = "") -> None:
        """End it, once, for all who are in it."""
        if self._finished:
            return
        self._finished = True
        if self._limit is not None:
            self._limit.cancel()
        self.record.legs = self.figures()
        self.leave()
        for party in self.parties:
            party.hang_up(reason)
        self.record.outcome, self.record.ended_by, self.record.reason = outcome, by, reason
        self.record.ended_s = time.time()
        self.desk.finished(self)

    def leave(self) -> None:
        """Carry no audio any more."""


def _ended_by(who: str, why: str) -> tuple[str, str]:
    """A BYE is of that party; all else is found out here."""
    return (who, "") if why == "bye" else ("us", f"{who} {why}")


def ended_by_callee(why: str) -> tuple[str, str]:
    """As for the caller."""
    return _ended_by("callee", why)
