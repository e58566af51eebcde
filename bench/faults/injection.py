"""Faults of the network, put in where the host calls it: a compiled stand-in for ``OrtApi.Run``.

The host's record of a network holds the address of ONNX Runtime's function and of its session. Both are replaced: the
function by :func:`faulty_run`, which takes its time, calls the real one and may spoil the result; and the session by
the address of what that needs to know. All else is the real engine.

On a freewheeling device the time it takes is the device's own, so that a run is exactly repeatable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numba import cfunc, njit, types
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine
from realtime.inference import Inference
from realtime.native import COMPILE
from realtime.native.device import BUSY_OFFSET, CAPTURED_OFFSET
from realtime.native.memory import (
    aligned_zeros,
    call_run,
    floats_at,
    load_acquire,
    offset_of,
    record_at,
    store_release,
)
from realtime.native.network import NETWORK
from realtime.native.system import now_ns, sleep_until_ns
from realtime.onnx.contract import Contract
from realtime.runner import Program, Runner

RATE_HZ = 48_000

FAULT = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "run",  # OrtApi.Run
            "session",
            "network",  # the record that was changed
            "clock",  # address of a freewheeling device's time, or 0
            "captured",  # address of the device time at which the newest block was captured
            "busy_until",  # address of the device time until which the network is at work
            "released",
            "hop_ns",  # device time that every hop takes
            "stall_at",  # position in the low band at which one hop stalls,
            "stall_ns",  # for so long; 0 again once it has
            "slow_from",  # positions between which every hop takes longer,
            "slow_to",
            "slow_ns",  # by so much
            "poison_at",  # position from which results are NaN
            "poison_hops",  # for so many hops; counts down
            "window",  # float32 [output_samples], or 0: the network's signal is its own
            "result",  # what the network gives, float32 [lanes, output_samples]
        )
    ],
    align=True,
)
_RELEASED = offset_of(FAULT, "released")
_POLL_NS = 20_000

#: What a hop takes on a freewheeling device when nothing is wrong: two to three times what was measured.
HOP_MS = 0.3

#: Level of the probe against the voice.
PROBE_GAIN = 0.5


@njit(**COMPILE)
def _take(fault, duration_ns):  # type: ignore[no-untyped-def]
    """Be at work for so long."""
    if fault.clock == 0:
        sleep_until_ns(now_ns() + duration_ns)
        return
    # Hops that waited for the one before begin when that one ends, not when the device next looks.
    begun_ns = max(load_acquire(fault.busy_until), load_acquire(fault.captured))
    until_ns = begun_ns + duration_ns
    store_release(fault.busy_until, until_ns)
    while load_acquire(fault.clock) < until_ns and load_acquire(fault.address + _RELEASED) == 0:
        sleep_until_ns(now_ns() + _POLL_NS)


@njit(**COMPILE)
def _probe(fault, network):  # type: ignore[no-untyped-def]
    """In the place of the network's signal: the voice itself, as late as the network is, at half its level."""
    window = floats_at(fault.window, network.output_samples)
    result = floats_at(fault.result, (network.lanes, network.output_samples))
    chunk = floats_at(network.chunk, (network.lanes, network.input_samples))
    first = network.input_samples - network.latency
    for lane in range(network.lanes):
        for i in range(network.output_samples):
            result[lane, i] = window[i] * chunk[lane, first + i]


@cfunc(types.int64(*[types.int64] * 8), **COMPILE)
def faulty_run(address, options, names_in, inputs, count_in, names_out, count_out, outputs):  # type: ignore[no-untyped-def]
    """``OrtApi.Run`` as it should not be. *address* is that of a :data:`FAULT`."""
    fault = record_at(address, FAULT)
    network = record_at(fault.network, NETWORK)
    position = network.next_end
    duration_ns = fault.hop_ns
    if fault.slow_from <= position < fault.slow_to:
        duration_ns += fault.slow_ns
    if fault.stall_ns > 0 and position >= fault.stall_at:
        duration_ns += fault.stall_ns
        fault.stall_ns = 0
    if duration_ns > 0:
        _take(fault, duration_ns)
    status = call_run(fault.run, fault.session, options, names_in, inputs, count_in, names_out, count_out, outputs)
    if status != 0:
        return status
    if fault.window != 0:
        _probe(fault, network)
    if fault.poison_hops > 0 and position >= fault.poison_at:
        fault.poison_hops -= 1
        result = floats_at(fault.result, (network.lanes, network.output_samples))
        for lane in range(network.lanes):
            for i in range(network.output_samples):
                result[lane, i] = np.nan
    return 0


