"""A limiter that looks ahead: nothing is louder than the ceiling, and nothing is bent to get there.

The gain that a peak needs is spread over the time that it is looked ahead: the least of the gains of that time, which
returns slowly, and of that the mean over the same time. At the peak itself every part of the mean allows for it.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc

from .. import COMPILE
from ..memory import doubles_at, floats_at, record_at
from ..ramp import RAMP, next_gain
from ..stage import HEAD_FIELDS, STEP

#: 1.5 ms: gains that fall more quickly are heard as clicks.
LOOK_AHEAD_SAMPLES = 72

LOOK_AHEAD_LIMITER = np.dtype(
    [
        *HEAD_FIELDS,
        ("ramp", np.int64),  # of the ceiling
        ("delayed", np.int64),  # float32 [lanes, LOOK_AHEAD_SAMPLES]
        ("allowed", np.int64),  # float64 [LOOK_AHEAD_SAMPLES]: the gain that each sample needs
        ("held", np.int64),  # float64 [LOOK_AHEAD_SAMPLES]: the least of those, returning slowly
        ("position", np.int64),
        ("release", np.float64),  # the part of the way back that is gone in a sample
    ],
    align=True,
)


@cfunc(STEP, **COMPILE)
def limiter_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    limiter = record_at(state, LOOK_AHEAD_LIMITER)
    lanes = limiter.lanes
    ramp = record_at(limiter.ramp, RAMP)
    x = floats_at(source, (lanes, frames))
    y = floats_at(target, (lanes, frames))
    delayed = floats_at(limiter.delayed, (lanes, LOOK_AHEAD_SAMPLES))
    allowed = doubles_at(limiter.allowed, LOOK_AHEAD_SAMPLES)
    held = doubles_at(limiter.held, LOOK_AHEAD_SAMPLES)
    for i in range(frames):
        ceiling = next_gain(ramp)
        peak = 0.0
        for lane in range(lanes):
            peak = max(peak, abs(float(x[lane, i])))
        place = limiter.position
        before = held[(place - 1) % LOOK_AHEAD_SAMPLES]
        # What leaves now was the oldest; its own gain counts to the last.
        least = allowed[place]
        allowed[place] = min(ceiling / peak, 1.0) if peak > 0.0 else 1.0
        for k in range(LOOK_AHEAD_SAMPLES):
            least = min(least, allowed[k])
        held[place] = min(least, before + limiter.release * (1.0 - before))
        total = 0.0
        for k in range(LOOK_AHEAD_SAMPLES):
            total += held[k]
        factor = np.float32(total / LOOK_AHEAD_SAMPLES)
        for lane in range(lanes):
            y[lane, i] = factor * delayed[lane, place]
            delayed[lane, place] = x[lane, i]
        limiter.position = (place + 1) % LOOK_AHEAD_SAMPLES
    return 0
