"""All calls as one batch: every 10 ms each source gives a frame, the network hears all at once, each sink gets one.

The clock is a thread of its own. It needs the interpreter to take and to send packets; resampling, the network and
the mixing of both bands are compiled and let go of it. The network has a part of each 10 ms to be done; where it is
not, the low bands go out on time without it, as in ``live``.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from ..bandwidth import BandwidthDetector
from ..engine import ENGINE_PRIORITY
from ..errors import FullbandError
from ..native.histogram import Histogram, new_cells, record_duration
from ..paths import find_model
from .batch import Batch
from .frames import FRAME_MS, Sink, Source
from .lane import Lane
from .warmup import warm_up

_TICK_NS = FRAME_MS * 1_000_000

#: When in each tick the network has to be done, and what it is left with where the tick began late.
_NETWORK_NS, _LEAST_NETWORK_NS = 7_000_000, 2_000_000

#: Further behind than this, ticks are left out: the far ends are better off with one gap than with a flood.
_MOST_BEHIND_NS = 100_000_000

#: Streams that share one run of the network at most, and those of the first batch. Lanes that nobody has cost as much
#: as others, and each run costs something by itself (a lane alone 0.7 ms of 10, of 8 0.24, of 32 0.16): so batches grow
#: with what there is, and no more than half of the lanes are idle.
LANES_PER_BATCH, FIRST_LANES = 16, 2

#: A codec with less than this carries a telephone's band for certain. What a wider one carries has to be found out.
_SURE_HZ = 4_000.0


@dataclass(frozen=True)
class ExchangeStatistics:
    """The clock at one moment. A tick is *late* when its last frame left more than one frame after it was due, *dull*
    when a network was not done in time, *skipped* when it never came. Times are of a tick's work, in ms."""

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


