"""A high-pass of second order (Butterworth), as a state-variable filter whose frequency can move while it runs.

The trapezoidal form keeps its state meaningful at any frequency, so that a change bends nothing (A. Simper, "Linear
Trapezoidal Integrated SVF", 2013).
"""

from __future__ import annotations

import math

import numpy as np
from numba import cfunc

from .. import COMPILE
from ..memory import doubles_at, floats_at, record_at
from ..ramp import RAMP, next_gain
from ..stage import HEAD_FIELDS, STEP

HIGH_PASS = np.dtype(
    [
        *HEAD_FIELDS,
        ("ramp", np.int64),  # of the frequency, in Hz
        ("first", np.int64),  # float64 [lanes]: what the integrators hold
        ("second", np.int64),
        ("frequency_hz", np.float64),  # for which the coefficient is
        ("coefficient", np.float64),
    ],
    align=True,
)

_RATE_HZ = 48_000
_DAMPING = math.sqrt(2.0)


@cfunc(STEP, **COMPILE)
def high_pass_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    record = record_at(state, HIGH_PASS)
    lanes = record.lanes
    ramp = record_at(record.ramp, RAMP)
    x = floats_at(source, (lanes, frames))
    y = floats_at(target, (lanes, frames))
    first = doubles_at(record.first, lanes)
    second = doubles_at(record.second, lanes)
    for i in range(frames):
        frequency_hz = next_gain(ramp)
        if frequency_hz != record.frequency_hz:
            record.frequency_hz = frequency_hz
            record.coefficient = math.tan(math.pi * frequency_hz / _RATE_HZ)
        g = record.coefficient
        a1 = 1.0 / (1.0 + g * (g + _DAMPING))
        for lane in range(lanes):
            v3 = x[lane, i] - second[lane]
            v1 = a1 * first[lane] + g * a1 * v3
            v2 = second[lane] + g * v1
            first[lane] = 2.0 * v1 - first[lane]
            second[lane] = 2.0 * v2 - second[lane]
            y[lane, i] = np.float32(x[lane, i] - _DAMPING * v1 - v2)
    return 0