def _window(contract: Contract) -> NDArray[np.float32]:
    """What chunks of the probe are faded by, so that the sum of those that overlap is :data:`PROBE_GAIN`."""
    assert contract.output_samples <= contract.latency_samples
    overlap = contract.output_samples - contract.hop_samples
    rise = np.sin(0.5 * np.pi * (np.arange(overlap) + 0.5) / overlap) ** 2
    flat = np.ones(contract.output_samples - 2 * overlap)
    return (PROBE_GAIN * np.concatenate([rise, flat, rise[::-1]])).astype(np.float32)


class _Spoilt:
    """What one network's record was changed to, kept for as long as the network."""

    def __init__(self, inference: Inference, *, probe: bool) -> None:
        network = inference.record
        self.memory = aligned_zeros(1, FAULT)
        self.record = record = self.memory[0]
        record["address"] = self.memory.ctypes.data
        record["run"] = network["run"]
        record["session"] = network["session"]
        record["network"] = inference.address
        record["result"] = inference.output.ctypes.data
        if probe:
            self.window = _window(inference.contract)
            record["window"] = self.window.ctypes.data
        network["session"] = record["address"]
        network["run"] = faulty_run.address


class Injection:
    """The faults of an engine's networks, also of those that it loads later; they meet the one in use.

    Positions are in seconds of the low band; each may be set while it runs.
    """

    def __init__(self, engine: Engine, device: SimulatedDevice, *, probe: bool = False) -> None:
        assert engine.inference is not None, "faults of a network need a network"
        self._engine = engine
        self._probe = probe
        self._device = device
        self._away = False
        self._spoilt: WeakKeyDictionary[Inference, _Spoilt] = WeakKeyDictionary()
        for runner in engine.models.loaded:
            self._spoil(runner)
        self._load = engine.models.load
        engine.models.load = self._load_spoilt

    def _load_spoilt(self, program: Program) -> Runner:
        runner = self._load(program)
        self._spoil(runner)
        return runner

    def _spoil(self, inference: Runner) -> None:
        assert isinstance(inference, Inference), "a chain has no network of its own to put faults in"
        spoilt = self._spoilt[inference] = _Spoilt(inference, probe=self._probe)
        self._set_clock(spoilt.record)

    def _set_clock(self, record: Any) -> None:
        device = self._device
        record["released"] = int(self._away)
        if device.record["freewheel"]:
            record["clock"] = device.clock_address
            record["captured"] = device.address + CAPTURED_OFFSET
            record["busy_until"] = device.address + BUSY_OFFSET
            record["hop_ns"] = int(1e6 * HOP_MS)

    @property
    def record(self) -> Any:
        """Of the network in use: a :data:`FAULT`."""
        assert isinstance(self._engine.inference, Inference)
        return self._spoilt[self._engine.inference].record

    def stall(self, seconds: float, at_s: float = 0.0) -> None:
        """One hop takes *seconds* longer: the engine's thread stalls."""
        self.record["stall_at"] = round(at_s * RATE_HZ)
        self.record["stall_ns"] = int(1e9 * seconds)

    def slow_down(self, by_s: float, from_s: float, to_s: float) -> None:
        """Every hop takes longer by *by_s* from one position to another."""
        self.record["slow_ns"] = int(1e9 * by_s)
        self.record["slow_to"] = round(to_s * RATE_HZ)
        self.record["slow_from"] = round(from_s * RATE_HZ)

    def poison(self, hops: int, at_s: float = 0.0) -> None:
        """The next *hops* results are NaN."""
        self.record["poison_at"] = round(at_s * RATE_HZ)
        self.record["poison_hops"] = hops

    def leave(self) -> None:
        """The device is away, and its time stands still: hops wait for it no more."""
        self._away = True
        for spoilt in self._spoilt.values():
            spoilt.record["released"] = 1

    def close(self) -> None:
        """Be out of the way of an engine that is to stop."""
        self.leave()
        self._engine.models.load = self._load

    def follow(self, device: SimulatedDevice) -> None:
        """Take the time from *device*, which has come in the place of the one that is away. No callback runs yet."""
        self._device = device
        self._away = False
        for spoilt in self._spoilt.values():
            self._set_clock(spoilt.record)


@contextmanager
def injected(engine: Engine, device: SimulatedDevice, *, probe: bool = False) -> Iterator[Injection]:
    """An :class:`Injection` that is out of the way when the engine is stopped. *probe*: see :func:`_probe`."""
    injection = Injection(engine, device, probe=probe)
    try:
        yield injection
    finally:
        injection.close()
