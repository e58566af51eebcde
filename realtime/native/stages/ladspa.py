"""LADSPA plugins as a stage: their ``run`` is called on the engine thread, through its pointer.

A control port that is moved a little is moved along a ramp of 40 ms, the plugin being run frame by frame meanwhile:
every coarser or quicker step was heard as a click of some plugin. Switches, whole numbers and moves over a tenth of the
range, at which some plugins click whatever is done, are made while the stage is out of earshot, which it asks for.
"""

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit

from .. import COMPILE
from ..memory import as_pointer, call_ladspa_run, doubles_at, floats_at, ints_at, record_at
from ..ramp import RAMP, next_value
from ..stage import HEAD_FIELDS, QUIET, STEP

LADSPA = np.dtype(
    [
        *HEAD_FIELDS,
        ("run", np.int64),  # void run(handle, frames)
        ("instances", np.int64),
        ("handles", np.int64),  # [instances]
        ("inputs", np.int64),  # audio ports of an instance
        ("outputs", np.int64),
        ("input_lanes", np.int64),  # [instances, inputs]: which lane each is fed
        ("output_lanes", np.int64),  # [instances, outputs]: which lane each goes to
        ("shares", np.int64),  # float32 [lanes]: of an output in its lane, one over their number
        ("capacity", np.int64),
        ("sources", np.int64),  # float32 [instances, inputs, capacity]: the ports are connected to these
        ("targets", np.int64),  # float32 [instances, outputs, capacity]
        ("control_count", np.int64),
        ("controls", np.int64),  # float32 [control_count]: connected to the ports of all instances
        ("ramps", np.int64),  # of type RAMP [control_count]
        ("leaps", np.int64),  # float64 [control_count]: a move by more is made out of earshot
        ("settle_samples", np.int64),  # that a plugin is out of earshot after a jump
        ("settle_left", np.int64),
    ],
    align=True,
)

_MOVE_SAMPLES = 1_920


@njit(**COMPILE)
def _move_controls(plugin, unheard):  # type: ignore[no-untyped-def]
    """Bring controls on their way; gives 1 where some are under way, and 2 where some wait to jump."""
    controls = floats_at(plugin.controls, plugin.control_count)
    ramps = carray(as_pointer(plugin.ramps), plugin.control_count, RAMP)
    leaps = doubles_at(plugin.leaps, plugin.control_count)
    found = 0
    for k in range(plugin.control_count):
        ramp = ramps[k]
        if unheard and ramp.value != ramp.wanted:
            ramp.value = ramp.wanted
            ramp.left = 0
            controls[k] = np.float32(ramp.value)
            plugin.settle_left = plugin.settle_samples
        elif ramp.left == 0 and abs(ramp.wanted - ramp.value) > leaps[k]:
            found |= 2
        elif ramp.left > 0 or ramp.wanted != ramp.value:
            controls[k] = np.float32(next_value(ramp, _MOVE_SAMPLES))
            found |= 1
    return found


@cfunc(STEP, **COMPILE)
def ladspa_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    plugin = record_at(state, LADSPA)
    lanes = plugin.lanes
    x = floats_at(source, (lanes, frames))
    y = floats_at(target, (lanes, frames))
    shape_in = (plugin.instances, plugin.inputs, plugin.capacity)
    shape_out = (plugin.instances, plugin.outputs, plugin.capacity)
    sources = floats_at(plugin.sources, shape_in)
    targets = floats_at(plugin.targets, shape_out)
    handles = ints_at(plugin.handles, plugin.instances)
    input_lanes = ints_at(plugin.input_lanes, (plugin.instances, plugin.inputs))
    output_lanes = ints_at(plugin.output_lanes, (plugin.instances, plugin.outputs))
    shares = floats_at(plugin.shares, lanes)
    waiting = 0
    first = 0
    while first < frames:
        found = _move_controls(plugin, plugin.unheard != 0)
        waiting |= found & 2
        count = min(frames - first, 1 if found & 1 else plugin.capacity)
        for lane in range(lanes):
            for i in range(count):
                y[lane, first + i] = 0.0
        for k in range(plugin.instances):
            for port in range(plugin.inputs):
                lane = input_lanes[k, port]
                for i in range(count):
                    sources[k, port, i] = x[lane, first + i]
            call_ladspa_run(plugin.run, handles[k], count)
            for port in range(plugin.outputs):
                lane = output_lanes[k, port]
                for i in range(count):
                    y[lane, first + i] += shares[lane] * targets[k, port, i]
        first += count
    status = QUIET if waiting != 0 or plugin.settle_left > 0 else 0
    plugin.settle_left = max(plugin.settle_left - frames, 0)
    return status
