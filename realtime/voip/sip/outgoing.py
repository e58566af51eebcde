"""The party that this side calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiosipua.message import SipRequest, SipResponse

from ..codecs import Codec
from . import session
from .call import Party
from .dialog import Dialog
from .media import Line
from .messages import set_body, tag_of
from .session import Interval

if TYPE_CHECKING:
    from .agent import Agent, Asked


class OutgoingParty(Party):
    """A callee. *ringing* is told the code of a provisional response and whether media comes with it, *answered* that
    it took the call, *failed* the code and words with which it did not."""

    is_caller_here = True

    def __init__(self, agent: Agent, dialog: Dialog, line: Line, codecs: list[Codec]) -> None:
        super().__init__(agent, dialog, line, codecs)
        self.ringing: Callable[[int, bool], None] = lambda code, has_media: None
        self.answered: Callable[[], None] = lambda: None
        self.failed: Callable[[int, str], None] = lambda code, reason: None
        self._asked: Asked | None = None
        self._interval = Interval(agent.settings.session_seconds, we_refresh=True)
        self._least_s = session.LEAST_SECONDS
        self._given_up = False
        self._hops = 70

    def call(self, hops: int = 70, display_name: str = "") -> None:
        """Call. *hops* is what is left of Max-Forwards, so that two bridges cannot call each other for ever."""
        self._hops = hops
        if display_name and all(c.isprintable() and c not in '"\\' for c in display_name):
            self.dialog.local = f'"{display_name}" {self.dialog.local}'
        self.state = "calling"
        self._invite()

    def _invite(self) -> None:
        request = self._with_contact(self.dialog.request("INVITE"))
        request.headers.set_single("Max-Forwards", str(self._hops))
        if self._interval.seconds:
            request.headers.set_single("Session-Expires", str(self._interval.seconds))
            request.headers.set_single("Min-SE", str(self._least_s))
        set_body(request, self.description.offer(self.codecs, self.wished))
        self._asked = self.agent.ask(request, self.dialog, self._heard)

    def cancel(self) -> None:
        """Do not wait for an answer any more."""
        if self.state == "calling" and not self._given_up:
            self._given_up = True
            if self._asked is not None:
                self._asked.cancel()

    def hang_up(self, reason: str = "") -> None:
        """End the call, whatever its state."""
        if self.state == "calling":
            self.cancel()
        else:
            super().hang_up(reason)

    def _heard(self, response: SipResponse) -> None:
        code = response.status_code
        if code == 100:
            return
        if 200 <= code < 300:
            self._accepted(response)
        elif self.state != "calling":
            return
        elif code < 200:
            self._rings(response)
        elif code == 422 and self._raises_interval(response):
            self._invite()
        else:
            self._close()
            if not self._given_up:
                self.failed(code, response.reason_phrase)

    def _rings(self, response: SipResponse) -> None:
        if self._given_up:
            return
        self.ringing(response.status_code, self._agree_with(response))

    def _raises_interval(self, response: SipResponse) -> bool:
        """RFC 4028 §7.4: ask again for as much as the callee wants at least."""
        wanted = response.headers.get_first("min-se") or ""
        if not (wanted.isdigit() and len(wanted) < 6 and int(wanted) > self._least_s) or self._given_up:
            return False
        self._least_s = int(wanted)
        self._interval = Interval(max(self._interval.seconds, self._least_s), we_refresh=True)
        return True

    def _accepted(self, response: SipResponse) -> None:
        if self.state != "calling":
            if tag_of(response, "to") == self.dialog.remote_tag:
                self.acknowledge(response)
            else:
                self._leave_fork(response)
            return
        self.dialog.learn(response)
        self.acknowledge(response)
        self.confirm()
        if self._given_up:
            # The answer and the CANCEL have crossed (§9.1).
            self.hang_up("cancelled")
            return
        self.peer_updates = session.allows_update(response)
        if not self._agree_with(response):
            self.hang_up("no usable media")
            self.failed(488, "Not Acceptable Here")
            return
        self.timer.start(session.as_answered(response))
        self.answered()

    def _leave_fork(self, response: SipResponse) -> None:
        """A second phone has answered (§13.2.2.4): one call is enough."""
        other = Dialog(self.dialog.call_id, self.dialog.local, self.dialog.remote, self.dialog.local_tag)
        other.sequence = self.dialog.sequence
        other.learn(response)
        ack: SipRequest = other.request("ACK")
        ack.headers.set_single("CSeq", f"{(response.headers.get_first('cseq') or '0').split()[0]} ACK")
        self.agent.send_ack(ack, other)
        self.agent.ask(other.request("BYE"), other, lambda _: None)
