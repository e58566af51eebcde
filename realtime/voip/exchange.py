"""All calls in batches: every 10 ms each source gives a frame, the network hears all at once, each sink gets one.

The clock is a thread of its own. It needs the interpreter to take and to send packets; resampling, the network and
the mixing of both bands are compiled and let go of it. Each batch has its frames at a time of its own (:mod:`.group`),
so that the network hears one batch while the packets of another are worked on. It has most of 10 ms to be done; where
it is not, the low bands go out on time without it, as in ``live``.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..engine import ENGINE_PRIORITY
from ..errors import FullbandError
from ..native.batch import wait_for_any
from ..native.histogram import Histogram, new_cells
from ..paths import find_model
from ..wishes import AS_IT_IS, Brightness
from .batch import Batch
from .frames import Sink, Source
from .group import Group
from .stream import Stream
from .warmup import warm_up

#: Streams that share one run of the network at most, and those of the first batch. Lanes that nobody has cost as much
#: as others, but little beside the run itself (for 10 ms a lane alone takes 1.2 ms, 8 take 2.2, and 16 take 2.8).
LANES_PER_BATCH, FIRST_LANES = 16, 8

#: Threads take the interpreter from each other this often. Python's own 5 ms would be half of a tick.
_SWITCH_S = 0.0005

#: While the thread that starts the clock has the interpreter, the clock waits for it. Other programs must not keep it
#: from going on: with four that are busy on two cores, 9 to 28 % of ticks were late, and with this 0 to 3 %.
_NICENESS = -11

#: A codec with less than this carries a telephone's band for certain. What a wider one carries has to be found out.
_SURE_HZ = 4_000.0


@dataclass(frozen=True)
class ExchangeStatistics:
    """The clock at one moment. A tick is one frame of each stream of one batch: *late* when its last frame left more
    than 10 ms after it was due, *dull* when the network was not done in time, *skipped* when it never came. Times are
    from a tick's beginning to its last frame, in ms."""

    calls: int
    lanes: int
    delay_ms: float
    ticks: int
    late_ticks: int
    dull_ticks: int
    skipped_ticks: int
    tick_p50_ms: float
    tick_p99_ms: float
    tick_max_ms: float
    realtime: bool

    def as_dict(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


class Exchange:
    """Streams through *model* (a shipped name, a path or ``none``), up to *max_streams* of them.

    Up to *lanes* of them share one run of the network; another batch is made when those that are there are full, within
    :meth:`connect`, for which that call takes some tenths of a second. High bands are as bright as *brightness* says;
    its level holds at *pivot_hz* (None: where a voice's band ends).
    Raises :class:`FullbandError` where there is no such model, or it takes no such wish. Nothing moves until
    :meth:`start`, or within ``with``.
    """

    def __init__(
        self,
        model: str = "default",
        max_streams: int = 64,
        lanes: int = LANES_PER_BATCH,
        brightness: Brightness = AS_IT_IS,
        pivot_hz: float | None = None,
    ) -> None:
        self.model = model
        self._brightness = brightness
        self._pivot_hz = pivot_hz
        self.max_streams = max_streams
        self.lanes = min(lanes, max_streams)
        self._lock = threading.Lock()
        #: Time of each frame's work, as a histogram of the data plane (:class:`Histogram.of` reads it).
        self.cells = new_cells()
        warm_up()
        wait_for_any(np.zeros(0, np.int64), 0)
        self._began_ns = time.monotonic_ns()
        self._groups: tuple[Group, ...] = ()
        self._past = self._add_group(None)
        if find_model(model) is not None:
            batch = Batch(model, min(self.lanes, FIRST_LANES))
            self._add_group(batch)
            if not self.takes(brightness):
                batch.close()
                raise FullbandError(f"the model '{model}' takes no such wish: {brightness} of its high band")
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._starter = self._niceness = 0
        self._realtime = False

    def _add_group(self, batch: Batch | None) -> Group:
        # The streams that need no network take a moment: they share the time of the first batch.
        group = Group(max(len(self._groups) - 1, 0), batch, self.cells, self._fail)
        group.start(self._began_ns)
        self._groups = (*self._groups, group)
        return group

    @property
    def _batches(self) -> list[Batch]:
        return [group.batch for group in self._groups if group.batch is not None]

    def takes(self, brightness: Brightness) -> bool:
        """Whether high bands here can be as *brightness* says."""
        return brightness == AS_IT_IS or any(batch.takes(brightness) for batch in self._batches)

    @property
    def delay_ms(self) -> float:
        """From a frame pulled to the same frame pushed, through the network."""
        return next((batch.delay_ms for batch in self._batches), 0.0)

    @property
    def calls(self) -> int:
        """Streams that are connected."""
        return sum(len(group.streams) for group in self._groups)

    def connect(
        self, source: Source, sink: Sink, *, cutoff_hz: float | None = None, enhance: bool = True, bypass: bool = False
    ) -> Stream:
        """Carry frames from *source* to *sink* from the next tick on.

        *cutoff_hz* is where the voice's band ends; by default what the codec of *source* says where that is a
        telephone's, and what is heard otherwise. Without *enhance* (or a model) the network is left out: no delay is
        added. With *bypass* it is faded out until :meth:`Stream.set_bypass`. Raises :class:`FullbandError` when
        *max_streams* go through the network already.
        """
        with self._lock:
            group = self._past
            if enhance and self._batches:
                if self.calls - len(self._past.streams) >= self.max_streams:
                    raise FullbandError(f"all {self.max_streams} streams are taken: allow more, or end a call")
                group = self._group_with_room()
            batch = group.batch
            lane = batch.occupy() if batch is not None else 0
            bandwidth_hz = source.bandwidth_hz
            stream = Stream(
                source, sink, batch, lane, cutoff_hz or bandwidth_hz, bypass, self._pivot_hz, on_close=self._close
            )
            stream.set_brightness(self._brightness)
            if batch is not None and cutoff_hz is None and bandwidth_hz > _SURE_HZ:
                stream.find_cutoff()
            group.streams = (*group.streams, stream)
        return stream

    def _group_with_room(self) -> Group:
        # Those in use first: one that is idle costs nothing.
        for group in sorted(self._groups, key=lambda group: group.idle):
            if group.batch is not None and group.batch.free:
                return group
        there = sum(batch.lanes for batch in self._batches)
        return self._add_group(Batch(self.model, min(self.lanes, max(there, FIRST_LANES))))

    def statistics(self) -> ExchangeStatistics:
        """Counters from the beginning, at this moment."""
        histogram, groups = Histogram.of(self.cells), self._groups
        return ExchangeStatistics(
            calls=self.calls,
            lanes=sum(batch.lanes for batch in self._batches),
            delay_ms=self.delay_ms,
            ticks=sum(group.ticks for group in groups),
            late_ticks=sum(group.late for group in groups),
            dull_ticks=sum(group.dull for group in groups),
            skipped_ticks=sum(group.skipped for group in groups),
            tick_p50_ms=round(histogram.percentile_ms(50.0), 3),
            tick_p99_ms=round(histogram.percentile_ms(99.0), 3),
            tick_max_ms=round(histogram.percentile_ms(100.0), 3),
            realtime=self._realtime,
        )

    def start(self) -> None:
        """Start the clock. The calling thread goes before other programs until :meth:`close`, where that is allowed."""
        if self._thread is None:
            self._stop.clear()
            self._began_ns = time.monotonic_ns()
            for group in self._groups:
                group.start(self._began_ns)
            # To look for garbage among all that the program has loaded takes a tenth of a second: no frame would leave.
            gc.collect()
            gc.freeze()
            sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
            self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
            self._thread.start()
            self._starter = threading.get_native_id()
            with suppress(OSError):
                self._niceness = os.getpriority(os.PRIO_PROCESS, self._starter)
                os.setpriority(os.PRIO_PROCESS, self._starter, min(self._niceness, _NICENESS))

    def close(self) -> None:
        """Stop the clock and release the model; the ends stay open. May be called twice."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._starter, self._niceness)
        for batch in self._batches:
            batch.close()
        self._groups = (self._past,)

    def __enter__(self) -> Exchange:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # -- the clock ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(ENGINE_PRIORITY))
            self._realtime = True
        while not self._stop.is_set():
            self._turn()

    def _turn(self) -> None:
        """Do what is next: send what the network has done, begin a frame that is due, or sleep until there is one."""
        groups, now_ns = self._groups, time.monotonic_ns()
        for group in groups:
            if group.waiting and group.batch is not None and (group.batch.done or now_ns >= group.deadline_ns):
                group.finish(group.deadline_ns)
                return
            if not group.waiting:
                group.catch_up(now_ns)
        next_due = min((group for group in groups if not group.waiting), key=lambda group: group.due_ns, default=None)
        if next_due is not None and next_due.due_ns <= now_ns:
            next_due.begin(now_ns)
            return
        waiting = [group for group in groups if group.waiting]
        until_ns = min([group.deadline_ns for group in waiting] + ([next_due.due_ns] if next_due else []))
        addresses = [group.batch.engine.worker.address for group in waiting if group.batch is not None]
        wait_for_any(np.array(addresses, np.int64), until_ns)

    def tick(self, deadline_ns: int) -> None:
        """One frame of every stream; what the clock does, and for callers with a clock of their own."""
        busy = [group for group in self._groups if not group.idle]
        for group in busy:
            group.begin(time.monotonic_ns())
        for group in busy:
            if group.waiting:
                group.finish(deadline_ns)

    def _fail(self, stream: Stream, error: Exception) -> None:
        """One call ends by a fault of its own; the others go on."""
        stream.fault = error
        self._close(stream)

    def _close(self, stream: Stream) -> None:
        with self._lock:
            if not stream.closed:
                stream.closed = True
                for group in self._groups:
                    group.streams = tuple(other for other in group.streams if other is not stream)
                if stream.batch is not None:
                    stream.batch.leave(stream.lane)
