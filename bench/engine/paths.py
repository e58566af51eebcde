"""The same work done in four ways: ours, and the three that are usual in Python.

``native``: compiled callbacks, a native engine thread, no interpreter. ``python_callback``: the device calls a Python
function for every block, as sounddevice does, and all the work is done in it. ``pyaudio``: the same with PyAudio's
signature, bytes in and bytes out. ``python_worker``: the Python function only passes blocks on; a Python thread waits
on a queue and runs the model with ONNX Runtime's I/O binding.

The usual ways are given all that helps: in the first two the work itself is our compiled code, and the worker's thread
has the priority of ours.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.engine import ENGINE_PRIORITY, Engine, EngineSettings, StreamFormat
from realtime.hopping import WARM_UP_HOPS
from realtime.latency import plan_delays
from realtime.native.callbacks import serve_duplex
from realtime.native.histogram import Histogram, new_cells, record_duration
from realtime.onnx.contract import RATE_HZ, Contract, read_contract
from realtime.onnx.session import Session

Samples = NDArray[np.float32]
PATHS = ("native", "python_callback", "pyaudio", "python_worker")

#: Of the voice; all paths tell their model the same.
CUTOFF_HZ = 8_000.0


class Work(Protocol):
    """What a path does, and what it has counted of it so far."""

    contract: Contract
    #: What a hop of the model takes here, when nothing is in its way.
    hop_cost_ms: float

    def process(self, heard: Samples, played: Samples, asked_ns: int) -> None:
        """One block in, one block out; the device asked for it at *asked_ns* (CLOCK_MONOTONIC)."""

    def counters(self) -> tuple[int, int, int]:
        """Hops done, hops that were late, and the longest run of late ones."""

    def response(self) -> Histogram:
        """From when the device brought the last sample of a hop to when the hop was done."""

    def dull_seconds(self) -> float:
        """Played without the high band."""

    def least_margin_ms(self) -> float | None:
        """By how much the latest hop since the last call was in time; None when that is not known."""

    def close(self) -> None:
        """End all threads."""


class EngineWork:
    """The engine: with its own thread (*native*), or without, all in the callback."""

    def __init__(self, stream: StreamFormat, model: Path, guard_ms: float, *, native: bool) -> None:
        self.engine = Engine(stream, EngineSettings(model, guard_ms=guard_ms, cutoff_hz=CUTOFF_HZ))
        assert self.engine.inference is not None
        self.contract = self.engine.inference.contract
        self.hop_cost_ms = float(np.median(self.engine.inference.warm_up_ms))
        self._native = native
        self._cells = new_cells()
        if native:
            self.engine.start()

    def process(self, heard: Samples, played: Samples, asked_ns: int) -> None:
        engine = self.engine
        before = int(engine.tally.record["hops"])
        serve_duplex(engine.port_address, heard, played, len(played), 0)
        engine.run_hops()
        if int(engine.tally.record["hops"]) > before:
            # The engine's own count begins when the interpreter had let it in.
            record_duration(self._cells, time.monotonic_ns() - asked_ns)

    def counters(self) -> tuple[int, int, int]:
        tally = self.engine.tally.record
        return int(tally["hops"]), int(tally["deadline_misses"]), int(tally["longest_miss_run"])

    def response(self) -> Histogram:
        return Histogram.of(self.engine.tally.response_histogram if self._native else self._cells)

    def dull_seconds(self) -> float:
        return self.engine.statistics().dull_seconds

    def least_margin_ms(self) -> float | None:
        margin = self.engine.take_least_margin() if self._native else None
        return None if margin is None else 1000.0 * margin / RATE_HZ

    def close(self) -> None:
        self.engine.close()


class WorkerWork:
    """A Python thread behind a queue, with I/O binding: what a careful host in Python does."""

    def __init__(self, stream: StreamFormat, model: Path, guard_ms: float, seconds: float) -> None:
        with Session(model) as session:
            self.contract = read_contract(session)
        contract = self.contract
        guard = round(guard_ms * RATE_HZ / 1000)
        self._delay = plan_delays(stream, 0, 0, contract, [contract], guard).total
        samples = int((seconds + 1.0) * RATE_HZ) + contract.input_samples + contract.output_samples + self._delay
        # One timeline from the first sample on; before it there was silence.
        self._before = max(contract.input_samples, self._delay + contract.output_samples)
        # Full, not zeros: written to, so that no page has to be fetched later.
        self._low = np.full(self._before + samples, 0.0, np.float32)
        self._high = np.full(self._before + samples, 0.0, np.float32)
        self._written = self._played = 0
        self._finished = contract.hop_samples - contract.latency_samples
        self._hops = self._late = self._run = self._longest = self._dull = 0
        self._cells = new_cells()
        self._queue: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._bind(model)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _bind(self, model: Path) -> None:
        import onnxruntime

        contract = self.contract
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._chunk = np.zeros((1, contract.input_samples), np.float32)
        self._output = np.zeros((1, contract.output_samples), np.float32)
        self._overlap = np.zeros(contract.output_samples, np.float32)
        self._controls = {
            name: np.full((1, 1), CUTOFF_HZ * (name == "cutoff_hz"), np.float32) for name in contract.controls
        }
        self._states = [[np.zeros((1, *shape), np.float32) for _, shape in contract.states] for _ in range(2)]
        self._bindings = []
        for side in (0, 1):
            binding = self._session.io_binding()
            inputs: dict[str, Samples] = {"chunk": self._chunk, **self._controls}
            outputs: dict[str, Samples] = {"output": self._output}
            for (name, _), came, goes in zip(contract.states, self._states[side], self._states[1 - side], strict=True):
                inputs[f"{name}_in"], outputs[f"{name}_out"] = came, goes
            for name, memory in inputs.items():
                binding.bind_input(name, "cpu", 0, np.float32, memory.shape, memory.ctypes.data)
            for name, memory in outputs.items():
                binding.bind_output(name, "cpu", 0, np.float32, memory.shape, memory.ctypes.data)
            self._bindings.append(binding)
        spent_ms = []
        for hop in range(WARM_UP_HOPS):
            began_s = time.perf_counter()
            self._session.run_with_iobinding(self._bindings[hop % 2])
            spent_ms.append(1000.0 * (time.perf_counter() - began_s))
        self.hop_cost_ms = float(np.median(spent_ms))
        for state in (*self._states[0], *self._states[1]):
            state[:] = 0.0

    def process(self, heard: Samples, played: Samples, asked_ns: int) -> None:
        count = len(played)
        start = self._before + self._written
        self._low[start : start + count] = heard
        self._written += count
        self._queue.put((self._written, asked_ns))
        first = self._written - count - self._delay
        self._played = first + count
        there = min(max(self._finished - first, 0), count)
        place = self._before + first
        played[:] = self._low[place : place + count]
        if self.contract.mode == "replace":
            played[:there] = 0.0
        played[:there] += self._high[place : place + there]
        self._dull += count - there

    def _serve(self) -> None:
        with suppress(PermissionError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(ENGINE_PRIORITY))
        end = self.contract.hop_samples
        while (block := self._queue.get()) is not None:
            while end <= block[0]:
                self._hop(end, block[1])
                end += self.contract.hop_samples

    def _hop(self, end: int, asked_ns: int) -> None:
        contract = self.contract
        hop = contract.hop_samples
        stop = self._before + end
        self._chunk[0] = self._low[stop - contract.input_samples : stop]
        self._session.run_with_iobinding(self._bindings[self._hops % 2])
        self._overlap += self._output[0]
        first = end - contract.latency_samples
        place = self._before + first
        self._high[place : place + hop] = self._overlap[:hop]
        self._overlap[:-hop] = self._overlap[hop:].copy()
        self._overlap[-hop:] = 0.0
        self._finished = first + hop
        self._hops += 1
        self._run = self._run + 1 if first < self._played else 0
        self._late += first < self._played
        self._longest = max(self._longest, self._run)
        record_duration(self._cells, time.monotonic_ns() - asked_ns)

    def counters(self) -> tuple[int, int, int]:
        return self._hops, self._late, self._longest

    def response(self) -> Histogram:
        return Histogram.of(self._cells)

    def dull_seconds(self) -> float:
        return self._dull / RATE_HZ

    def least_margin_ms(self) -> float | None:
        return None

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()


def make_work(path: str, stream: StreamFormat, model: Path, guard_ms: float, seconds: float) -> Work:
    """The work of *path*, one of :data:`PATHS`, for a run of *seconds*."""
    if path == "python_worker":
        return WorkerWork(stream, model, guard_ms, seconds)
    return EngineWork(stream, model, guard_ms, native=path == "native")


#: PyAudio's: (input, frames, time info, status) to (output, whether to go on).
PyAudioCallback = Callable[[bytes, int, dict[str, float], int], tuple[bytes, int]]


def pyaudio_callback(work: Work, asked_ns: Callable[[], int]) -> PyAudioCallback:
    """*work* behind PyAudio's signature."""

    def callback(data: bytes, frames: int, time_info: dict[str, float], status: int) -> tuple[bytes, int]:
        played = np.empty(frames, np.float32)
        work.process(np.frombuffer(data, np.float32), played, asked_ns())
        return played.tobytes(), 0  # paContinue

    return callback
