"""When the machine cannot keep up: step down to a cheaper model, then to the low band alone, and try again later.

A guard cures hops that are late by a little. Where many come late for seconds, the high band is missing more than it
is heard, and comes and goes; less is then better, as long as it lasts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Seconds looked back on, and the share of late hops in each of them that is more than a guard can cure.
_WINDOW_SECONDS = 1.0
_WINDOWS = 4
_TOO_MANY = 0.25

#: Seconds until the better model is tried again; doubled each time that it has failed, up to half an hour.
FIRST_PATIENCE_SECONDS = 30.0
_LONGEST_PATIENCE_SECONDS = 1_800.0

#: A model that has held out for so long after it was tried has not failed.
_PROVEN_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """A decision: the place in the list of models to go to, and why."""

    index: int
    reason: str


class OverloadKeeper:
    """Decides on the place in a list of *count* models, the best first, from the hops of each second."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.index = 0
        self._shares: deque[float] = deque(maxlen=_WINDOWS)
        self._patience_s = FIRST_PATIENCE_SECONDS
        self._since_step_s = 0.0
        self._trying = False

    def observe(self, hops: int, missed: int) -> Step | None:
        """Take the *hops* of one second, of which so many *missed* their deadline; gives a step when there is one."""
        self._since_step_s += _WINDOW_SECONDS
        self._shares.append(missed / hops if hops else 0.0)
        full = len(self._shares) == _WINDOWS
        if self._trying and self._since_step_s >= _PROVEN_SECONDS:
            self._trying = False
            if self.index == 0:
                self._patience_s = FIRST_PATIENCE_SECONDS
        if full and min(self._shares) > _TOO_MANY and self.index + 1 < self._count:
            if self._trying:
                self._patience_s = min(2.0 * self._patience_s, _LONGEST_PATIENCE_SECONDS)
            return self._step(
                self.index + 1, f"{100 * min(self._shares):.0f} % of hops or more came too late", trying=False
            )
        if self.index > 0 and self._since_step_s >= self._patience_s and max(self._shares) == 0.0:
            return self._step(self.index - 1, "tried again after a calm time", trying=True)
        return None

    def _step(self, index: int, reason: str, *, trying: bool) -> Step:
        self.index = index
        self._trying = trying
        self._since_step_s = 0.0
        self._shares.clear()
        return Step(index, reason)


class OverloadControl:
    """Watches a running engine. Call :meth:`poll` some ten times a second.

    *names* are those of the models, the best first, the last for the low band alone; *counters* gives hops and
    deadline misses so far; *switch* takes a place in the list.
    """

    def __init__(
        self, names: Sequence[str], counters: Callable[[], tuple[int, int]], switch: Callable[[int], None]
    ) -> None:
        self._names = names
        self._keeper = OverloadKeeper(len(names))
        self._counters = counters
        self._switch = switch
        self._next_s = 0.0
        self._seen = counters()
        self.step_downs = 0

    def poll(self, now_s: float) -> str | None:
        """Look at the hops when a second is over; gives a line for people when the model was changed."""
        if now_s < self._next_s:
            return None
        self._next_s = now_s + _WINDOW_SECONDS
        before, self._seen = self._seen, self._counters()
        index = self._keeper.index
        step = self._keeper.observe(self._seen[0] - before[0], self._seen[1] - before[1])
        if step is None:
            return None
        self._switch(step.index)
        self.step_downs += step.index > index
        return f"{self._names[step.index]}: {step.reason}"

    def pause(self) -> None:
        """What was counted since the last :meth:`poll` says nothing, as the devices were away."""
        self._seen = self._counters()
