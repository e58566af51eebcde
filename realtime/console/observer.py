"""Looks at a running host often enough for the eye: sound at every frame, numbers no more often than they are read."""

from __future__ import annotations

from typing import Any

from ..session import Session
from ..statistics import Statistics
from ..taps import decibels
from .snapshot import Limiting, Mark, Snapshot
from .sound import SoundWatch

#: Numbers that change more often cannot be read; they cost more than all that is drawn.
_NUMBERS_SECONDS = 0.25
_CHAIN_SECONDS = 0.5

#: What the limiter did stays for so long.
_LIMITING_SECONDS = 1.0


class Observer:
    """Follows *session* from now on. Marks are set, and counters begin anew, by :meth:`mark` and :attr:`since`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before = SoundWatch(session.engine.low)
        self._after = SoundWatch(session.engine.mix)
        self._statistics: Statistics | None = None
        self._chain: list[dict[str, Any]] = []
        self._next_numbers_s = self._next_chain_s = 0.0
        self._limiting = Limiting()
        self._limiting_until_s = 0.0
        self._marks: list[Mark] = []
        #: Counters are shown from there on; None: from the start.
        self.since: Statistics | None = None

    def refresh(self) -> None:
        """Have the next look see the numbers anew: something was changed."""
        self._next_numbers_s = self._next_chain_s = 0.0

    def mark(self, letter: str) -> None:
        """Put *letter* into the spectrogram, at what is played now."""
        self._marks = [*self._marks[-63:], Mark(self._after.sound().column_count, letter)]

    def _look_at_limiter(self, now_s: float) -> None:
        high, whole = (min(decibels(gain), 0.0) for gain in self._session.engine.binding.limiter.gains)
        now = Limiting(high, whole)
        if high + whole <= self._limiting.high_db + self._limiting.whole_db or now_s > self._limiting_until_s:
            self._limiting, self._limiting_until_s = now, now_s + _LIMITING_SECONDS

    def look(self, now_s: float) -> Snapshot:
        """What there is to see at *now_s* (any clock that goes on)."""
        session, engine = self._session, self._session.engine
        self._before.look(now_s)
        self._after.look(now_s)
        self._look_at_limiter(now_s)
        if self._statistics is None or now_s >= self._next_numbers_s:
            self._next_numbers_s = now_s + _NUMBERS_SECONDS
            self._statistics = session.statistics()
        if now_s >= self._next_chain_s:
            self._next_chain_s = now_s + _CHAIN_SECONDS
            self._chain = engine.describe_chain()
        stream, inference = engine.stream, engine.inference
        statistics = self._statistics if self.since is None else self._statistics.since(self.since)
        block_ms = 1000.0 * stream.block_frames / stream.playback_rate_hz
        return Snapshot(
            statistics=statistics,
            devices=session.backend.describe(),
            block_frames=stream.block_frames,
            before=self._before.sound(),
            after=self._after.sound(),
            budget=session.latency,
            # A block's hops are asked for by the next one, or after it by as much as the guard holds.
            deadline_ms=block_ms + engine.guard_ms if inference is not None else None,
            separate_clocks=stream.separate_clocks,
            lost=session.lost,
            limiting=self._limiting,
            chain=self._chain,
            marks=tuple(self._marks),
        )
