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

import numpy as np
from numba import cfunc, njit, types

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


class Injection:
    """The faults of one network. Positions in seconds of the low band; each may be set while it runs."""

    def __init__(self, engine: Engine, device: SimulatedDevice, *, probe: bool = False) -> None:
        inference = engine.inference
        assert isinstance(inference, Inference), "faults of a network need a network"
        self._network = inference.record
        self._record = aligned_zeros(1, FAULT)
        self.record = record = self._record[0]
        self._kept: list[Any] = [inference, device]
        record["address"] = self._record.ctypes.data
        record["run"] = self._network["run"]
        record["session"] = self._network["session"]
        record["network"] = inference.address
        record["result"] = inference.output.ctypes.data
        if device.record["freewheel"]:
            record["clock"] = device.clock_address
            record["captured"] = device.address + CAPTURED_OFFSET
            record["busy_until"] = device.address + BUSY_OFFSET
            record["hop_ns"] = int(1e6 * HOP_MS)
        if probe:
            contract = inference.contract
            assert contract.output_samples == 2 * contract.hop_samples <= contract.latency_samples
            phase = np.pi * (np.arange(contract.output_samples) + 0.5) / contract.output_samples
            window = (PROBE_GAIN * np.sin(phase) ** 2).astype(np.float32)
            self._kept.append(window)
            record["window"] = window.ctypes.data
        self._network["session"] = record["address"]
        self._network["run"] = faulty_run.address

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

    def release(self) -> None:
        """Let go of a hop that waits for the time of a device that has ended."""
        self.record["released"] = 1


@contextmanager
def injected(engine: Engine, device: SimulatedDevice, *, probe: bool = False) -> Iterator[Injection]:
    """An :class:`Injection` that is out of the way when the engine is stopped. *probe*: see :func:`_probe`."""
    injection = Injection(engine, device, probe=probe)
    try:
        yield injection
    finally:
        injection.release()
