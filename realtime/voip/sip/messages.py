"""Requests and responses built, and what is wrong with a request that came (RFC 3261 §8 and §20)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from aiosipua.headers import parse_address, parse_cseq, parse_uri, parse_via, stringify_address
from aiosipua.message import SipRequest, SipResponse

from ... import __version__
from .transport import VERSION_HEADER

PRODUCT = f"fullband/{__version__}"
SDP_TYPE = "application/sdp"
ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO"
SUPPORTED = "timer"

_ALLOWED = frozenset(ALLOW.split(", "))
#: Methods that exist and that nothing here has use for: 405. Any other is unknown: 501.
_KNOWN = frozenset({"REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "MESSAGE"})

#: RFC 3261 §8.1.1.5: less than 2^31.
_SEQUENCE_LIMIT = 2**31
_TAG_KEY = secrets.token_bytes(16)
_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")

REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    600: "Busy Everywhere",
    603: "Decline",
}


@dataclass(frozen=True)
class Refusal:
    """A final response that is not a success."""

    code: int
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Raised where a request cannot be served; carries the answer."""

    def __init__(self, code: int, reason: str = "", **headers: str) -> None:
        super().__init__(f"{code} {reason}")
        self.refusal = Refusal(code, reason, {name.replace("_", "-"): value for name, value in headers.items()})


def request_to(method: str, uri: str) -> SipRequest:
    """A bare request; its maker adds Via, From, To, Call-ID and CSeq."""
    request = SipRequest(method=method, uri=uri)
    request.headers.set_single("Max-Forwards", "70")
    request.headers.set_single("User-Agent", PRODUCT)
    return request


def response_to(request: SipRequest, code: int, reason: str = "", tag: str | None = None) -> SipResponse:
    """A response to *request* (RFC 3261 §8.2.6.2). *tag* is this side's, where there is a dialog or will be one."""
    response = SipResponse(status_code=code, reason_phrase=reason or REASONS.get(code, "Unknown"))
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        for value in request.headers.get(name):
            response.headers.append(name, value)
    if request.method == "INVITE" and 100 < code < 300:
        for value in request.headers.get("Record-Route"):
            response.headers.append("Record-Route", value)
    if code > 100:
        _tag(response, tag)
    response.headers.set_single("Server", PRODUCT)
    return response


def refusal_of(request: SipRequest, refusal: Refusal, tag: str | None = None) -> SipResponse:
    """The response that says *refusal*."""
    response = response_to(request, refusal.code, refusal.reason, tag)
    for name, value in refusal.headers.items():
        response.headers.set_single(name, value)
    return response


def _tag(response: SipResponse, tag: str | None) -> None:
    value = response.headers.get_first("To")
    if value is not None and parse_address(value).tag is None:
        response.headers.set_single("To", f"{value};tag={tag or _tag_for(response)}")


def _tag_for(response: SipResponse) -> str:
    """The same whenever the same request is answered: nothing is kept of it (§8.2.7)."""
    words = "".join(response.headers.get("via")[:1] + response.headers.get("call-id"))
    return hashlib.blake2s(words.encode(), key=_TAG_KEY, digest_size=8).hexdigest()


def set_body(message: SipRequest | SipResponse, text: str, kind: str = SDP_TYPE) -> None:
    """Give *message* a body."""
    message.text = text
    message.headers.set_single("Content-Type", kind)


def can_answer(request: SipRequest) -> bool:
    """Whether there is enough of *request* to send a response to."""
    try:
        via = parse_via(request.headers.get("via")[0])
    except (IndexError, ValueError):
        return False
    return bool(via.host and via.branch) and all(request.headers.get(n) for n in ("from", "to", "call-id", "cseq"))


def problem(request: SipRequest) -> Refusal | None:
    """What is wrong with *request*, as the answer that it gets; None where it can be served."""
    try:
        _check_form(request)
        _check_content(request)
    except Refused as refused:
        return refused.refusal
    except (ValueError, IndexError) as error:
        return Refusal(400, f"Bad Request: {_printable(error)}")
    return None


