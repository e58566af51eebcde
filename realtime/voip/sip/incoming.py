"""The party that calls this side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..codecs import Codec
from . import sdp, session
from .call import Party, refuse
from .dialog import Dialog
from .media import Line
from .messages import Refusal, Refused, response_to, set_body
from .transaction import ServerTransaction

if TYPE_CHECKING:
    from .agent import Agent


class IncomingParty(Party):
    """A caller that waits for an answer. *cancelled* is called when it has not waited long enough."""

    def __init__(
        self, agent: Agent, transaction: ServerTransaction, offer: Offer, line: Line, codecs: list[Codec]
    ) -> None:
        super().__init__(agent, Dialog.of_callee(transaction.request), line, codecs)
        self.transaction = transaction
        self.cancelled: Callable[[], None] = lambda: None
        self._offer = offer
        self._body: str | None = None
        transaction.cancelled = self._cancelled
        if agent.settings.symmetric or transaction.source.is_reliable:
            self.dialog.flow = transaction.source

    def ring(self, code: int = 180) -> None:
        """Tell the caller that it rings."""
        if self.state in ("new", "ringing"):
            self.state = "ringing"
            self._provisional(code)

    def play_early(self, code: int = 183) -> None:
        """Give the caller media before the answer: what the callee's side plays while it rings."""
        if self.state not in ("new", "ringing") or self._offer.description is None:
            return
        self.state = "ringing"
        self._provisional(code, self._answer())

    def _provisional(self, code: int, body: str | None = None) -> None:
        response = self._with_contact(response_to(self.transaction.request, code, tag=self.dialog.local_tag))
        if body is not None:
            set_body(response, body)
        self.transaction.respond(response)

    def _answer(self) -> str:
        """The answer, the same whenever it is given (RFC 3261 §13.2.1)."""
        if self._body is None:
            assert self._offer.description is not None
            self._body, agreement = self.description.answer(self._offer.description, self.codecs, self.wished)
            self._apply(agreement)
        return self._body

    def answer(self) -> None:
        """Take the call. Without an offer of the caller this side makes one."""
        if self.state not in ("new", "ringing"):
            return
        if self._offer.description is None:
            self._awaits_answer = True
            body = self.description.offer(self.codecs, self.wished)
        else:
            body = self._answer()
        self.confirm()
        self.accept(self.transaction, body, self._offer.interval)

    def refuse(self, refusal: Refusal) -> None:
        """Do not take it."""
        if self.state in ("new", "ringing"):
            refuse(self.transaction, refusal, self.dialog.local_tag)
            self._close()

    def hang_up(self, reason: str = "") -> None:
        """End the call, whatever its state."""
        if self.state in ("new", "ringing"):
            self.refuse(Refusal(480))
        else:
            super().hang_up(reason)

    def take(self, transaction: ServerTransaction) -> None:
        """Before its answer a caller may only give up."""
        if self.state not in ("new", "ringing") or transaction.request.method in ("OPTIONS", "INFO", "UPDATE"):
            super().take(transaction)
            return
        self.dialog.check(transaction.request)
        if transaction.request.method != "BYE":
            raise Refused(491)
        transaction.respond(response_to(transaction.request, 200))
        self._cancelled()

    def _cancelled(self) -> None:
        if self.state in ("new", "ringing"):
            self.refuse(Refusal(487))
            self.cancelled()


class Offer:
    """What an INVITE asks for, looked at before anything is set up for it.

    Raises :class:`Refused`: 400 for what is no session description, 488 for one without a codec that we have, 422 for
    a session timer that is too short.
    """

    def __init__(self, transaction: ServerTransaction, codecs: list[Codec], session_seconds: int) -> None:
        self.description = sdp.read(transaction.request)
        if self.description is not None:
            sdp.first_usable(self.description, codecs)
        self.interval = session.as_asked(transaction.request, session_seconds)
