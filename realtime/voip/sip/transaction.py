"""Transactions: the four state machines of RFC 3261 §17, with the ``accepted`` state of RFC 6026.

A request is sent again until it is answered, a final answer to an INVITE until it is acknowledged, and whatever comes
twice is told once. Everything ends by itself, whatever the peer does or leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiosipua.headers import parse_cseq, parse_via
from aiosipua.message import SipRequest, SipResponse

from .messages import response_to
from .transport import Peer, Transport, reply_peer

#: Server transactions at once. Past that, requests are dropped: their senders send them again.
_SERVER_LIMIT = 4096

_COOKIE = "z9hG4bK"


@dataclass(frozen=True)
class Timers:
    """RFC 3261 §17.1.1.1: estimated round trip, longest interval, longest life of a message in the network."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0

    @property
    def give_up_s(self) -> float:
        """Timers B, F, H, J, L and M."""
        return 64.0 * self.t1_s


class _Transaction:
    """What all four have: named timers, and an end."""

    def __init__(self, layer: Transactions, key: tuple[str, ...], request: SipRequest, peer: Peer) -> None:
        self.request = request
        self.peer = peer
        self.state = ""
        self._layer = layer
        self._key = key
        self._pending: dict[str, asyncio.TimerHandle] = {}

    def _after(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        self._stop(name)
        self._pending[name] = asyncio.get_running_loop().call_later(seconds, act)

    def _stop(self, *names: str) -> None:
        for name in names:
            if handle := self._pending.pop(name, None):
                handle.cancel()

    def _repeat(self, message: SipRequest | SipResponse, interval_s: float, limit_s: float) -> None:
        """Send *message* now and again after *interval_s*, which doubles up to *limit_s*."""

        def again() -> None:
            self._layer.transport.counters.retransmitted += 1
            self._repeat(message, min(2.0 * interval_s, limit_s), limit_s)

        self._layer.transport.send(message, self.peer)
        self._after("repeat", interval_s, again)

    def _linger(self, seconds: float) -> None:
        """End after *seconds* in which stragglers are taken."""
        self._after("end", 0.0 if self.peer.is_reliable else seconds, self.end)

    def end(self) -> None:
        """Forget it."""
        self.state = "terminated"
        self._stop(*list(self._pending))
        self._layer._forget(self)


class ClientTransaction(_Transaction):
    """A request sent. *heard* gets its responses: provisional ones, then one final (of an INVITE every 2xx again).

    Where nothing comes it gets a 408 that nobody sent, and a 503 where the peer cannot be reached.
    """

    def __init__(
        self,
        layer: Transactions,
        key: tuple[str, ...],
        request: SipRequest,
        peer: Peer,
        heard: Callable[[SipResponse], None],
    ) -> None:
        super().__init__(layer, key, request, peer)
        self._heard = heard
        self._is_invite = request.method == "INVITE"
        self._cancelling = False
        self._ack: SipRequest | None = None

    def start(self) -> None:
        """Send the request."""
        timers = self._layer.timers
        self.state = "calling"
        self._after("give up", timers.give_up_s, lambda: self.fail(408))
        if self.peer.is_reliable:
            self._layer.transport.send(self.request, self.peer)
        else:
            # Timer A doubles without a limit, timer E up to T2.
            self._repeat(self.request, timers.t1_s, timers.give_up_s if self._is_invite else timers.t2_s)

    def receive(self, response: SipResponse) -> None:
        """A response that belongs here."""
        code = response.status_code
        if self.state in ("calling", "proceeding"):
            if code < 200:
                self._provisional(response)
            else:
                self._final(response)
        elif self.state == "completed" and self._ack is not None and code >= 300:
            self._layer.transport.send(self._ack, self.peer)
        elif self.state == "accepted" and 200 <= code < 300:
            self._heard(response)

    def _provisional(self, response: SipResponse) -> None:
        if self._is_invite:
            # It may ring for as long as the caller likes.
            self._stop("repeat", "give up")
        elif self.state == "calling" and not self.peer.is_reliable:
            self._repeat_later()
        self.state = "proceeding"
        if self._cancelling:
            self._send_cancel()
        self._heard(response)

    def _repeat_later(self) -> None:
        t2_s = self._layer.timers.t2_s
        self._after("repeat", t2_s, lambda: self._repeat(self.request, t2_s, t2_s))

    def _final(self, response: SipResponse) -> None:
        timers = self._layer.timers
        self._stop("repeat", "give up")
        if not self._is_invite:
            self.state = "completed"
            self._linger(timers.t4_s)
        elif response.status_code < 300:
            self.state = "accepted"
            self._after("end", timers.give_up_s, self.end)
        else:
            self.state = "completed"
            self._ack = _acknowledgement(self.request, response)
            self._layer.transport.send(self._ack, self.peer)
            self._linger(timers.give_up_s)
        self._heard(response)

    def cancel(self) -> None:
        """Take an INVITE back (§9.1): at once where it is known to have arrived, else as soon as it is."""
        if self._cancelling or self.state not in ("calling", "proceeding"):
            return
        self._cancelling = True
        if self.state == "proceeding":
            self._send_cancel()

    def _send_cancel(self) -> None:
        self._cancelling = False
        cancel = SipRequest(method="CANCEL", uri=self.request.uri)
        for name in ("Via", "From", "To", "Call-ID", "Route", "Max-Forwards"):
            for value in self.request.headers.get(name):
                cancel.headers.append(name, value)
        cancel.headers.set_single("CSeq", f"{parse_cseq(self.request.headers.get('cseq')[0]).seq} CANCEL")
        self._layer.request(cancel, self.peer, lambda _: None)
        # A callee that does not answer the INVITE now has forgotten it.
        self._after("give up", self._layer.timers.give_up_s, lambda: self.fail(408))

    def fail(self, code: int) -> None:
        """End it with a *code* of this side."""
        if self.state not in ("calling", "proceeding"):
            return
        self.end()
        self._heard(response_to(self.request, code))


class ServerTransaction(_Transaction):
    """A request received, once. An INVITE's 2xx is sent again until :meth:`acknowledged`."""

    def __init__(self, layer: Transactions, key: tuple[str, ...], request: SipRequest, peer: Peer) -> None:
        super().__init__(layer, key, request, reply_peer(request, peer))
        #: Where it came from, whatever its Via says.
        self.source = peer
        #: Called when an INVITE is cancelled before its final answer.
        self.cancelled: Callable[[], None] = lambda: None
        #: Called when a 2xx was never acknowledged.
        self.unacknowledged: Callable[[], None] = lambda: None
        self.state = "proceeding"
        self._last: SipResponse | None = None
        self._is_invite = request.method == "INVITE"

    @property
    def is_answered(self) -> bool:
        """Whether a final response was sent."""
        return self.state != "proceeding"

    def respond(self, response: SipResponse) -> None:
        """Send *response*; nothing once a final one was sent."""
        if self.is_answered:
            return
        timers, code = self._layer.timers, response.status_code
        self._last = response
        if code < 200:
            self._layer.transport.send(response, self.peer)
        elif not self._is_invite:
            self.state = "completed"
            self._layer.transport.send(response, self.peer)
            self._linger(timers.give_up_s)
        else:
            self.state = "accepted" if code < 300 else "completed"
            # §13.3.1.4: a 2xx is sent again over a reliable transport too, as a proxy may be between.
            if code < 300 or not self.peer.is_reliable:
                self._repeat(response, timers.t1_s, timers.t2_s)
            else:
                self._layer.transport.send(response, self.peer)
            self._after("give up", timers.give_up_s, self._not_acknowledged)

    def again(self) -> None:
        """The request came again."""
        if self._last is not None and self.state in ("proceeding", "completed"):
            self._layer.transport.send(self._last, self.peer)

    def acknowledged(self) -> None:
        """The ACK is here."""
        if self.state == "accepted":
            self._stop("repeat", "give up")
            self._after("end", self._layer.timers.give_up_s, self.end)
        elif self.state == "completed" and self._is_invite:
            self.state = "confirmed"
            self._stop("repeat", "give up")
            self._linger(self._layer.timers.t4_s)

    def _not_acknowledged(self) -> None:
        was_accepted = self.state == "accepted"
        self.end()
        if was_accepted:
            self.unacknowledged()


class Transactions:
    """All transactions of one user agent. *asked* gets new requests, *acknowledged* the ACK of a 2xx.

    *answered_at_once* may give a response to a new request for which nothing has to be remembered (§8.2.7), so that
    strangers cannot fill the memory.
    """

    def __init__(
        self,
        transport: Transport,
        asked: Callable[[ServerTransaction], None],
        acknowledged: Callable[[SipRequest], None],
        answered_at_once: Callable[[SipRequest], SipResponse | None],
        timers: Timers | None = None,
    ) -> None:
        self.transport = transport
        self.timers = timers or Timers()
        self._asked = asked
        self._acknowledged = acknowledged
        self._answered_at_once = answered_at_once
        self._clients: dict[tuple[str, ...], ClientTransaction] = {}
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def request(self, request: SipRequest, peer: Peer, heard: Callable[[SipResponse], None]) -> ClientTransaction:
        """Send *request*, which has its Via, and tell *heard* what comes."""
        key = (parse_via(request.headers.get("via")[0]).branch or "", request.method)
        transaction = ClientTransaction(self, key, request, peer, heard)
        self._clients[key] = transaction
        transaction.start()
        return transaction

    def take_request(self, request: SipRequest, peer: Peer) -> None:
        """A request that can be answered."""
        key = _server_key(request, request.method)
        known = self._servers.get(_server_key(request, "INVITE") if request.method == "ACK" else key)
        if request.method == "ACK":
            if known is not None and known.state == "completed":
                known.acknowledged()
            else:
                self._acknowledged(request)
        elif known is not None:
            known.again()
        elif (response := self._answered_at_once(request)) is not None:
            self.transport.send(response, reply_peer(request, peer))
        elif len(self._servers) >= _SERVER_LIMIT:
            self.transport.counters.throttled += 1
        else:
            transaction = ServerTransaction(self, key, request, peer)
            self._servers[key] = transaction
            self._asked(transaction)

    def take_response(self, response: SipResponse) -> bool:
        """A response; whether any request is waiting for it."""
        branch = parse_via(response.headers.get("via")[0]).branch or ""
        transaction = self._clients.get((branch, parse_cseq(response.headers.get("cseq")[0]).method))
        if transaction is None:
            return False
        transaction.receive(response)
        return True

    def cancelled_by(self, cancel: SipRequest) -> ServerTransaction | None:
        """The INVITE that *cancel* takes back (§9.2)."""
        return self._servers.get(_server_key(cancel, "INVITE"))

    def unreachable(self, peer: Peer) -> None:
        """No connection to *peer*: its requests are answered 503 (§8.1.3.1)."""
        for transaction in [one for one in self._clients.values() if one.peer == peer]:
            transaction.fail(503)

    def _forget(self, transaction: _Transaction) -> None:
        kept: dict[tuple[str, ...], _Transaction]
        kept = self._clients if isinstance(transaction, ClientTransaction) else self._servers  # type: ignore[assignment]
        if kept.get(transaction._key) is transaction:
            del kept[transaction._key]

    def close(self) -> None:
        """End all, in silence."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            transaction.end()


def _server_key(request: SipRequest, method: str) -> tuple[str, ...]:
    """§17.2.3. A branch without the cookie is of RFC 2543 and not unique, so that all else counts too."""
    via = parse_via(request.headers.get("via")[0])
    branch = via.branch or ""
    sent_by = f"{via.host}:{via.port or 5060}".lower()
    if branch.startswith(_COOKIE):
        return (branch, sent_by, method)
    number = (request.headers.get_first("cseq") or "").partition(" ")[0]
    names = [request.headers.get_first(name) or "" for name in ("call-id", "from")]
    return (branch, sent_by, method, number, *names)


def _acknowledgement(request: SipRequest, response: SipResponse) -> SipRequest:
    """The ACK of a refusal (§17.1.1.3): part of the transaction, so with its branch."""
    ack = SipRequest(method="ACK", uri=request.uri)
    ack.headers.append("Via", request.headers.get("via")[0])
    for name in ("From", "Call-ID", "Route"):
        for value in request.headers.get(name):
            ack.headers.append(name, value)
    ack.headers.set_single("To", response.headers.get_first("to") or request.headers.get("to")[0])
    ack.headers.set_single("CSeq", f"{parse_cseq(request.headers.get('cseq')[0]).seq} ACK")
    ack.headers.set_single("Max-Forwards", "70")
    return ack
