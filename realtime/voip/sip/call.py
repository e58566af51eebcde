"""One party of a call: its dialog, its media, and all that either side may ask once it is up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from aiosipua.message import SipRequest, SipResponse

from ..codecs import Codec
from . import sdp, session
from .dialog import Dialog
from .media import Line
from .messages import (
    ALLOW,
    SDP_TYPE,
    SUPPORTED,
    Refusal,
    Refused,
    has_sdp,
    refusal_of,
    response_to,
    set_body,
)
from .transaction import ServerTransaction

if TYPE_CHECKING:
    from .agent import Agent, Asked

_Message = TypeVar("_Message", SipRequest, SipResponse)

#: After these the other side knows nothing of the call any more (RFC 3261 §12.2.1.2).
_GONE = (408, 481)


class Party:
    """What is common to both ends. Its owner sets the callbacks; each is called in the loop's thread.

    *ended* is told why: ``bye``, ``expired``, ``lost``; it comes once, and never for :meth:`hang_up`.
    """

    is_caller_here = False

    def __init__(self, agent: Agent, dialog: Dialog, line: Line, codecs: list[Codec]) -> None:
        self.agent = agent
        self.dialog = dialog
        self.line = line
        self.codecs = codecs
        self.agreement: sdp.Agreement | None = None
        self.state = "new"
        #: The direction that this side wishes; the answer gives no more.
        self.wished = "sendrecv"
        self.ended: Callable[[str], None] = lambda why: None
        #: Told the direction that the other side leaves to this one, when it offers another.
        self.held: Callable[[str], None] = lambda direction: None
        #: Told a key by INFO (as DTMF that is not in RTP): 0–9, *, #, A–D, and how long in ms.
        self.key_pressed: Callable[[str, int], None] = lambda key, duration_ms: None
        self.peer_updates = False
        self.confirmed_at: float | None = None
        self.description = sdp.Description(line.host, line.port)
        self.timer = session.SessionTimer(self._refresh, self._expired)
        self._unacknowledged: dict[int, ServerTransaction] = {}
        self._awaits_answer = False
        self._own_invite: Asked | None = None
        self._bye_after_ack = False
        self._acks: dict[int, SipRequest] = {}
        self._retry: asyncio.TimerHandle | None = None
        agent.parties[dialog.key] = self

    @property
    def is_up(self) -> bool:
        """Whether both sides have agreed."""
        return self.state == "confirmed"

    # -- what this side asks ------------------------------------------------------------------------------------

    def hang_up(self, reason: str = "") -> None:
        """End a call that is up; *reason* goes into the Reason header (RFC 3326)."""
        if self.state != "confirmed":
            return
        if self._unacknowledged:
            # §15: not before the caller has the answer.
            self._bye_after_ack = True
            return
        self._close()
        bye = self.dialog.request("BYE")
        if reason:
            bye.headers.set_single("Reason", f'SIP;cause=200;text="{reason}"')
        self.agent.ask(bye, self.dialog, lambda _: None)

    def offer_direction(self, direction: str) -> None:
        """Offer the other side *direction* of this one: ``sendonly`` holds it, ``sendrecv`` takes it back."""
        if direction != self.wished:
            self.wished = direction
            self._reinvite()

    def _reinvite(self) -> None:
        if self.state != "confirmed":
            return
        if self._own_invite is not None or self._unacknowledged or self._awaits_answer:
            self._try_later()
            return
        body = self.description.offer(self._known_codecs(), self.wished)
        request = self._with_contact(self.dialog.request("INVITE"))
        set_body(request, body)
        if (interval := self.timer.interval) is not None:
            session.tell(request, interval, we_are_caller=True)
        self._own_invite = self.agent.ask(request, self.dialog, self._reinvite_answered)

    def _try_later(self) -> None:
        """§14.1: whoever owns the Call-ID waits longer, so that two do not meet again."""
        base_s = 2.1 if self.is_caller_here else 0.0
        if self._retry is not None:
            self._retry.cancel()
        delay_s = base_s + secrets.randbelow(190) / 100.0 + 0.01
        self._retry = asyncio.get_running_loop().call_later(delay_s, self._reinvite)

    def _reinvite_answered(self, response: SipResponse) -> None:
        code = response.status_code
        if code < 200:
            return
        self._own_invite = None
        if code < 300:
            self.dialog.refresh_target(response)
            self.acknowledge(response)
            self.timer.start(session.as_answered(response))
            self._agree_with(response)
        elif code == 491:
            self._try_later()
        elif code in _GONE:
            self._lost()

    def acknowledge(self, response: SipResponse, body: str | None = None) -> None:
        """Send the ACK of a 2xx (§13.2.2.4): a request of its own, that nobody answers. Sent again with each 2xx."""
        number = int((response.headers.get_first("cseq") or "0").split()[0])
        ack = self._acks.get(number)
        if ack is None:
            ack = self.dialog.request("ACK")
            ack.headers.set_single("CSeq", f"{number} ACK")
            if body is not None:
                set_body(ack, body)
            self._acks = {number: ack}
        self.agent.send_ack(ack, self.dialog)

    def _refresh(self) -> None:
        """This side's turn to say that it is still there."""
        if self.state != "confirmed":
            return
        if not self.peer_updates:
            self._reinvite()
            return
        update = self._with_contact(self.dialog.request("UPDATE"))
        if (interval := self.timer.interval) is not None:
            session.tell(update, interval, we_are_caller=True)
        self.agent.ask(update, self.dialog, self._refreshed)

    def _refreshed(self, response: SipResponse) -> None:
        if response.status_code < 200:
            return
        if response.status_code < 300:
            self.timer.start(session.as_answered(response))
        elif response.status_code in _GONE:
            self._lost()
        elif response.status_code in (405, 501):
            self.peer_updates = False
            self._reinvite()

    # -- what the other side asks -------------------------------------------------------------------------------

    def take(self, transaction: ServerTransaction) -> None:
        """A request within this dialog. Raises :class:`Refused` with its answer."""
        request = transaction.request
        if self.state == "ended":
            raise Refused(481)
        self.dialog.check(request)
        match request.method:
            case "BYE":
                transaction.respond(response_to(request, 200))
                self._end("bye")
            case "INVITE":
                self._take_reinvite(transaction)
            case "UPDATE":
                self._take_update(transaction)
            case "INFO":
                self._take_info(transaction)
            case "OPTIONS":
                transaction.respond(self.agent.capabilities(request))
            case _:
                raise Refused(501, Allow=ALLOW)

    def _take_reinvite(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if self.state != "confirmed" or self._own_invite is not None:
            raise Refused(491)
        if self._unacknowledged or self._awaits_answer:
            # §14.2: one after the other.
            raise Refused(500, Retry_After=str(secrets.randbelow(10) + 1))
        offer = sdp.read(request)
        interval = session.as_asked(request, self.agent.settings.session_seconds)
        if offer is None:
            body = self.description.offer(self._known_codecs(), self.wished)
            self._awaits_answer = True
        else:
            body, agreement = self.description.answer(offer, self._known_codecs(), self.wished)
            self._apply_wish(agreement)
        self.dialog.refresh_target(request)
        self.accept(transaction, body, interval)

    def _take_update(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        interval = session.as_asked(request, self.agent.settings.session_seconds)
        offer = sdp.read(request)
        if offer is not None and (self._own_invite is not None or self._awaits_answer or self.agreement is None):
            raise Refused(491)
        response = self._with_contact(response_to(request, 200))
        if offer is not None:
            body, agreement = self.description.answer(offer, self._known_codecs(), self.wished)
            set_body(response, body)
            self._apply_wish(agreement)
        self.dialog.refresh_target(request)
        if self.state == "confirmed":
            if interval is not None:
                session.tell(response, interval, we_are_caller=False)
            self.timer.start(interval)
        transaction.respond(response)

    def _take_info(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        pressed = _key_of(kind, request.text)
        if kind in ("application/dtmf-relay", "application/dtmf"):
            if pressed is None:
                raise Refused(400, "Bad DTMF")
            self.key_pressed(*pressed)
        elif request.body:
            raise Refused(415, Accept="application/dtmf-relay, application/dtmf")
        transaction.respond(response_to(request, 200))

    def accept(self, transaction: ServerTransaction, body: str, interval: session.Interval | None) -> None:
        """Answer an INVITE with 200 and *body*, again and again until its ACK."""
        request = transaction.request
        response = self._with_contact(response_to(request, 200, tag=self.dialog.local_tag))
        set_body(response, body)
        if interval is not None:
            session.tell(response, interval, we_are_caller=False)
        self._unacknowledged[self.dialog.remote_sequence] = transaction
        transaction.unacknowledged = self._never_acknowledged
        self.peer_updates = session.allows_update(request)
        transaction.respond(response)
        self.timer.start(interval)

    def take_ack(self, request: SipRequest) -> None:
        """The ACK of a 2xx; where this side offered, with the answer."""
        number = int((request.headers.get_first("cseq") or "0").split()[0])
        transaction = self._unacknowledged.pop(number, None)
        if transaction is None:
            return
        transaction.acknowledged()
        if self._awaits_answer:
            self._awaits_answer = False
            if not has_sdp(request) or not self._agree_with(request):
                # §13.3.1.4: the caller has no media to give.
                self._end_by_us("no media", "no usable media")
                return
        if self._bye_after_ack:
            self.hang_up()

    def _never_acknowledged(self) -> None:
        self._end_by_us("lost", "no ACK")

    # -- media --------------------------------------------------------------------------------------------------

    def _known_codecs(self) -> list[Codec]:
        """The codec in use first, so that nothing changes that need not."""
        if self.agreement is None:
            return self.codecs
        used = self.agreement.codec
        return sorted(self.codecs, key=lambda codec: codec is not used)

    def _agree_with(self, message: SipRequest | SipResponse) -> bool:
        """Take the answer in *message*; whether it could be taken."""
        try:
            answer = sdp.read(message)
            if answer is None:
                return False
            self._apply(sdp.agree(answer, self._known_codecs()))
        except Refused:
            return False
        return True

    def _apply(self, agreement: sdp.Agreement) -> None:
        self.agreement = agreement
        self.line.agree(agreement)

    def _apply_wish(self, agreement: sdp.Agreement) -> None:
        """As :meth:`_apply`, where the other side has made the offer: what it wishes goes further."""
        before = self.agreement
        self._apply(agreement)
        if before is not None and before.direction != agreement.direction:
            self.held(agreement.direction)

    # -- ends ---------------------------------------------------------------------------------------------------

    def confirm(self) -> None:
        """The call is up."""
        self.state = "confirmed"
        self.confirmed_at = time.time()

    def _expired(self) -> None:
        self._end_by_us("expired", "session expired")

    def _lost(self) -> None:
        self._end_by_us("lost", "no answer")

    def _end(self, why: str) -> None:
        """The other side has ended it."""
        if self.state != "ended":
            self._close()
            self.ended(why)

    def _end_by_us(self, why: str, reason: str) -> None:
        """There is no point in going on."""
        if self.state == "confirmed":
            self._settle()
            self.hang_up(reason)
            self.ended(why)

    def _settle(self) -> None:
        """Wait for no ACK any more."""
        for transaction in self._unacknowledged.values():
            transaction.unacknowledged = lambda: None
            transaction.acknowledged()
        self._unacknowledged.clear()

    def _close(self) -> None:
        self.state = "ended"
        self.timer.stop()
        if self._retry is not None:
            self._retry.cancel()
        self._settle()
        self.line.close()
        self.agent.forget(self)

    def _with_contact(self, message: _Message) -> _Message:
        message.headers.set_single("Contact", self.agent.contact(self.dialog))
        message.headers.set_single("Allow", ALLOW)
        message.headers.set_single("Supported", SUPPORTED)
        message.headers.set_single("Accept", SDP_TYPE)
        return message


def refuse(transaction: ServerTransaction, refusal: Refusal, tag: str | None = None) -> None:
    """Answer *transaction* with *refusal*."""
    transaction.respond(refusal_of(transaction.request, refusal, tag))


_KEYS = frozenset("0123456789*#ABCD")


def _key_of(kind: str, text: str) -> tuple[str, int] | None:
    """The key and its duration in ms; None where there is none."""
    duration_ms = 160
    if kind == "application/dtmf":
        key = text.strip().upper()
    else:
        pairs = dict(line.partition("=")[::2] for line in text.replace(" ", "").splitlines())
        values = {name.lower(): value for name, value in pairs.items()}
        key = values.get("signal", "").upper()
        if (told := values.get("duration", "")).isdigit() and len(told) < 6:
            duration_ms = min(max(int(told), 40), 5_000)
    return (key, duration_ms) if key in _KEYS and key else None
