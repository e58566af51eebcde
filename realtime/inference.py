"""A model bound to the rings: every buffer it will ever need, allocated and known to ONNX Runtime."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .native.histogram import new_cells
from .native.memory import aligned_zeros
from .native.network import NETWORK, NO_MARGIN, run_hops_at
from .native.ring import Ring
from .onnx.contract import RATE_HZ, Contract, read_contract
from .onnx.runtime import api
from .onnx.session import Session, SessionOptions

#: Further behind than this the engine skips to the newest hops: what is older can no longer be played.
MAX_BACKLOG_MS = 100.0

#: Runs before going live; the first few allocate and fault in memory.
WARM_UP_HOPS = 24


class Inference:
    """One model running *lanes* streams as one batch, from the ring *low* to the ring *high*."""

    def __init__(self, path: Path, lanes: int, low: Ring, high: Ring, options: SessionOptions | None = None) -> None:
        self._keep: list[Any] = []
        self._values: list[int] = []
        self.session = Session(path, options)
        self.contract: Contract = read_contract(self.session)
        self.lanes = lanes
        contract = self.contract
        self.chunk = aligned_zeros((lanes, contract.input_samples), np.float32)
        self.output = aligned_zeros((lanes, contract.output_samples), np.float32)
        self.overlap = aligned_zeros((lanes, contract.output_samples), np.float32)
        self.cutoff_hz = aligned_zeros((lanes, 1), np.float32)
        self.compute_histogram = new_cells()
        self.response_histogram = new_cells()
        self._states = [[aligned_zeros((lanes, *shape), np.float32) for _, shape in contract.states] for _ in range(2)]
        self._record = aligned_zeros(1, NETWORK)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self._low = low
        self._high = high
        self._bind()
        self._warm_up()

    def _addresses(self, values: list[list[int]]) -> int:
        table = np.array(values, np.int64)
        self._keep.append(table)
        return int(table.ctypes.data)

    def _names(self, names: list[str]) -> int:
        texts = [ctypes.create_string_buffer(name.encode()) for name in names]
        self._keep.append(texts)
        return self._addresses([[ctypes.addressof(text) for text in texts]])

    def _tensor(self, memory: NDArray[np.float32]) -> int:
        value = self.session.tensor(memory)
        self._values.append(value)
        return value

    def _bind(self) -> None:
        contract = self.contract
        states = [name for name, _ in contract.states]
        fixed = [self._tensor(self.chunk)]
        input_names = ["chunk"]
        if contract.takes_cutoff:
            fixed.append(self._tensor(self.cutoff_hz))
            input_names.append("cutoff_hz")
        output = self._tensor(self.output)
        sides = [[self._tensor(state) for state in side] for side in self._states]
        table = [[state.ctypes.data, state.size] for side in self._states for state in side]
        inputs = [fixed + sides[0], fixed + sides[1]]
        record = self.record
        record["address"] = self.address
        record["low"] = self._low.address
        record["high"] = self._high.address
        record["lanes"] = self.lanes
        record["hop"] = contract.hop_samples
        record["input_samples"] = contract.input_samples
        record["output_samples"] = contract.output_samples
        record["latency"] = contract.latency_samples
        record["max_backlog"] = int(MAX_BACKLOG_MS * RATE_HZ / 1000)
        record["run"] = api().address("Run")
        record["release"] = api().address("ReleaseStatus")
        record["session"] = self.session.handle.value
        record["input_names"] = self._names(input_names + [f"{name}_in" for name in states])
        record["inputs"] = self._addresses(inputs)
        record["input_count"] = len(inputs[0])
        record["output_names"] = self._names(["output"] + [f"{name}_out" for name in states])
        record["outputs"] = self._addresses([[output, *sides[1]], [output, *sides[0]]])
        record["output_count"] = 1 + len(states)
        record["chunk"] = self.chunk.ctypes.data
        record["output"] = self.output.ctypes.data
        record["overlap"] = self.overlap.ctypes.data
        record["states"] = self._addresses(table or [[0, 0]])
        record["state_count"] = len(table)
        record["compute_histogram"] = self.compute_histogram.ctypes.data
        record["response_histogram"] = self.response_histogram.ctypes.data
        self.reset()

    def _warm_up(self) -> None:
        silence = np.zeros((self.lanes, self.contract.hop_samples * WARM_UP_HOPS), np.float32)
        self.cutoff_hz[:] = 8000.0
        self._low.record["write"] = silence.shape[1]
        run_hops_at(self.address)
        self._low.clear()
        self._high.clear()
        self.reset()

    def reset(self) -> None:
        """A fresh stream at position zero, counters included. Only while no thread runs it."""
        for memory in (self.chunk, self.output, self.overlap, *self._states[0], *self._states[1]):
            memory[:] = 0.0
        self.compute_histogram[:] = 0
        self.response_histogram[:] = 0
        record = self.record
        for counter in ("parity", "hops", "deadline_misses", "longest_miss_run", "miss_run"):
            record[counter] = 0
        for counter in ("bad_chunks", "failed_runs", "skipped_hops"):
            record[counter] = 0
        record["next_end"] = self.contract.hop_samples
        record["least_margin"] = NO_MARGIN

    def take_least_margin(self) -> int | None:
        """The least margin in samples since the last call; None when no hop was run."""
        margin = int(self.record["least_margin"])
        self.record["least_margin"] = NO_MARGIN
        return None if margin == NO_MARGIN else margin

    def run_hops(self) -> None:
        """Run all hops that are complete, here and now, without the GIL."""
        run_hops_at(self.address)

    def close(self) -> None:
        """Release the model. The engine thread has been joined."""
        self.session.free(self._values)
        self._values.clear()
        self.session.close()
