"""How much delay to hold against late hops: as little as the machine and the device allow.

Every hop has a margin, the time left when it was done before playback asked for it. A device that calls back in
bursts, or a machine that is busy, shows as margins below zero again and again; the guard then grows by what was
missing. When margins have been ample for a long while it shrinks, slowly. A single stall changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .onnx.contract import RATE_HZ

#: Windows of time over which the least margin is taken.
WINDOW_SECONDS = 0.25

#: Windows looked back on for growing; two short ones among them are a habit, one is an accident.
_RECENT_WINDOWS = 8
_HABIT = 2

#: Calm windows before the guard shrinks (20 s), and what it leaves as margin then.
_CALM_WINDOWS = 80
_SPARE_MS = 1.5

#: Beyond this a call becomes awkward; the high band is given up instead.
MAX_GUARD_MS = 60.0

#: What a person can ask for.
GUARD_RANGE_MS = (0.0, 200.0)


@dataclass(frozen=True)
class GuardChange:
    """A decision: the new guard, and why."""

    guard_ms: float
    reason: str


class GuardKeeper:
    """Decides on the guard from the least margin of each window. *floor_ms* is what the user asked for."""

    def __init__(self, floor_ms: float) -> None:
        self._floor_ms = floor_ms
        self.guard_ms = floor_ms
        self._margins_ms: deque[float] = deque(maxlen=_CALM_WINDOWS)

    def observe(self, margin_ms: float) -> GuardChange | None:
        """Take the least margin of one window; gives a change when there is one to make."""
        self._margins_ms.append(margin_ms)
        short = sorted(m for m in list(self._margins_ms)[-_RECENT_WINDOWS:] if m < 0.0)
        if len(short) >= _HABIT and self.guard_ms < MAX_GUARD_MS:
            # By the second worst: the worst may have been the accident.
            return self._change(self.guard_ms - short[1] + _SPARE_MS, "hops came late")
        if len(self._margins_ms) == _CALM_WINDOWS:
            spare_ms = min(self._margins_ms) - _SPARE_MS
            if spare_ms > _SPARE_MS and self.guard_ms > self._floor_ms:
                return self._change(self.guard_ms - 0.5 * spare_ms, "margins are ample")
        return None

    def _change(self, guard_ms: float, reason: str) -> GuardChange | None:
        guard_ms = min(max(guard_ms, self._floor_ms), MAX_GUARD_MS)
        self._margins_ms.clear()
        if abs(guard_ms - self.guard_ms) < 0.1:
            return None
        self.guard_ms = guard_ms
        return GuardChange(guard_ms, reason)


class GuardControl:
    """Watches a running engine and keeps its guard. Call :meth:`poll` some ten times a second."""

    def __init__(
        self, keeper: GuardKeeper, take_margin_samples: Callable[[], int | None], set_guard_ms: Callable[[float], None]
    ) -> None:
        self._keeper = keeper
        self._take_margin_samples = take_margin_samples
        self._set_guard_ms = set_guard_ms
        self._next_s = 0.0
        self.changes = 0

    def poll(self, now_s: float) -> GuardChange | None:
        """Look at the margins when a window is over."""
        if now_s < self._next_s:
            return None
        self._next_s = now_s + WINDOW_SECONDS
        margin = self._take_margin_samples()
        change = None if margin is None else self._keeper.observe(1000.0 * margin / RATE_HZ)
        if change is not None:
            self._set_guard_ms(change.guard_ms)
            self.changes += 1
        return change
