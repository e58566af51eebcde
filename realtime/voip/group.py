"""Streams whose frames move together: pulled one after the other, through one run of the network, and pushed.

Each group has its frames at a time of its own within the 10 ms of a frame. So the interpreter works for one while the
network works for another, and what every group has to wait for is its own work, not that of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..native.histogram import record_duration
from .batch import Batch
from .frames import FRAME_MS
from .stream import Stream

Cells = NDArray[np.int64]

TICK_NS = FRAME_MS * 1_000_000

#: Where frames are due, in parts of 10 ms, from the first group on: each falls between those that there are.
_PHASES = (0.0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8)

#: What is left to a network whose frame was begun late, and what remains of a frame's time when all has been sent.
_LEAST_NETWORK_NS, _SPARE_NS = 2_000_000, 500_000

#: With more frames than this to make up for, they are left out: one gap does less harm to the far ends than a flood.
_MOST_BEHIND = 10

#: How quickly the time that it takes to send is learnt.
_LEARNING = 0.05


class Group:
    """The streams of *batch*, or those that go by without the network. *number* is its place among all groups.

    Its time is kept by a caller: :meth:`begin` when it is due; then :meth:`finish`, where it is :attr:`waiting`.
    *on_fault* is told of a stream whose source or sink has failed.
    """

    def __init__(
        self, number: int, batch: Batch | None, cells: Cells, on_fault: Callable[[Stream, Exception], None]
    ) -> None:
        self.batch = batch
        self.streams: tuple[Stream, ...] = ()
        self.ticks = self.late = self.dull = self.skipped = 0
        #: When the next frame is due, on CLOCK_MONOTONIC.
        self.due_ns = self._phase_ns = int(_PHASES[number % len(_PHASES)] * TICK_NS)
        #: Until when the network is waited for at most.
        self.deadline_ns = 0
        self.waiting = False
        self._cells, self._on_fault = cells, on_fault
        self._began_ns = 0
        self._sending_ns = 0.0

    @property
    def idle(self) -> bool:
        """Whether nobody is here, nor anything left of anybody."""
        return not self.streams and (self.batch is None or self.batch.idle)

    def start(self, at_ns: int) -> None:
        """Its first frame is due with the clock's beginning *at_ns*, at its own part of 10 ms."""
        self.due_ns = at_ns + self._phase_ns

    def catch_up(self, now_ns: int) -> None:
        """Leave frames out where *now_ns* is too far ahead; those of nobody are not missed."""
        frames = (now_ns - self.due_ns) // TICK_NS
        if self.idle:
            self.due_ns += max(frames + 1, 0) * TICK_NS
        elif frames > _MOST_BEHIND:
            self.skipped += frames
            self.due_ns += frames * TICK_NS

    def begin(self, now_ns: int) -> None:
        """Pull a frame of each stream and give them to the network; where there is none, push them at once."""
        self._began_ns = now_ns
        batch, streams = self.batch, self.streams
        if batch is None:
            for stream in streams:
                try:
                    stream.sink.push(stream.pull())
                except Exception as error:
                    self._on_fault(stream, error)
            self._end()
            return
        frames = batch.begin()
        for stream in streams:
            try:
                frames[:, stream.lane] = stream.pull()
            except Exception as error:
                self._on_fault(stream, error)
        batch.give()
        latest_ns = self.due_ns + TICK_NS - _SPARE_NS - int(self._sending_ns)
        self.deadline_ns = max(latest_ns, time.monotonic_ns() + _LEAST_NETWORK_NS)
        self.waiting = True

    def finish(self, deadline_ns: int) -> None:
        """Push what the network has done; it is waited for until *deadline_ns*."""
        batch = self.batch
        assert batch is not None
        self.waiting = False
        done = batch.take(deadline_ns)
        self.dull += not done and bool(self.streams)
        taken_ns = time.monotonic_ns()
        for stream in self.streams:
            if not stream.closed:
                try:
                    stream.sink.push(batch.frame(stream.lane))
                except Exception as error:
                    self._on_fault(stream, error)
        self._sending_ns += _LEARNING * (time.monotonic_ns() - taken_ns - self._sending_ns)
        self._end()

    def _end(self) -> None:
        ended_ns = time.monotonic_ns()
        if self.streams:
            record_duration(self._cells, ended_ns - self._began_ns)
            self.ticks += 1
            self.late += ended_ns - self.due_ns > TICK_NS
        self.due_ns += TICK_NS
