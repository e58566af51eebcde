"""Devices come and go: unplugged, suspended, a server restarted. Here they are missed, awaited and opened again.

While they are away the output is silent and time goes on: the rings are fed silence, so that a recording is as long
as the call was. Everything else, settings and counters, stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .backends.base import Backend
from .engine import Engine
from .errors import FullbandError
from .onnx.contract import RATE_HZ
from .statistics import settled

#: Audio that has not moved for so long has stopped, whatever the driver says.
_QUIET_SECONDS = 1.0

#: Looks further apart than this say nothing of the device: the machine itself stood still.
_LONGEST_LOOK_SECONDS = 0.25

#: Between two tries; the first is made at once.
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0

#: A device that was opened and has not called back by then is opened again.
_FIRST_BLOCK_SECONDS = 3.0

#: A device that a server has suspended takes some blocks and then no more; one that goes on for so long is back.
_STEADY_SECONDS = 0.5

#: Silence fed at one look; a machine that was suspended for the night need not make up for it.
_LONGEST_SILENCE_SECONDS = 1.0


class FirstBlocks:
    """What devices bring first that are about to be opened: whether it has come, and blocks of which size."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._blocks = counters(engine)
        self._frames = int(engine.playback["device_frames"])

    @property
    def captured(self) -> bool:
        """Whether the capture device has called back."""
        return counters(self._engine)[0] != self._blocks[0]

    @property
    def played(self) -> bool:
        """Whether the playback device has."""
        return counters(self._engine)[1] != self._blocks[1]

    def plan(self) -> None:
        """Plan the delay for blocks of the size that the device really brings; there has been one."""
        engine = self._engine
        # Both counters as of one moment: the callbacks go on.
        (playback,) = settled([np.asarray(engine.playback)])
        came = int(playback["blocks"]) - self._blocks[1]
        brought = (int(playback["device_frames"]) - self._frames) // max(came, 1)
        if came > 0 and brought != engine.stream.block_frames:
            engine.set_block_frames(brought)


def counters(engine: Engine) -> tuple[int, int]:
    """Blocks captured and played so far."""
    return int(engine.capture["blocks"]), int(engine.playback["blocks"])


class Supervisor:
    """Keeps audio flowing between *backend* and *engine*, which are both started. :meth:`poll` does the work.

    A device that was named is waited for; where none was, the default one is used, whichever that is at the time.
    *fade_out* lets devices that still play go silent before they are left.
    """

    def __init__(self, backend: Backend, engine: Engine, fade_out: Callable[[], None] = lambda: None) -> None:
        self.backend = backend
        self._fade_out = fade_out
        self.engine = engine
        #: Times that the devices have come back.
        self.returns = 0
        self._lost_s: float | None = None
        self._looked_s = time.monotonic()
        self._blocks = counters(engine)
        self._quiet_s = 0.0
        self._pause_s = _FIRST_PAUSE_SECONDS
        self._next_try_s = 0.0
        self._opened_s: float | None = None
        self._first = FirstBlocks(engine)
        self._first_s: float | None = None
        self._silent_until_s = 0.0

    @property
    def lost(self) -> bool:
        """Whether the devices are away, or have not yet called back."""
        return self._lost_s is not None

    @property
    def losses(self) -> int:
        """How often the devices have gone."""
        return self.returns + int(self.lost)

    def away_s(self, now_s: float) -> float:
        """Seconds since they were lost."""
        return now_s - self._lost_s if self._lost_s is not None else 0.0

    def poll(self, now_s: float) -> list[str]:
        """Look at the devices, some ten times a second; gives a line when they are lost and one when they are back.

        May take some tenths of a second where devices have to be looked for.
        """
        looked_s, self._looked_s = self._looked_s, now_s
        if self._lost_s is None:
            fault = self._fault(now_s - looked_s)
            if fault is not None:
                return [self._lose(now_s, f"{fault}; waiting for it, and going on as soon as it is back")]
            change = getattr(self.backend, "change", None)
            return [] if change is None else [self._leave(now_s, f"{change}; opening it anew")]
        if self._opened_s is not None:
            return self._await_blocks(now_s, now_s - looked_s)
        self._feed_silence(now_s)
        if now_s >= self._next_try_s:
            self._try(now_s)
        return []

    def change(self, open_new: Callable[[], Backend]) -> Backend:
        """Close the devices and go on with those of *open_new*, at the next :meth:`poll`; gives them.

        Raises :class:`FullbandError` where they cannot be had; the old ones are then opened again.
        """
        if not self.lost:
            self._lose(time.monotonic(), "changed")
        elif self._opened_s is not None:
            self._try_later()
        self._next_try_s = 0.0
        self.backend = open_new()
        return self.backend

    def _fault(self, since_s: float) -> str | None:
        """What is wrong with the devices, in words."""
        if not self.backend.active:
            return None if self.backend.ended else "gone"
        found: str | None = getattr(self.backend, "fault", None)
        if found is not None:
            return found
        blocks = counters(self.engine)
        moved = blocks[0] != self._blocks[0] and blocks[1] != self._blocks[1]
        self._quiet_s = 0.0 if moved else self._quiet_s + min(since_s, _LONGEST_LOOK_SECONDS)
        if moved:
            self._blocks = blocks
        return "silent: no audio comes" if self._quiet_s > _QUIET_SECONDS else None

    def _leave(self, now_s: float, reason: str) -> str:
        """Lose devices that still play, without a click."""
        muted = self.engine.wishes.muted
        self._fade_out()
        line = self._lose(now_s, reason)
        self.engine.wishes.set_muted(muted)
        return line

    def _lose(self, now_s: float, fault: str) -> str:
        line = f"{self.backend.describe()}: {fault}"
        self.backend.stop()
        self._lost_s = self._silent_until_s = self._next_try_s = now_s
        self._pause_s = _FIRST_PAUSE_SECONDS
        return line

    def _feed_silence(self, now_s: float) -> None:
        seconds = min(now_s - self._silent_until_s, _LONGEST_SILENCE_SECONDS)
        self._silent_until_s = now_s
        self.engine.pass_silence(round(seconds * RATE_HZ))

    def _try(self, now_s: float) -> None:
        try:
            self.backend.reopen()
            self.engine.rebind(self.backend.stream)
            self._first = FirstBlocks(self.engine)
            self.backend.start(self.engine)
        except FullbandError:
            self._try_later()
            return
        self._opened_s = time.monotonic()

    def _try_later(self) -> None:
        self.backend.stop()
        self._opened_s = self._first_s = None
        # Counted from its end: a try itself takes long where servers do not answer.
        self._next_try_s = time.monotonic() + self._pause_s
        self._pause_s = min(2.0 * self._pause_s, _LONGEST_PAUSE_SECONDS)

    def _await_blocks(self, now_s: float, since_s: float) -> list[str]:
        assert self._opened_s is not None
        self._silent_until_s = now_s
        if not (self._first.captured and self._first.played):
            if now_s - self._opened_s > _FIRST_BLOCK_SECONDS or not self.backend.active:
                self._try_later()
            return []
        if self._first_s is None:
            self._first.plan()
            self._first_s = now_s
            self._blocks, self._quiet_s = counters(self.engine), 0.0
        if self._fault(since_s) is not None:
            self._try_later()
            return []
        if now_s - self._first_s < _STEADY_SECONDS or self._quiet_s > 0.0:
            return []
        away_s = self.away_s(self._first_s)
        self._lost_s = self._opened_s = self._first_s = None
        self.returns += 1
        return [f"{self.backend.describe()}: back after {away_s:.1f} s"]
