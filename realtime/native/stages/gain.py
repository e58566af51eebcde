"""Louder or softer."""

from __future__ import annotations

import numpy as np
from numba import cfunc

from .. import COMPILE
from ..memory import floats_at, record_at
from ..ramp import RAMP, next_gain
from ..stage import HEAD_FIELDS, STEP

GAIN = np.dtype([*HEAD_FIELDS, ("ramp", np.int64)], align=True)


@cfunc(STEP, **COMPILE)
def gain_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    gain = record_at(state, GAIN)
    ramp = record_at(gain.ramp, RAMP)
    x = floats_at(source, (gain.lanes, frames))
    y = floats_at(target, (gain.lanes, frames))
    for i in range(frames):
        factor = np.float32(next_gain(ramp))
        for lane in range(gain.lanes):
            y[lane, i] = factor * x[lane, i]
    return 0
