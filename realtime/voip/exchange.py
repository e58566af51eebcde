"""All calls as one batch: every 10 ms each source gives a frame, the network hears all at once, each sink gets one.

The clock is a thread of its own. It needs the interpreter to take and to send packets; resampling, the network and
the mixing of both bands are compiled and let go of it. The network has a part of each 10 ms to be done; where it is
not, the low bands go out on time without it, as in ``live``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import Engine, EngineSettings
from ..errors import FullbandError
from ..native.batch import give, take
from ..onnx.contract import RATE_HZ
from ..paths import find_model
from ..stream import StreamFormat
from .frames import FRAME_MS, FRAME_SAMPLES, Sink, Source

_TICK_NS = FRAME_MS * 1_000_000

#: Time in each tick that the network may take before the low bands go out without it.
_NETWORK_NS = 6_000_000


@dataclass(eq=False)
class Stream:
    """One direction of one call, from :meth:`Exchange.connect` to :meth:`close`."""

    source: Source
    sink: Sink
    lane: int | None
    exchange: Exchange = field(repr=False)
    closed: bool = False

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell the network where this voice's band ends, from the next hop on."""
        self.exchange._set_cutoff(self, cutoff_hz)

    def set_bypass(self, bypass: bool) -> None:
        """Fade this call's high band out, or in again."""
        self.exchange._set_bypass(self, bypass)

    def close(self) -> None:
        """Source and sink are left alone from now on. May be called twice."""
        self.exchange._close(self)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Exchange:
    """Up to *max_calls* streams through *model* (a shipped name, a path or ``none``) in one batch.

    Raises :class:`FullbandError` where there is no such model. Nothing moves until :meth:`start`, or within ``with``.
    """

    def __init__(self, model: str = "default", max_calls: int = 8) -> None:
        self.max_calls = max_calls
        stream = StreamFormat(RATE_HZ, RATE_HZ, FRAME_SAMPLES, max_calls, max_calls)
        # The network is waited for within the tick, which gives the block back that live needs to hand it over.
        self.engine = Engine(stream, EngineSettings(find_model(model), max_calls, guard_ms=-FRAME_MS))
        self._lock = threading.Lock()
        self._streams: tuple[Stream, ...] = ()
        self._free = list(range(max_calls))
        self._in = np.zeros((FRAME_SAMPLES, max_calls), np.float32)
        self._out = np.zeros((FRAME_SAMPLES, max_calls), np.float32)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def delay_ms(self) -> float:
        """From a frame pulled to the same frame pushed."""
        return 1000.0 * self.engine.delay_samples / RATE_HZ

    def connect(
        self, source: Source, sink: Sink, *, cutoff_hz: float | None = None, enhance: bool = True, bypass: bool = False
    ) -> Stream:
        """Carry frames from *source* to *sink* from the next tick on.

        *cutoff_hz* is where the voice's band ends, by default what the source says. Without *enhance* the network is
        left out: no lane is taken and no delay added. With *bypass* it is faded out until :meth:`Stream.set_bypass`.
        Raises :class:`FullbandError` when all lanes are taken.
        """
        with self._lock:
            lane = None
            if enhance:
                if not self._free:
                    raise FullbandError(f"all {self.max_calls} streams are taken; allow more with max_calls")
                lane = self._free.pop(0)
            stream = Stream(source, sink, lane, self)
            self._streams = (*self._streams, stream)
        stream.set_cutoff_hz(source.bandwidth_hz if cutoff_hz is None else cutoff_hz)
        stream.set_bypass(bypass)
        return stream

    def start(self) -> None:
        """Start the clock."""
        if self._thread is None:
            self._stop.clear()
            self.engine.start()
            self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the clock and release the model; the ends stay open. May be called twice."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
        self.engine.close()

    def __enter__(self) -> Exchange:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _run(self) -> None:
        due_ns = time.monotonic_ns()
        while not self._stop.is_set():
            self._tick()
            due_ns += _TICK_NS
            time.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)

    def _tick(self) -> None:
        streams = self._streams
        self._in[:] = 0.0
        for stream in streams:
            frame = stream.source.pull()
            if stream.lane is None:
                stream.sink.push(frame)
            else:
                self._in[:, stream.lane] = frame
        give(self.engine.port_address, self._in.reshape(-1), FRAME_SAMPLES)
        deadline_ns = time.monotonic_ns() + _NETWORK_NS
        take(self.engine.port_address, self.engine.worker.address, self._out.reshape(-1), FRAME_SAMPLES, deadline_ns)
        for stream in streams:
            if stream.lane is not None:
                stream.sink.push(np.ascontiguousarray(self._out[:, stream.lane]))

    def _set_cutoff(self, stream: Stream, cutoff_hz: float) -> None:
        if stream.lane is not None and self.engine.inference is not None:
            self.engine.inference.controls["cutoff_hz"][stream.lane] = cutoff_hz

    def _set_bypass(self, stream: Stream, bypass: bool) -> None:
        if stream.lane is not None and self.engine.inference is not None:
            self.engine.inference.controls["level_db"][stream.lane] = -120.0 if bypass else 0.0

    def _close(self, stream: Stream) -> None:
        with self._lock:
            if not stream.closed:
                stream.closed = True
                self._streams = tuple(other for other in self._streams if other is not stream)
                if stream.lane is not None:
                    self._free.append(stream.lane)
