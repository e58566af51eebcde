"""A model bound to its rings: every buffer it will ever need, allocated and known to ONNX Runtime."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hopping import Hopping
from .native.memory import aligned_zeros
from .native.network import NETWORK, run_hops_at
from .native.ring import RING_SAMPLES, Ring
from .native.steadiness import LONG_STEADY_SAMPLES, PITCH_SAMPLES, STEADY, STEADY_SECONDS
from .native.tally import Tally
from .onnx.contract import CONTROLS, RATE_HZ, Contract, read_contract
from .onnx.runtime import api
from .onnx.session import Session, SessionOptions

#: Hops that have to be in time before the high band fades in again after a dropout.
RECOVER_HOPS = 8

#: The shipped networks, begun in the middle of speech, are within 2 dB of what they would have given after so long.
SETTLE_MS = 64.0

#: After a change of the cutoff as much has passed when the hops that playback waits for have come, too.
CHANGE_SETTLE_MS = 32.0

#: The low band's level is held and falls slowly: a fricative is then compared with the vowel before it. By this
#: measure 999 of 1000 hops of real speech have less above 4 kHz than 15 dB more than below, above 8 kHz 8 dB more,
#: above 12 kHz 2 dB more (103 test clips); what is beyond the following is not speech.
_HOLD_DB_PER_SECOND = 100.0
_TIE_DB = 18.0
_TIE_HZ = 4_000.0
_TIE_DB_PER_OCTAVE = -6.0
_LEAST_TIE_DB = 8.0


def _tie(cutoff_hz: float) -> float:
    """Amplitude of the high band above *cutoff_hz* that is believed, relative to the low band."""
    tie_db = max(_TIE_DB + _TIE_DB_PER_OCTAVE * math.log2(cutoff_hz / _TIE_HZ), _LEAST_TIE_DB)
    return float(10.0 ** (tie_db / 20.0))


class Inference(Hopping):
    """One model running *lanes* streams as one batch, from the ring *low* to a ring of its own."""

    def __init__(self, path: Path, lanes: int, low: Ring, options: SessionOptions | None = None) -> None:
        self._keep: list[Any] = []
        self._values: list[int] = []
        self.session = Session(path, options)
        self.contract: Contract = read_contract(self.session)
        self.lanes = lanes
        contract = self.contract
        self.high = Ring(lanes, RING_SAMPLES)
        self.chunk = aligned_zeros((lanes, contract.input_samples), np.float32)
        self.output = aligned_zeros((lanes, contract.output_samples), np.float32)
        self.overlap = aligned_zeros((lanes, contract.output_samples), np.float32)
        self.controls = {name: aligned_zeros((lanes, 1), np.float32) for name in CONTROLS}
        self._offset = aligned_zeros(lanes, np.float32)
        self._voice = aligned_zeros((lanes, contract.hop_samples), np.float32)
        self._held_power = aligned_zeros(lanes, np.float32)
        self._tie_gain = aligned_zeros(lanes, np.float32)
        self._steady = aligned_zeros(lanes, STEADY)
        self._heard = aligned_zeros((lanes + 1, PITCH_SAMPLES), np.float32)
        self._tally = Tally()
        self._states = [[aligned_zeros((lanes, *shape), np.float32) for _, shape in contract.states] for _ in range(2)]
        self._record = aligned_zeros(1, NETWORK)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self._low = low
        self._beginning = 0  # of the present stream, in its ring
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
        for name in contract.controls:
            fixed.append(self._tensor(self.controls[name]))
            input_names.append(name)
        output = self._tensor(self.output)
        sides = [[self._tensor(state) for state in side] for side in self._states]
        table = [[state.ctypes.data, state.size] for side in self._states for state in side]
        inputs = [fixed + sides[0], fixed + sides[1]]
        record = self.record
        record["address"] = self.address
        record["low"] = self._low.address
        record["high"] = self.high.address
        record["lanes"] = self.lanes
        record["hop"] = contract.hop_samples
        record["input_samples"] = contract.input_samples
        record["output_samples"] = contract.output_samples
        record["latency"] = contract.latency_samples
        record["replace"] = int(contract.mode == "replace")
        record["recover_samples"] = RECOVER_HOPS * contract.hop_samples
        record["settle_samples"] = int(SETTLE_MS * RATE_HZ / 1000)
        record["change_settle_samples"] = int(CHANGE_SETTLE_MS * RATE_HZ / 1000)
        record["cutoff"] = self.controls["cutoff_hz"].ctypes.data if "cutoff_hz" in contract.controls else 0
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
        record["offset"] = self._offset.ctypes.data
        record["voice"] = self._voice.ctypes.data
        record["held_power"] = self._held_power.ctypes.data
        record["tie_gain"] = self._tie_gain.ctypes.data
        record["steady"] = self._steady.ctypes.data
        record["heard"] = self._heard.ctypes.data
        record["points"] = self._heard[self.lanes :].ctypes.data
        record["steady_after"] = int(STEADY_SECONDS * RATE_HZ)
        record["hold_fall"] = 10.0 ** (-0.1 * _HOLD_DB_PER_SECOND * contract.hop_samples / RATE_HZ)
        record["tally"] = self._tally.address
        self.hold(0)
        self.set_cutoff_hz(8_000.0)
        self.reset()

    def _run(self, most: int) -> int:
        return int(run_hops_at(self.address, most))

    def reset(self, position: int = 0) -> None:
        """A fresh stream that begins at low-band *position*, a multiple of the hop. Only while no thread runs it."""
        for memory in (self.chunk, self.output, self.overlap, *self._states[0], *self._states[1]):
            memory[:] = 0.0
        for memory in (self.high.data, self._offset, self._held_power):
            memory[:] = 0.0
        self._tie_gain[:] = 1.0
        self._listen_anew(slice(None))
        record = self.record
        record["parity"] = 0
        record["offset_hops"] = 0
        record["next_end"] = position + self.contract.hop_samples
        # Before the beginning of a stream there is silence, and a network knows it.
        record["settled_index"] = position + int(record["settle_samples"]) if position else -(1 << 40)
        record["changed_index"] = -(1 << 40)
        record["change_left"] = 0
        self._set_cutoff()
        self.high.record["write"] = self._beginning = position

    def reset_lane(self, lane: int) -> None:
        """Another voice begins in *lane*, after silence; the others go on. Only while no thread runs it."""
        for memory in (self.overlap, *self._states[0], *self._states[1]):
            memory[lane] = 0.0
        self._offset[lane] = self._held_power[lane] = 0.0
        self._tie_gain[lane] = 1.0
        self._listen_anew(slice(lane, lane + 1))

    def _listen_anew(self, lanes: slice) -> None:
        """*lanes* have heard no voice so far."""
        self._steady[lanes] = 0
        self._steady["steady_samples"][lanes] = LONG_STEADY_SAMPLES

    @property
    def stage_latencies(self) -> tuple[tuple[str, int], ...]:
        """A model by itself has no stages,"""
        return ()

    def apply(self, specs: Sequence[Any]) -> None:
        """nothing that could be set of them,"""

    def tend(self) -> None:
        """nothing to make ready for that,"""

    def describe(self) -> list[dict[str, Any]]:
        """and nothing to tell of them."""
        return []

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Where the voice's own band ends. While it is heard, a change is made with the high band faded out."""
        self.record["tie_asked"] = _tie(cutoff_hz)
        self.record["cutoff_asked"] = cutoff_hz
        if self.high.written == self._beginning:
            self._set_cutoff()

    def _set_cutoff(self) -> None:
        """Without a fade. Only while no thread runs it."""
        self.record["cutoff_set"] = self.record["cutoff_asked"]
        self.record["tie"] = self.record["tie_asked"]
        self.controls["cutoff_hz"][:] = self.record["cutoff_asked"]

    def set_lane_cutoff_hz(self, lane: int, cutoff_hz: float) -> None:
        """For one of many voices, at once. Believed is what the narrowest of them may have above it."""
        self.controls["cutoff_hz"][lane] = cutoff_hz
        self.record["tie"] = _tie(float(self.controls["cutoff_hz"].min()))

    def set_wishes(self, level_db: float, tilt_db: float) -> None:
        """The listener's level and tilt of the high band, where the model takes them."""
        self.controls["level_db"][:] = level_db
        self.controls["tilt_db"][:] = tilt_db

    def close(self) -> None:
        """Release the model. No thread touches it any more."""
        self.session.free(self._values)
        self._values.clear()
        self.session.close()
