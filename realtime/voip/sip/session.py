"""Session timers (RFC 4028): a call whose other side went away without a BYE ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiosipua.message import SipRequest, SipResponse

from .messages import Refused

#: §4: no side may ask for less.
LEAST_SECONDS = 90
#: Longer than anybody calls; a peer that wishes so wishes none.
_MOST_SECONDS = 86_400


@dataclass(frozen=True)
class Interval:
    """How long a session lives without a refresh, and whose turn that is."""

    seconds: int
    we_refresh: bool

    @property
    def ends_after_s(self) -> float:
        """§10: when it is given up."""
        return self.seconds - min(32.0, self.seconds / 3.0)


def _read(message: SipRequest | SipResponse) -> tuple[int, str] | None:
    value = message.headers.get_first("session-expires") or message.headers.get_first("x")
    if value is None:
        return None
    number, *parameters = (part.strip() for part in value.split(";"))
    if not number.isdigit() or len(number) > 9:
        raise Refused(400, "Bad Session-Expires")
    roles = [p.partition("=")[2].strip().lower() for p in parameters if p.lower().startswith("refresher")]
    return int(number), roles[0] if roles else ""


def supports_timer(message: SipRequest | SipResponse) -> bool:
    """Whether the sender knows session timers."""
    tags = [*message.headers.get("supported"), *message.headers.get("require"), *message.headers.get("k")]
    return "timer" in (tag.strip().lower() for value in tags for tag in value.split(","))


def allows_update(message: SipRequest | SipResponse) -> bool:
    """Whether the sender can be refreshed without a new offer (RFC 3311)."""
    return "UPDATE" in (one.strip().upper() for value in message.headers.get("allow") for one in value.split(","))


def as_asked(request: SipRequest, default_s: int) -> Interval | None:
    """What the callee of *request* (an INVITE or UPDATE) answers; None: no timer. *default_s* 0 wishes none.

    Raises :class:`Refused` with 422 where less is asked for than the standard lets.
    """
    asked = _read(request)
    if asked is None:
        # The caller did not ask; the callee alone may keep one (§9).
        return Interval(default_s, we_refresh=True) if default_s and supports_timer(request) else None
    seconds, role = asked
    if seconds < LEAST_SECONDS:
        if supports_timer(request):
            raise Refused(422, Min_SE=str(LEAST_SECONDS))
        return Interval(LEAST_SECONDS, we_refresh=True)
    return Interval(min(seconds, _MOST_SECONDS), we_refresh=role != "uac")


def as_answered(response: SipResponse) -> Interval | None:
    """What the callee has made of the caller's wish; None: no timer."""
    try:
        answered = _read(response)
    except Refused:
        return None
    if answered is None or answered[0] < 1:
        return None
    return Interval(min(answered[0], _MOST_SECONDS), we_refresh=answered[1] != "uas")


def tell(message: SipRequest | SipResponse, interval: Interval, we_are_caller: bool) -> None:
    """Write *interval* into a request or a 2xx of this side."""
    refresher = "uac" if interval.we_refresh == we_are_caller else "uas"
    message.headers.set_single("Session-Expires", f"{interval.seconds};refresher={refresher}")
    if isinstance(message, SipResponse) and refresher == "uac":
        message.headers.set_single("Require", "timer")


class SessionTimer:
    """Calls *refresh* at half time where it is this side's turn, and *expired* when nothing was refreshed."""

    def __init__(self, refresh: Callable[[], None], expired: Callable[[], None]) -> None:
        self._refresh = refresh
        self._expired = expired
        self._interval: Interval | None = None
        self._pending: list[asyncio.TimerHandle] = []

    @property
    def interval(self) -> Interval | None:
        """What is in force."""
        return self._interval

    def start(self, interval: Interval | None) -> None:
        """Count anew from now; None: no more."""
        self.stop()
        self._interval = interval
        if interval is None:
            return
        loop = asyncio.get_running_loop()
        self._pending.append(loop.call_later(interval.ends_after_s, self._expired))
        if interval.we_refresh:
            self._pending.append(loop.call_later(interval.seconds / 2.0, self._refresh))

    def stop(self) -> None:
        """Count no more."""
        for handle in self._pending:
            handle.cancel()
        self._pending.clear()
