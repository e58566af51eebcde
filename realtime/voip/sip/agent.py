"""The user agent: every message finds its call, every stranger a limit, every request its way out."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Coroutine
from typing import Protocol

from aiosipua.auth import SipDigestAuth, build_credentials
from aiosipua.headers import parse_auth, parse_cseq, parse_uri, stringify_auth
from aiosipua.message import SipRequest, SipResponse
from aiosipua.utils import generate_branch

from ..limits import Gate
from .call import Party, refuse
from .counters import Counters
from .dialog import Dialog
from .incoming import IncomingParty, Offer
from .media import Line, Switchboard
from .messages import (
    ALLOW,
    SDP_TYPE,
    SUPPORTED,
    Refusal,
    Refused,
    can_answer,
    is_sound_response,
    problem,
    refusal_of,
    response_to,
    tag_of,
)
from .settings import SipSettings
from .transaction import ClientTransaction, ServerTransaction, Timers, Transactions
from .transport import Message, Peer, Transport

#: How long a caller that was turned away should wait.
_RETRY_AFTER_S = 10


class Service(Protocol):
    """What is done with callers."""

    @property
    def calls(self) -> int:
        """How many there are now."""
        ...

    def check(self, invite: SipRequest) -> None:
        """Raise :class:`Refused` where nobody here can be called so."""
        ...

    def incoming(self, party: IncomingParty) -> None:
        """A caller waits."""
        ...


class Agent:
    """One user agent in a running event loop. *service* is set before :meth:`start`."""

    service: Service

    def __init__(self, settings: SipSettings, board: Switchboard, timers: Timers | None = None) -> None:
        self.settings = settings
        self.counters = Counters()
        self.parties: dict[tuple[str, str], Party] = {}
        #: No new calls any more; those that run may end.
        self.draining = False
        self.board = board
        self._gate = Gate(settings.messages_per_second, settings.calls_per_second)
        self._transport = Transport(self._receive, self._unreachable, self._gate, self.counters)
        self.transactions = Transactions(
            self._transport, self._asked, self._acknowledged, self._answered_at_once, timers
        )
        self._addresses: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._credentials: SipDigestAuth | None = settings.account.credentials() if settings.account else None
        self._allowed = [ipaddress.ip_network(network) for network in settings.allow]

    async def start(self) -> list[str]:
        """Listen; where, as ``udp:127.0.0.1:5060``."""
        bound = []
        for place in self.settings.places():
            host, port = await self._transport.listen(place.protocol, place.host, place.port)
            bound.append(str(Peer(place.protocol, host, port)))
        return bound

    async def close(self) -> None:
        """End everything at once."""
        self.transactions.close()
        for task in list(self._tasks):
            task.cancel()
        await self._transport.close()

    # -- the way out --------------------------------------------------------------------------------------------

    def contact(self, dialog: Dialog) -> str:
        """Where *dialog*'s other side finds this one."""
        peer = self._peer(dialog) or Peer("udp", "127.0.0.1", 0)
        host, port = self._own_address(peer)
        user = f"{parse_uri(dialog.local.strip('<>')).user}@" if "@" in dialog.local else ""
        transport = ";transport=tcp" if peer.protocol == "tcp" else ""
        return f"<sip:{user.rpartition(':')[2]}{_bracketed(host)}:{port}{transport}>"

    def _own_address(self, peer: Peer) -> tuple[str, int]:
        host, port = self._transport.own_address(peer)
        return self.settings.advertise or host, port

    def open_line(self, peer_host: str) -> Line:
        """An RTP leg that *peer_host* (an address, or a name that was looked up) can reach."""
        address = peer_host.strip("[]") if _is_address(peer_host.strip("[]")) else self._addresses.get(peer_host)
        host, _ = self._transport.own_address(Peer("udp", address or "127.0.0.1", 0))
        return self.board.open(host, self.settings.advertise)

    def _peer(self, dialog: Dialog) -> Peer | None:
        """The next machine on the way; None while its name has no address yet."""
        if dialog.flow is not None:
            return dialog.flow
        uri = parse_uri(dialog.next_hop)
        protocol = "tcp" if (uri.params.get("transport") or "").lower() == "tcp" else "udp"
        host = uri.host.strip("[]")
        address = host if _is_address(host) else self._addresses.get(host)
        return Peer(protocol, address, uri.port or 5060) if address else None

    def ask(self, request: SipRequest, dialog: Dialog, heard: Callable[[SipResponse], None]) -> Asked:
        """Send *request* on *dialog*'s way and tell *heard* what comes, a challenge met where we have credentials."""
        asked = Asked(self, request, dialog, heard)
        if self._peer(dialog) is not None:
            asked.send()
        else:
            self._spawn(self._ask_by_name(asked, dialog))
        return asked

    async def _ask_by_name(self, asked: Asked, dialog: Dialog) -> None:
        await self.resolve(parse_uri(dialog.next_hop).host)
        asked.send()

    async def resolve(self, name: str) -> None:
        """Look *name* up; the address is kept for :meth:`ask`."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        except OSError:
            return
        self._addresses[name] = str(found[0][4][0])

    async def resolve_targets(self) -> None:
        """Look up the names of all targets."""
        account = self.settings.account
        uris = [self.settings.bridge_to, *self.settings.targets.values()]
        uris += [account.address, account.registrar, account.proxy] if account else []
        names = {parse_uri(uri).host.strip("[]") for uri in uris if uri is not None}
        await asyncio.gather(*(self.resolve(name) for name in names if not _is_address(name)))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sign(self, request: SipRequest, peer: Peer) -> None:
        """Add the Via of this side, new with every request."""
        host, port = self._own_address(peer)
        rest = request.headers.get("via")[1:]
        protocol = peer.protocol.upper()
        request.headers.set_single(
            "Via", f"SIP/2.0/{protocol} {_bracketed(host)}:{port};rport;branch={generate_branch()}"
        )
        for value in rest:
            request.headers.append("Via", value)

    def send_ack(self, ack: SipRequest, dialog: Dialog) -> None:
        """An ACK of a 2xx is in no transaction."""
        if (peer := self._peer(dialog)) is not None:
            self.sign(ack, peer)
            self._transport.send(ack, peer)

    def prove(self, request: SipRequest, response: SipResponse) -> bool:
        """Add to *request* what the challenge in *response* asks for (RFC 3261 §22); whether that can be done."""
        kind, answer = ("WWW-Authenticate", "Authorization")
        if response.status_code == 407:
            kind, answer = ("Proxy-Authenticate", "Proxy-Authorization")
        if self._credentials is None or request.headers.get(answer):
            return False
        for value in response.headers.get(kind):
            proof = build_credentials(self._credentials, parse_auth(value), request.method, request.uri)
            if proof is not None:
                request.headers.set_single(answer, stringify_auth(proof))
                return True
        return False

    # -- what comes ---------------------------------------------------------------------------------------------

    def _receive(self, message: Message, peer: Peer) -> None:
        try:
            if isinstance(message, SipResponse):
                if not (is_sound_response(message) and self.transactions.take_response(message)):
                    self.counters.dropped += 1
            elif can_answer(message) and (message.method != "ACK" or problem(message) is None):
                self.transactions.take_request(message, peer)
            else:
                self.counters.dropped += 1
        except Exception:
            # Whatever it was, it ends with this message.
            self.counters.faults += 1

    def _answered_at_once(self, request: SipRequest) -> SipResponse | None:
        """The answer to what is malformed, is of no call, or only asks what an INVITE would be answered (§11.2)."""
        if (wrong := problem(request)) is not None:
            self.counters.refused += 1
            return refusal_of(request, wrong)
        if self._party(request) is not None or (request.method == "INVITE" and not tag_of(request, "to")):
            return None
        if request.method == "CANCEL" and self.transactions.cancelled_by(request) is not None:
            return None
        if request.method == "OPTIONS" and not tag_of(request, "to"):
            busy = self._lack_of_room()
            return self.capabilities(request) if busy is None else refusal_of(request, busy)
        return refusal_of(request, Refusal(481))

    def _asked(self, transaction: ServerTransaction) -> None:
        try:
            if transaction.request.method == "CANCEL":
                self._take_cancel(transaction)
            elif (party := self._party(transaction.request)) is not None:
                party.take(transaction)
            else:
                self._take_invite(transaction)
        except Refused as refused:
            refuse(transaction, refused.refusal)
        except Exception:
            self.counters.faults += 1
            refuse(transaction, Refusal(500))

    def _party(self, request: SipRequest) -> Party | None:
        return self.parties.get((request.call_id or "", tag_of(request, "to")))

    def _take_cancel(self, transaction: ServerTransaction) -> None:
        transaction.respond(response_to(transaction.request, 200))
        invite = self.transactions.cancelled_by(transaction.request)
        if invite is not None and not invite.is_answered:
            invite.cancelled()

    def capabilities(self, request: SipRequest) -> SipResponse:
        """The answer to OPTIONS."""
        response = response_to(request, 200)
        for name, value in {"Allow": ALLOW, "Accept": SDP_TYPE, "Supported": SUPPORTED}.items():
            response.headers.set_single(name, value)
        return response

    def _lack_of_room(self) -> Refusal | None:
        """Why no call is taken now."""
        later = {"Retry-After": str(_RETRY_AFTER_S)}
        if self.draining:
            return Refusal(503, headers=later)
        return Refusal(486, headers=later) if self.service.calls >= self.settings.max_calls else None

    def _take_invite(self, transaction: ServerTransaction) -> None:
        request, source = transaction.request, transaction.source
        transaction.respond(response_to(request, 100))
        if self._allowed and not _is_within(source.host, self._allowed):
            raise Refused(403)
        if not self._gate.admits_call(source.host):
            self.counters.throttled += 1
            raise Refused(503, Retry_After=str(_RETRY_AFTER_S))
        if self._is_merged(request):
            raise Refused(482)
        if request.headers.get_first("max-forwards") == "0":
            raise Refused(483)
        if (busy := self._lack_of_room()) is not None:
            refuse(transaction, busy)
            return
        self.service.check(request)
        codecs = self.settings.codecs_in()
        offer = Offer(transaction, codecs, self.settings.session_seconds)
        line = self.open_line(source.host)
        self.service.incoming(IncomingParty(self, transaction, offer, line, codecs))

    def _is_merged(self, request: SipRequest) -> bool:
        """§8.2.2.2: the same INVITE by two ways."""
        number = parse_cseq(request.headers.get("cseq")[0]).seq
        tag = tag_of(request, "from")
        return any(
            party.dialog.call_id == request.call_id
            and party.dialog.remote_tag == tag
            and party.dialog.remote_sequence == number
            for party in self.parties.values()
        )

    def _acknowledged(self, request: SipRequest) -> None:
        if (party := self._party(request)) is not None:
            party.take_ack(request)

    def _unreachable(self, peer: Peer) -> None:
        self.transactions.unreachable(peer)

    def forget(self, party: Party) -> None:
        """Its call has ended."""
        self.parties.pop(party.dialog.key, None)


class Asked:
    """A request on its way, through a challenge if need be."""

    def __init__(self, agent: Agent, request: SipRequest, dialog: Dialog, heard: Callable[[SipResponse], None]) -> None:
        self._agent = agent
        self._request = request
        self._dialog = dialog
        self._heard = heard
        self._transaction: ClientTransaction | None = None
        self._cancelled = False

    def send(self) -> None:
        """Send it; where there is no way, say so as 503 would."""
        peer = self._agent._peer(self._dialog)
        if peer is None or self._cancelled:
            self._heard(response_to(self._request, 487 if self._cancelled else 503))
            return
        self._agent.sign(self._request, peer)
        self._transaction = self._agent.transactions.request(self._request, peer, self._take)

    def cancel(self) -> None:
        """Take an INVITE back."""
        self._cancelled = True
        if self._transaction is not None:
            self._transaction.cancel()

    def _take(self, response: SipResponse) -> None:
        if response.status_code in (401, 407) and not self._cancelled and self._agent.prove(self._request, response):
            # Another transaction, with the next number (§22.2).
            self._dialog.sequence += 1
            self._request.headers.set_single("CSeq", f"{self._dialog.sequence} {self._request.method}")
            self.send()
        else:
            self._heard(response)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_within(host: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    return any(address in network for network in networks)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
