"""How much one source, and all of them together, may ask for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Sources remembered; the one heard of longest ago is forgotten first, so that forged addresses cost no memory.
_SOURCES = 4096


class Bucket:
    """A token bucket: *rate* a second, *burst* at once. It is full at first."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._then_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Take one token, if there is one; a clock that goes back brings none."""
        then_s = now_s if self._then_s is None else self._then_s
        self._tokens = min(self._burst, self._tokens + max(now_s - then_s, 0.0) * self._rate)
        self._then_s = max(now_s, then_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class _Buckets:
    """A bucket for every source."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._kept: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, source: str) -> bool:
        bucket = self._kept.pop(source, None) or Bucket(self._rate, self._burst)
        self._kept[source] = bucket
        if len(self._kept) > _SOURCES:
            self._kept.popitem(last=False)
        return bucket.take(self._clock())


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
