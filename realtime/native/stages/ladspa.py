"""LADSPA plugins as a stage: their ``run`` is called on the engine thread, through its pointer.

A control port that is moved a little is moved along a ramp of 40 ms, the plugin being run frame by frame meanwhile:
every coarser or quicker step was heard as a click of some plugin. Switches, whole numbers, controls that step inside
and moves over a tenth of the range click whatever is done, and ring on in what the plugin holds. For these there are
two sets of instances. The spare one, which is fresh, is given all that is wanted and runs beside the other on the same
audio until its filters and delays have filled; then it is faded over to, and the control plane makes the other fresh.
"""

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit

from .. import COMPILE
from ..memory import (
    as_pointer,
    call_ladspa_run,
    doubles_at,
    floats_at,
    ints_at,
    load_acquire,
    offset_of,
    record_at,
    store_release,
)
from ..ramp import RAMP, next_value, smooth_step
from ..stage import HEAD_FIELDS, STEP

LADSPA = np.dtype(
    [
        *HEAD_FIELDS,
        ("run", np.int64),  # void run(handle, frames)
        ("instances", np.int64),  # of a set
        ("handles", np.int64),  # [2, instances]
        ("inputs", np.int64),  # audio ports of an instance
        ("outputs", np.int64),
        ("input_lanes", np.int64),  # [instances, inputs]: which lane each is fed
        ("output_lanes", np.int64),  # [instances, outputs]: which lane each goes to
        ("shares", np.int64),  # float32 [lanes]: of an output in its lane, one over their number
        ("capacity", np.int64),
        ("sources", np.int64),  # float32 [instances, inputs, capacity]: the ports of both sets are connected to these
        ("targets", np.int64),  # float32 [instances, outputs, capacity]
        ("control_count", np.int64),
        ("controls", np.int64),  # float32 [2, control_count]: connected to the ports of all instances of a set
        ("ramps", np.int64),  # of type RAMP [control_count]
        ("leaps", np.int64),  # float64 [control_count]: a move by more is made by going over to the spare set
        ("settle_samples", np.int64),  # that the spare set runs before it is heard
        ("active", np.int64),  # the set that is heard, 0 or 1
        ("spare", np.int64),  # how the other one stands; atomic
        ("moved", np.int64),  # samples since the spare set has been run
    ],
    align=True,
)

#: How the spare set stands: the control plane's, to be made fresh; the engine thread's, fresh; run beside the other.
SPENT, FRESH, RUNNING = 0, 1, 2

_SPARE = offset_of(LADSPA, "spare")
_MOVE_SAMPLES = 1_920

#: Audio comes to a fresh set by a fade, as what rings would keep its beginning as a click.
_ENTRY_SAMPLES = 480

#: From one set to the other.
_FADE_SAMPLES = 1_440


@njit(**COMPILE)
def _leaps(ramp, leap):  # type: ignore[no-untyped-def]
    return ramp.left == 0 and abs(ramp.wanted - ramp.value) > leap


@njit(**COMPILE)
def _move_controls(state, plugin):  # type: ignore[no-untyped-def]
    """Bring controls on their way by a frame, or have the spare set run; gives whether a control is under way."""
    count = plugin.control_count
    controls = floats_at(plugin.controls, (2, count))
    ramps = carray(as_pointer(plugin.ramps), count, RAMP)
    leaps = doubles_at(plugin.leaps, count)
    leaping = False
    for k in range(count):
        leaping |= _leaps(ramps[k], leaps[k])
    leaping &= load_acquire(state + _SPARE) == FRESH
    under_way = False
    for k in range(count):
        ramp = ramps[k]
        if ramp.left > 0 or (not leaping and ramp.wanted != ramp.value and not _leaps(ramp, leaps[k])):
            controls[plugin.active, k] = np.float32(next_value(ramp, _MOVE_SAMPLES))
            under_way = True
    if leaping and not under_way:
        for k in range(count):
            ramps[k].value = ramps[k].wanted
            controls[1 - plugin.active, k] = np.float32(ramps[k].value)
        plugin.moved = 0
        plugin.spare = RUNNING
    return under_way


@njit(**COMPILE)
def _run_set(plugin, side, x, y, first, count, is_entering, is_leaving):  # type: ignore[no-untyped-def]
    """Run one set on frames of *x*, and add to *y* what is heard of it."""
    lanes = plugin.lanes
    sources = floats_at(plugin.sources, (plugin.instances, plugin.inputs, plugin.capacity))
    targets = floats_at(plugin.targets, (plugin.instances, plugin.outputs, plugin.capacity))
    handles = ints_at(plugin.handles, (2, plugin.instances))
    input_lanes = ints_at(plugin.input_lanes, (plugin.instances, plugin.inputs))
    output_lanes = ints_at(plugin.output_lanes, (plugin.instances, plugin.outputs))
    shares = floats_at(plugin.shares, lanes)
    for k in range(plugin.instances):
        for port in range(plugin.inputs):
            lane = input_lanes[k, port]
            for i in range(count):
                sources[k, port, i] = x[lane, first + i]
            if is_entering and plugin.moved < _ENTRY_SAMPLES:
                for i in range(count):
                    sources[k, port, i] *= np.float32(smooth_step(min((plugin.moved + i) / _ENTRY_SAMPLES, 1.0)))
        call_ladspa_run(plugin.run, handles[side, k], count)
        for port in range(plugin.outputs):
            lane = output_lanes[k, port]
            for i in range(count):
                part = np.float32(1.0)
                if is_entering or is_leaving:
                    done = (plugin.moved + i - plugin.settle_samples) / _FADE_SAMPLES
                    part = np.float32(smooth_step(min(max(done, 0.0), 1.0)))
                    if is_leaving:
                        part = np.float32(1.0) - part
                # What is not heard may be NaN.
                if part > 0.0:
                    y[lane, first + i] += part * shares[lane] * targets[k, port, i]


@cfunc(STEP, **COMPILE)
def ladspa_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    plugin = record_at(state, LADSPA)
    lanes = plugin.lanes
    x = floats_at(source, (lanes, frames))
    y = floats_at(target, (lanes, frames))
    first = 0
    while first < frames:
        under_way = plugin.spare != RUNNING and _move_controls(state, plugin)
        count = min(frames - first, 1 if under_way else plugin.capacity)
        for lane in range(lanes):
            for i in range(count):
                y[lane, first + i] = 0.0
        is_moving = plugin.spare == RUNNING
        _run_set(plugin, plugin.active, x, y, first, count, False, is_moving)
        if is_moving:
            _run_set(plugin, 1 - plugin.active, x, y, first, count, True, False)
            plugin.moved += count
            if plugin.moved >= plugin.settle_samples + _FADE_SAMPLES:
                plugin.active = 1 - plugin.active
                store_release(state + _SPARE, SPENT)
        first += count
    return 0
