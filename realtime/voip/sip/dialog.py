"""What two parties of a call know of each other (RFC 3261 §12): tags, sequence numbers, and the way between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiosipua.headers import parse_address, parse_cseq
from aiosipua.message import SipRequest, SipResponse
from aiosipua.utils import generate_call_id, generate_tag

from .messages import Refused, contact_of, request_to, tag_of
from .transport import Peer


@dataclass
class Dialog:
    """One party's side. *local* and *remote* are the values of From and To in requests of this side, without tags."""

    call_id: str
    local: str
    remote: str
    local_tag: str = field(default_factory=generate_tag)
    remote_tag: str = ""
    #: Where the other side wants its requests, and the proxies on the way.
    target: str = ""
    routes: list[str] = field(default_factory=list)
    sequence: int = 0
    remote_sequence: int = -1
    #: Where its requests go, whatever the way says; None: by the way.
    flow: Peer | None = None

    @classmethod
    def of_caller(cls, local: str, remote: str, host: str) -> Dialog:
        """This side calls the URI *remote* as the URI *local*."""
        return cls(generate_call_id(host), f"<{local}>", f"<{remote}>", target=remote)

    @classmethod
    def of_callee(cls, invite: SipRequest) -> Dialog:
        """This side is called by *invite* (§12.1.1)."""
        headers = invite.headers
        return cls(
            headers.get_first("call-id") or "",
            local=_untagged(headers.get_first("to") or ""),
            remote=_untagged(headers.get_first("from") or ""),
            remote_tag=tag_of(invite, "from"),
            target=contact_of(invite) or "",
            routes=list(headers.get("record-route")),
            remote_sequence=parse_cseq(headers.get_first("cseq") or "").seq,
        )

    @property
    def key(self) -> tuple[str, str]:
        """What finds it again in a request of the other side."""
        return (self.call_id, self.local_tag)

    @property
    def next_hop(self) -> str:
        """The URI of the first machine on the way."""
        if self.routes:
            return _uri(self.routes[0])
        return self.target

    def request(self, method: str) -> SipRequest:
        """A request within the dialog, but for its Via and Contact (§12.2.1.1). An ACK takes the INVITE's number."""
        if method not in ("ACK", "CANCEL"):
            self.sequence += 1
        request = request_to(method, self.target)
        headers = request.headers
        headers.set_single("From", f"{self.local};tag={self.local_tag}")
        headers.set_single("To", f"{self.remote};tag={self.remote_tag}" if self.remote_tag else self.remote)
        headers.set_single("Call-ID", self.call_id)
        headers.set_single("CSeq", f"{self.sequence} {method}")
        for route in self.routes:
            headers.append("Route", route)
        return request

    def learn(self, response: SipResponse) -> None:
        """Take what a response to the first INVITE tells of the way (§12.1.2)."""
        self.remote_tag = tag_of(response, "to")
        self.routes = list(reversed(response.headers.get("record-route")))
        self.refresh_target(response)

    def refresh_target(self, message: SipRequest | SipResponse) -> None:
        """Where the other side is now (§12.2)."""
        self.target = contact_of(message) or self.target

    def check(self, request: SipRequest) -> None:
        """Raise :class:`Refused` where *request* is not the next one of this dialog (§12.2.2)."""
        if tag_of(request, "from") != self.remote_tag:
            raise Refused(481)
        number = parse_cseq(request.headers.get("cseq")[0]).seq
        if number <= self.remote_sequence:
            raise Refused(500, "CSeq Out of Order")
        self.remote_sequence = number


def _untagged(value: str) -> str:
    """*value* of From or To without parameters of its own."""
    before, bracket, _ = value.rpartition(">")
    return before + bracket if bracket else f"<{value.partition(';')[0].strip()}>"


def _uri(value: str) -> str:
    start, end = value.find("<"), value.rfind(">")
    return value[start + 1 : end] if 0 <= start < end else value


def uri_of(message: SipRequest | SipResponse, name: str) -> str:
    """The URI in the From or To of *message*, as it was written."""
    value = message.headers.get_first(name) or ""
    return _uri(value) if "<" in value else value.partition(";")[0].strip()


def display_name_of(message: SipRequest, name: str) -> str:
    """The name for people in From or To; empty where there is none."""
    return parse_address(message.headers.get_first(name) or "").display_name or ""