def _check_form(request: SipRequest) -> None:
    headers = request.headers
    if version := headers.get_first(VERSION_HEADER):
        raise Refused(505, f"Version Not Supported: {_printable(version)}")
    for name in _SINGLE:
        if len(headers.get(name)) > 1:
            raise Refused(400, f"Repeated Header {name}")
    sequence = parse_cseq(headers.get_first("cseq") or "")
    if sequence.method != request.method or not 0 <= sequence.seq < _SEQUENCE_LIMIT:
        raise Refused(400, "Bad CSeq")
    for name in ("from", "to"):
        address = parse_address(headers.get_first(name) or "")
        if not address.uri.host:
            raise Refused(400, f"Bad {name.title()}")
    if parse_address(headers.get_first("from") or "").tag is None:
        raise Refused(400, "From Without Tag")
    hops = headers.get_first("max-forwards")
    if hops is not None and not (hops.isdigit() and len(hops) < 4):
        raise Refused(400, "Bad Max-Forwards")
    length = headers.get_first("content-length")
    if length is not None and not (length.isdigit() and int(length) == len(request.body)):
        raise Refused(400, "Bad Content-Length")
    if not request.uri.lower().startswith(("sip:", "sips:", "tel:")):
        raise Refused(416)
    if not request.uri.lower().startswith("tel:") and not parse_uri(request.uri).host:
        raise Refused(400, "Bad Request-URI")


def _check_content(request: SipRequest) -> None:
    if request.method not in _ALLOWED:
        if request.method in _KNOWN:
            raise Refused(405, Allow=ALLOW)
        raise Refused(501, Allow=ALLOW)
    # §8.2.2.3: an ACK or a CANCEL cannot be refused for what it requires.
    if request.method not in ("ACK", "CANCEL"):
        lacking = [tag for tag in request.headers.get("require") if tag.strip().lower() != "timer"]
        if lacking:
            raise Refused(420, Unsupported=", ".join(lacking))
    if request.headers.get("content-encoding") and request.headers.get_first("content-encoding") != "identity":
        raise Refused(415, Accept_Encoding="identity")
    if request.method in ("INVITE", "UPDATE") and request.body and not has_sdp(request):
        raise Refused(415, Accept=SDP_TYPE)
    if request.method == "INVITE" and not contact_of(request):
        raise Refused(400, "INVITE Without Contact")


def has_sdp(message: SipRequest | SipResponse) -> bool:
    """Whether the body is a session description."""
    kind = (message.content_type or "").partition(";")[0].strip().lower()
    return bool(message.body) and kind == SDP_TYPE


def contact_of(message: SipRequest | SipResponse) -> str | None:
    """The URI where the sender wants to be reached; None where it gives none."""
    for value in message.headers.get("contact"):
        address = parse_address(value)
        if address.uri.host and address.uri.scheme in ("sip", "sips"):
            address.display_name = None
            address.params.clear()
            return stringify_address(address)[1:-1]
    return None


def tag_of(message: SipRequest | SipResponse, name: str) -> str:
    """The tag of From or To; empty where there is none."""
    return parse_address(message.headers.get_first(name) or "").tag or ""


def user_of(uri: str) -> str:
    """The part before the @, or the number of a tel URI."""
    if uri.lower().startswith("tel:"):
        return uri[4:].partition(";")[0]
    return (parse_uri(uri).user or "").partition(":")[0]


def name_of(message: SipRequest | SipResponse, name: str) -> str:
    """*From* or *To* as ``user@host``, for people and records."""
    uri = parse_address(message.headers.get_first(name) or "").uri
    return _printable(f"{uri.user}@{uri.host}" if uri.user else uri.host)


def is_sound_response(response: SipResponse) -> bool:
    """Whether *response* can belong to a request of ours."""
    try:
        sequence = parse_cseq(response.headers.get_first("cseq") or "")
        return (
            100 <= response.status_code < 700
            and len(response.headers.get("via")) == 1
            and bool(sequence.method)
            and bool(parse_via(response.headers.get("via")[0]).branch)
        )
    except (ValueError, IndexError):
        return False


def _printable(text: object) -> str:
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in str(text))[:120]
