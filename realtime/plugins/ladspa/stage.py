"""A LADSPA plugin as a stage of a chain."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from ...errors import FullbandError
from ...latency import StageTiming
from ...native.memory import aligned_zeros
from ...native.ramp import RAMP
from ...native.stages.ladspa import LADSPA, ladspa_step
from ...onnx.contract import RATE_HZ
from ..parameter import Parameter
from ..stage import Stage, settle
from .descriptor import Descriptor, Facts, Port, descriptors, file_name, is_latency, key_of, label_of, unit_of
from .quirks import steps

#: Frames that a plugin is run on at a time.
_CAPACITY = 960

#: What a plugin is out of earshot for after a switch was thrown, beside its own latency.
_SETTLE_MS = 20.0

#: A move by more than this part of the range is made out of earshot; a hand on a slider moves by less at a time.
_LEAP = 0.1

#: A plugin that says so is out of its mind.
_LONGEST_LATENCY_SAMPLES = RATE_HZ


def parameters_of(facts: Facts) -> tuple[Parameter, ...]:
    """The control inputs of a plugin as parameters, in the order of its ports."""
    found: list[Parameter] = []
    for number in facts.numbers(is_audio=False, is_input=True):
        port = facts.ports[number]
        key = key_of(port.name)
        taken = [parameter.name for parameter in found]
        if key in (*taken, *RESERVED):
            key = next(f"{key}_{k}" for k in range(2, 1000) if f"{key}_{k}" not in taken)
        found.append(_parameter(port, key))
    return tuple(found)


#: Keys of a stage in TOML that are not its plugin's.
RESERVED = ("plugin", "name", "bypass", "model", "include")


def _parameter(port: Port, key: str) -> Parameter:
    low = -math.inf if port.lower is None else port.lower
    high = math.inf if port.upper is None else port.upper
    if port.integer and not port.toggled:
        # Some bounds of whole numbers are none themselves.
        low = float(math.ceil(low)) if math.isfinite(low) else low
        high = float(math.floor(high)) if math.isfinite(high) else high
    return Parameter(
        key,
        unit_of(port.name),
        low,
        high,
        port.default,
        port.name,
        "switch" if port.toggled else "integer" if port.integer else "float",
        port.logarithmic,
    )


def unsuited(facts: Facts) -> str | None:
    """Why a plugin cannot be a stage, None where it can."""
    inputs = len(facts.numbers(is_audio=True, is_input=True))
    outputs = len(facts.numbers(is_audio=True, is_input=False))
    if inputs == 0:
        return "it takes no audio"
    if outputs == 0:
        return "it gives no audio"
    if inputs > 2 or outputs > 2:
        return f"it has {inputs} audio inputs and {outputs} outputs; a stage has one or two of each"
    return None


def wiring(inputs: int, outputs: int, lanes: int) -> tuple[list[list[int]], list[list[int]]]:
    """For each instance, which lane each of its inputs is fed and which lane each of its outputs goes to.

    A plugin with one input has an instance for each lane. One with two takes lanes in pairs; a lane without a partner
    is fed to both.
    """
    fed, given = [], []
    if inputs == 1:
        for lane in range(lanes):
            fed.append([lane])
            given.append([lane] * outputs)
        return fed, given
    for left in range(0, lanes, 2):
        right = min(left + 1, lanes - 1)
        for target in [[left, right]] if outputs == 2 else [[lane] for lane in range(left, right + 1)]:
            fed.append([left, right])
            given.append(target)
    return fed, given


def _leap(facts: Facts, parameter: Parameter) -> float:
    """By how much a parameter may be moved within earshot."""
    if parameter.kind != "float" or steps(facts, parameter.name):
        return 0.0
    span = parameter.high - parameter.low
    return _LEAP * (span if math.isfinite(span) else max(abs(parameter.default), 1.0))


class LadspaStage(Stage):
    """The plugin of *facts*, which the probe has found to be sound. See :mod:`realtime.native.stages.ladspa`.

    Control ports are parameters, meters what it shows. A latency that changes while it runs is not followed.
    """

    kind = "ladspa"
    step = ladspa_step.address

    def __init__(self, lanes: int, facts: Facts) -> None:
        reason = unsuited(facts)
        if reason is not None:
            raise FullbandError(f"the LADSPA plugin {file_name(facts.path)}:{facts.label} cannot be a stage: {reason}")
        self.facts = facts
        self.parameters = parameters_of(facts)
        self.summary = facts.name
        super().__init__(lanes, aligned_zeros(1, LADSPA))
        self._descriptor: Descriptor = next(d for d in descriptors(facts.path) if label_of(d) == facts.label)
        self._numbers = facts.numbers(is_audio=False, is_input=True)
        self._shown = facts.numbers(is_audio=False, is_input=False)
        self._places = {parameter.name: k for k, parameter in enumerate(self.parameters)}
        self._latency_samples: int | None = None
        self._active = False
        self._handles: list[int] = []
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        ins = self.facts.numbers(is_audio=True, is_input=True)
        outs = self.facts.numbers(is_audio=True, is_input=False)
        fed, given = wiring(len(ins), len(outs), self.lanes)
        count, controls = len(fed), max(len(self._numbers), 1)
        descriptor, record = self._descriptor, self.record
        self._controls = self._new(controls, np.float32)
        self._meters = self._new((count, max(len(self._shown), 1)), np.float32)
        self._sources = self._new((count, len(ins), _CAPACITY), np.float32)
        self._targets = self._new((count, len(outs), _CAPACITY), np.float32)
        self._ramps = self._new(controls, RAMP)
        leaps = self._new(controls, np.float64)
        leaps[: len(self.parameters)] = [_leap(self.facts, parameter) for parameter in self.parameters]
        shares = self._new(self.lanes, np.float32)
        shares[:] = 1.0 / np.bincount(np.ravel(given), minlength=self.lanes)
        tables = {"input_lanes": fed, "output_lanes": given}
        for name, table in tables.items():
            memory = self._new((count, len(table[0])), np.int64)
            memory[:] = table
            record[name] = memory.ctypes.data
        for _ in range(count):
            handle = descriptor.instantiate(ctypes.addressof(descriptor), RATE_HZ)
            if not handle:
                raise FullbandError(f"the LADSPA plugin {self.facts.label} could not be made at {RATE_HZ} Hz")
            self._handles.append(int(handle))
        handles = self._new(count, np.int64)
        handles[:] = self._handles
        for k, handle in enumerate(self._handles):
            for place, number in enumerate(ins):
                descriptor.connect_port(handle, number, self._sources[k, place].ctypes.data)
            for place, number in enumerate(outs):
                descriptor.connect_port(handle, number, self._targets[k, place].ctypes.data)
            for place, number in enumerate(self._numbers):
                descriptor.connect_port(handle, number, self._controls.ctypes.data + 4 * place)
            for place, number in enumerate(self._shown):
                descriptor.connect_port(handle, number, self._meters[k].ctypes.data + 4 * place)
        record["run"] = ctypes.cast(descriptor.run, ctypes.c_void_p).value or 0
        record["instances"], record["inputs"], record["outputs"] = count, len(ins), len(outs)
        record["capacity"], record["control_count"] = _CAPACITY, len(self._numbers)
        record["handles"], record["leaps"], record["shares"] = (m.ctypes.data for m in (handles, leaps, shares))
        record["sources"], record["targets"] = self._sources.ctypes.data, self._targets.ctypes.data
        record["controls"], record["ramps"] = self._controls.ctypes.data, self._ramps.ctypes.data

    def _call(self, name: str) -> None:
        function: Any = getattr(self._descriptor, name)
        if function:
            for handle in self._handles:
                function(handle)

    @property
    def timing(self) -> StageTiming:
        """With the latency that the plugin's port tells after a run with the values that are set."""
        if self._latency_samples is None:
            for name, value in self.values.items():
                self._apply(name, value)
            self.restart()
            for handle in self._handles:
                self._descriptor.run(handle, 64)
            self._latency_samples = self.told_latency_samples
        return StageTiming(self._latency_samples, 0)

    @property
    def told_latency_samples(self) -> int:
        """What its latency port shows now; 0 without one."""
        for place, number in enumerate(self._shown):
            if is_latency(self.facts.ports[number]):
                told = float(self._meters[0, place])
                return round(told) if 0.0 <= told <= _LONGEST_LATENCY_SAMPLES else 0
        return 0

    def bind(self, frames: int, latency_samples: int) -> None:
        super().bind(frames, latency_samples)
        self.record["settle_samples"] = round(1e-3 * _SETTLE_MS * RATE_HZ) + latency_samples

    def _apply(self, name: str, value: float) -> None:
        self._ramps["wanted"][self._places[name]] = value

    def restart(self) -> None:
        """Forget all audio, with the controls as they are wanted. Only while no thread runs it."""
        settle(self._ramps)
        self._controls[:] = self._ramps["value"]
        self.record["settle_left"] = 0
        if self._active:
            self._call("deactivate")
        self._call("activate")
        self._active = True

    def reset(self) -> None:
        super().reset()
        self.restart()

    def meters(self) -> dict[str, float]:
        shown = {key_of(self.facts.ports[n].name): float(self._meters[0, k]) for k, n in enumerate(self._shown)}
        return {name: value for name, value in shown.items() if math.isfinite(value)}

    def close(self) -> None:
        if self._active:
            self._call("deactivate")
            self._active = False
        self._call("cleanup")
        self._handles = []
