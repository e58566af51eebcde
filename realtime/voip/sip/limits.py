"""How much one source, and all of them together, may ask for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

#: Sources remembered; the one heard of longest ago is forgotten first, so that forged addresses cost no memory.
_SOURCES = 4096


@dataclass
class Counters:
    """What came and what became of it, since the start."""

    received: int = 0
    sent: int = 0
    dropped: int = 0
    """No SIP, or a message that cannot be answered."""
    refused: int = 0
    """Malformed, and answered with the standard's code."""
    throttled: int = 0
    retransmitted: int = 0
    faults: int = 0
    """Failures of this program while it handled a message. They are answered 500."""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls that have ended, by how."""

    def ended(self, how: str) -> None:
        """Count a call that ended *how*."""
        self.calls[how] = self.calls.get(how, 0) + 1


class _Buckets:
    """A token bucket for every source: *rate* a second, *burst* at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str) -> bool:
        now = self._clock()
        tokens, then = self._kept.pop(source, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        is_enough = tokens >= 1.0
        self._kept[source] = (tokens - 1.0 if is_enough else tokens, now)
        if len(self._kept) > _SOURCES:
            self._kept.popitem(last=False)
        return is_enough


class Gate:
    """Rates per source. *burst*: how many seconds' worth may come at once."""

    def __init__(
        self,
        messages_per_second: float,
        calls_per_second: float,
        burst_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._messages = _Buckets(messages_per_second, max(1.0, messages_per_second * burst_seconds), clock)
        self._calls = _Buckets(calls_per_second, max(1.0, calls_per_second * burst_seconds), clock)

    def admits_message(self, host: str) -> bool:
        """Whether *host* may say one more thing now."""
        return self._messages.take(host)

    def admits_call(self, host: str) -> bool:
        """Whether *host* may call once more now."""
        return self._calls.take(host)
