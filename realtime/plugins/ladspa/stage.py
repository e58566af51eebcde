"""A LADSPA plugin as a stage of a chain."""

from __future__ import annotations

import ctypes
import math
from contextlib import suppress

import numpy as np

from ...errors import FullbandError
from ...latency import StageTiming
from ...native.memory import aligned_zeros
from ...native.ramp import RAMP
from ...native.stages.ladspa import FRESH, LADSPA, SPENT, ladspa_step
from ...onnx.contract import RATE_HZ
from ..parameter import Parameter
from ..stage import Stage, settle
from .descriptor import Facts, Port, descriptors, file_name, is_latency, key_of, label_of, unit_of
from .instances import InstanceSet
from .quirks import steps

#: Frames that a plugin is run on at a time.
_CAPACITY = 960

#: How long instances with other values run before they are heard, beside their latency: filters and short delays fill.
_SETTLE_MS = 100.0

#: A move by more than this part of the range is one to other instances; a hand on a slider moves by less at a time.
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


def leap_of(facts: Facts, parameter: Parameter) -> float:
    """By how much a parameter may be moved while the plugin is heard."""
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
        self._shown = facts.numbers(is_audio=False, is_input=False)
        self._places = {parameter.name: k for k, parameter in enumerate(self.parameters)}
        self._latency_samples: int | None = None
        self._sets = self._make_sets()
        self._sets[0].renew()

    def _make_sets(self) -> list[InstanceSet]:
        """The two sets, without instances yet, and all that the engine thread has to know of them."""
        facts, record = self.facts, self.record
        descriptor = next(d for d in descriptors(facts.path) if label_of(d) == facts.label)
        inputs = len(facts.numbers(is_audio=True, is_input=True))
        outputs = len(facts.numbers(is_audio=True, is_input=False))
        fed, given = wiring(inputs, outputs, self.lanes)
        count, controls = len(fed), max(len(self.parameters), 1)
        handles = self._new((2, count), np.int64)
        sources = self._new((count, inputs, _CAPACITY), np.float32)
        targets = self._new((count, outputs, _CAPACITY), np.float32)
        self._controls = self._new((2, controls), np.float32)
        self._meters = self._new((2, count, max(len(self._shown), 1)), np.float32)
        self._ramps = self._new(controls, RAMP)
        leaps = self._new(controls, np.float64)
        leaps[: len(self.parameters)] = [leap_of(facts, parameter) for parameter in self.parameters]
        shares = self._new(self.lanes, np.float32)
        shares[:] = 1.0 / np.bincount(np.ravel(given), minlength=self.lanes)
        memory = {"handles": handles, "sources": sources, "targets": targets, "controls": self._controls}
        memory |= {"ramps": self._ramps, "leaps": leaps, "shares": shares}
        for name, table in {"input_lanes": fed, "output_lanes": given}.items():
            memory[name] = self._new((count, len(table[0])), np.int64)
            memory[name][:] = table
        for name, array in memory.items():
            record[name] = array.ctypes.data
        record["run"] = ctypes.cast(descriptor.run, ctypes.c_void_p).value or 0
        record["instances"], record["inputs"], record["outputs"] = count, inputs, outputs
        record["capacity"], record["control_count"] = _CAPACITY, len(self.parameters)
        return [
            InstanceSet(descriptor, facts, handles[side], sources, targets, self._controls[side], self._meters[side])
            for side in range(2)
        ]

    @property
    def _active(self) -> int:
        """Which set is heard."""
        return int(self.record["active"])

    @property
    def timing(self) -> StageTiming:
        """With the latency that the plugin's port tells after a run with the values that are set."""
        if self._latency_samples is None:
            for name, value in self.values.items():
                self._apply(name, value)
            self.restart()
            self._sets[0].run(64)
            self._latency_samples = self.told_latency_samples
        return StageTiming(self._latency_samples, 0)

    @property
    def told_latency_samples(self) -> int:
        """What its latency port shows now; 0 without one."""
        for place, number in enumerate(self._shown):
            if is_latency(self.facts.ports[number]):
                told = float(self._meters[self._active, 0, place])
                return round(told) if 0.0 <= told <= _LONGEST_LATENCY_SAMPLES else 0
        return 0

    def bind(self, frames: int, latency_samples: int) -> None:
        super().bind(frames, latency_samples)
        self.record["settle_samples"] = round(1e-3 * _SETTLE_MS * RATE_HZ) + latency_samples

    def _apply(self, name: str, value: float) -> None:
        self.tend()
        self._ramps["wanted"][self._places[name]] = value

    def tend(self) -> None:
        """Make the spare set fresh where it was left by a move, for the next one."""
        if self.record["spare"] == SPENT:
            spare = 1 - self._active
            self._controls[spare] = self._ramps["wanted"]
            # Without it the stage goes on as it is, and this is tried again.
            with suppress(FullbandError):
                self._sets[spare].renew()
                self.record["spare"] = FRESH

    def restart(self) -> None:
        """Forget all audio, with the controls as they are wanted. Only while no thread runs it."""
        settle(self._ramps)
        self.record["active"] = 0
        self.record["spare"] = SPENT
        self._controls[0] = self._ramps["value"]
        self._sets[0].renew()
        self.tend()

    def reset(self) -> None:
        super().reset()
        self.restart()

    def meters(self) -> dict[str, float]:
        told = self._meters[self._active, 0]
        shown = {key_of(self.facts.ports[n].name): float(told[k]) for k, n in enumerate(self._shown)}
        return {name: value for name, value in shown.items() if math.isfinite(value)}

    def close(self) -> None:
        for one in self._sets:
            one.close()
