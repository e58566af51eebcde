"""A noise gate: what stays below a threshold is made softer. All lanes open and close together."""

from __future__ import annotations

import math

import numpy as np
from numba import cfunc

from .. import COMPILE
from ..memory import floats_at, record_at
from ..stage import HEAD_FIELDS, STEP

NOISE_GATE = np.dtype(
    [
        *HEAD_FIELDS,
        ("hold_samples", np.int64),
        ("hold_left", np.int64),
        ("threshold", np.float64),
        ("floor", np.float64),  # gain while closed
        ("attack", np.float64),  # the part of the way that is gone in a sample,
        ("release", np.float64),  # opening and closing
        ("peak", np.float64),
        ("target", np.float64),
        ("gain", np.float64),
    ],
    align=True,
)

#: What has opened a gate may fall to half of that before it closes again.
_HYSTERESIS = 0.5

#: Peaks are held through the lowest notes of a voice: down by 20 dB in 50 ms.
_PEAK_FALL = math.exp(-math.log(10.0) / (0.05 * 48_000))


@cfunc(STEP, **COMPILE)
def noise_gate_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    gate = record_at(state, NOISE_GATE)
    lanes = gate.lanes
    x = floats_at(source, (lanes, frames))
    y = floats_at(target, (lanes, frames))
    for i in range(frames):
        peak = 0.0
        for lane in range(lanes):
            peak = max(peak, abs(float(x[lane, i])))
        gate.peak = max(peak, gate.peak * _PEAK_FALL)
        is_open = gate.hold_left > 0
        if gate.peak > gate.threshold * (_HYSTERESIS if is_open else 1.0):
            gate.hold_left = max(gate.hold_samples, 1)
        elif is_open:
            gate.hold_left -= 1
        wanted = 1.0 if gate.hold_left > 0 else gate.floor
        # Two in a row: a gain that begins to move without a bend. One that was falling has its target below it.
        speed = gate.release
        if wanted > gate.gain:
            speed = gate.attack
            gate.target = max(gate.target, gate.gain)
        gate.target += speed * (wanted - gate.target)
        gate.gain += speed * (gate.target - gate.gain)
        factor = np.float32(gate.gain)
        for lane in range(lanes):
            y[lane, i] = factor * x[lane, i]
    return 0
