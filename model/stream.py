"""Runs an exported model hop by hop in numpy: for measuring and tests, not for live use."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A session on one thread, as the host runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Stream:
    """*batch* streams through one session, from fresh states on."""

    def __init__(self, session: onnxruntime.InferenceSession, batch: int = 1) -> None:
        self.session = session
        self.batch = batch
        properties = session.get_modelmeta().custom_metadata_map
        self.hop_samples = int(properties["hop_samples"])
        self.input_samples = int(properties["input_samples"])
        self.output_samples = int(properties["output_samples"])
        self.latency_samples = int(properties["latency_samples"])
        names = {value.name for value in session.get_inputs()}
        self._controls = [name for name in ("cutoff_hz", "level_db", "tilt_db") if name in names]
        self.states: dict[str, Samples] = {}
        self.reset()

    def reset(self) -> None:
        """Fresh streams."""
        for value in self.session.get_inputs():
            if value.name.startswith("state_"):
                self.states[value.name] = np.zeros((self.batch, *value.shape[1:]), np.float32)

    def step(self, chunk: Samples, *controls: Samples) -> Samples:
        """Chunk [B, input_samples], cutoff_hz, level_db and tilt_db [B, 1] -> frame [B, output_samples].

        The last two may be left out, and mean nothing to a model that does not take them.
        """
        zeros = np.zeros((self.batch, 1), np.float32)
        given = dict(zip(("cutoff_hz", "level_db", "tilt_db"), (*controls, zeros, zeros), strict=False))
        inputs = {name: given[name] for name in self._controls}
        output, *states = self.session.run(None, {"chunk": chunk, **inputs, **self.states})
        self.states = dict(zip(self.states, states, strict=True))
        return np.asarray(output)

    def time_hops(self, hops: int, chunk: Samples, *controls: Samples) -> NDArray[np.float64]:
        """Seconds that each of *hops* equal steps takes, one after the other."""
        spent_s = np.empty(hops)
        for hop in range(hops):
            start_s = time.perf_counter()
            self.step(chunk, *controls)
            spent_s[hop] = time.perf_counter() - start_s
        return spent_s

    def run(self, low: Samples, *controls: Samples) -> Samples:
        """Low band [B, samples] and the controls of `step` -> high band, as long and in line with it.

        The latency is taken out, and zeros are run through until the last sample is complete.
        """
        hop, size = self.hop_samples, self.output_samples
        samples = low.shape[1]
        late = self.latency_samples - hop
        hops = -(-(samples + late) // hop)
        past = self.input_samples - hop
        padded = np.pad(low, ((0, 0), (past, hops * hop - samples)))
        high = np.zeros((self.batch, size - hop + hops * hop), np.float32)
        for start in range(0, hops * hop, hop):
            chunk = np.ascontiguousarray(padded[:, start : start + self.input_samples])
            high[:, start : start + size] += self.step(chunk, *controls)
        return high[:, late:][:, :samples]