@dataclass(eq=False)
class Stream:
    """One direction of one call, from :meth:`Exchange.connect` to :meth:`close`. All of it from any thread."""

    source: Source
    sink: Sink
    batch: Batch | None = field(repr=False)
    lane: int
    exchange: Exchange = field(repr=False)
    cutoff_hz: float
    bypass: bool = False
    closed: bool = False
    #: The exception that ended it, should source or sink have raised one.
    fault: Exception | None = None
    _detector: BandwidthDetector | None = field(default=None, repr=False)
    _controls: Lane | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.batch is not None:
            self._controls = Lane(self.batch, self.lane, self.cutoff_hz, self.bypass)

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell the network where this voice's band ends; a change that is heard is made with the high band faded out.
        It is then not looked for any more."""
        self._detector = None
        self._apply(cutoff_hz)

    def find_cutoff(self) -> None:
        """Look for the end of the voice's band from now on, beginning with what the source may have."""
        self._detector = BandwidthDetector()
        self._apply(self.source.bandwidth_hz)

    def set_bypass(self, bypass: bool) -> None:
        """Fade this call's high band out, or in again, within one window of the network."""
        self.bypass = bypass
        if self._controls is not None:
            self._controls.bypass = bypass

    def set_high_level_db(self, level_db: float) -> None:
        """The level of this call's high band, where the model takes one."""
        if self._controls is not None:
            self._controls.level_db = level_db

    def close(self) -> None:
        """Source and sink are left alone from the next frame on. May be called twice."""
        self.exchange._close(self)

    def _apply(self, cutoff_hz: float) -> None:
        self.cutoff_hz = cutoff_hz
        if self._controls is not None:
            self._controls.cutoff_hz = cutoff_hz

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Exchange:
    """Streams through *model* (a shipped name, a path or ``none``), up to *max_streams* of them.

    Up to *lanes* of them share one run of the network; another batch is made when those that are there are full, within
    :meth:`connect`, for which that call takes some tenths of a second. Raises :class:`FullbandError` where there is no
    such model. Nothing moves until :meth:`start`, or within ``with``.
    """

    def __init__(self, model: str = "default", max_streams: int = 64, lanes: int = LANES_PER_BATCH) -> None:
        self.model = model
        self.max_streams = max_streams
        self.lanes = min(lanes, max_streams)
        self._lock = threading.Lock()
        self._streams: tuple[Stream, ...] = ()
        warm_up()
        self._batches: tuple[Batch, ...] = ()
        if find_model(model) is not None:
            self._batches = (Batch(model, min(self.lanes, FIRST_LANES)),)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        #: Time of each tick, as a histogram of the data plane (:class:`Histogram.of` reads it).
        self.cells = new_cells()
        self._ticks = self._late = self._dull = self._skipped = 0
        self._realtime = False

    @property
    def delay_ms(self) -> float:
        """From a frame pulled to the same frame pushed, through the network."""
        return self._batches[0].delay_ms if self._batches else 0.0

    @property
    def calls(self) -> int:
        """Streams that are connected."""
        return len(self._streams)

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
            batch = None
            if enhance and self._batches:
                if sum(stream.batch is not None for stream in self._streams) >= self.max_streams:
                    raise FullbandError(f"all {self.max_streams} streams are taken: allow more, or end a call")
                batch = self._batch_with_room()
            lane = batch.occupy() if batch is not None else 0
            bandwidth_hz = source.bandwidth_hz
            stream = Stream(source, sink, batch, lane, self, cutoff_hz or bandwidth_hz, bypass)
            if batch is not None and cutoff_hz is None and bandwidth_hz > _SURE_HZ:
                stream._detector = BandwidthDetector()
            self._streams = (*self._streams, stream)
        return stream

    def _batch_with_room(self) -> Batch:
        # Those in use first: one that is idle costs nothing.
        for batch in sorted(self._batches, key=lambda batch: batch.idle):
            if batch.free:
                return batch
        there = sum(batch.lanes for batch in self._batches)
        batch = Batch(self.model, min(self.lanes, max(there, FIRST_LANES)))
        self._batches = (*self._batches, batch)
        return batch

    def statistics(self) -> ExchangeStatistics:
        """Counters from the beginning, at this moment."""
        histogram = Histogram.of(self.cells)
        return ExchangeStatistics(
            calls=len(self._streams),
            lanes=sum(batch.lanes for batch in self._batches),
            delay_ms=self.delay_ms,
            ticks=self._ticks,
            late_ticks=self._late,
            dull_ticks=self._dull,
            skipped_ticks=self._skipped,
            tick_p50_ms=round(histogram.percentile_ms(50.0), 3),
            tick_p99_ms=round(histogram.percentile_ms(99.0), 3),
            tick_max_ms=round(histogram.percentile_ms(100.0), 3),
            realtime=self._realtime,
        )

    def start(self) -> None:
        """Start the clock."""
        if self._thread is None:
            self._stop.clear()
            # To look for garbage among all that the program has loaded takes a tenth of a second: no frame would leave.
            gc.collect()
            gc.freeze()
            self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the clock and release the model; the ends stay open. May be called twice."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
        for batch in self._batches:
            batch.close()
        self._batches = ()

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
        due_ns = time.monotonic_ns()
        while not self._stop.is_set():
            began_ns = time.monotonic_ns()
            if began_ns - due_ns > _MOST_BEHIND_NS:
                skipped = (began_ns - due_ns) // _TICK_NS
                self._skipped += skipped
                due_ns += skipped * _TICK_NS
            self.tick(max(due_ns + _NETWORK_NS, began_ns + _LEAST_NETWORK_NS))
            ended_ns = time.monotonic_ns()
            record_duration(self.cells, ended_ns - began_ns)
            self._ticks += 1
            self._late += ended_ns - due_ns > _TICK_NS
            due_ns += _TICK_NS
            time.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)

    def tick(self, deadline_ns: int) -> None:
        """One frame of every stream; what the clock does, and for callers with a clock of their own."""
        streams = self._streams
        busy = [batch for batch in self._batches if not batch.idle]
        frames = {id(batch): batch.begin() for batch in busy}
        for stream in streams:
            try:
                frame = stream.source.pull()
                if stream.batch is None:
                    stream.sink.push(frame)
                elif id(stream.batch) in frames:
                    frames[id(stream.batch)][:, stream.lane] = frame
                    if stream._detector is not None:
                        self._listen(stream, frame)
                    if stream._controls is not None:
                        stream._controls.follow()
            except Exception as error:
                self._fail(stream, error)
        for batch in busy:
            batch.give()
        in_time = [batch.take(deadline_ns) for batch in busy]
        self._dull += not all(in_time)
        for stream in streams:
            if stream.batch is not None and not stream.closed:
                try:
                    stream.sink.push(stream.batch.frame(stream.lane))
                except Exception as error:
                    self._fail(stream, error)

    def _listen(self, stream: Stream, frame: Any) -> None:
        """Where the codec may carry more than a telephone, the band is what is heard."""
        detector = stream._detector
        assert detector is not None
        heard_hz = min(detector.push(frame), stream.source.bandwidth_hz)
        if heard_hz != stream.cutoff_hz:
            stream._apply(heard_hz)

    def _fail(self, stream: Stream, error: Exception) -> None:
        """One call ends by a fault of its own; the others go on."""
        stream.fault = error
        self._close(stream)

    def _close(self, stream: Stream) -> None:
        with self._lock:
            if not stream.closed:
                stream.closed = True
                self._streams = tuple(other for other in self._streams if other is not stream)
                if stream.batch is not None:
                    stream.batch.leave(stream.lane)
