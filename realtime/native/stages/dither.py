"""Rounding to a number of bits, with noise of triangular density, so that what is lost is hiss and not distortion.

Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither: a theoretical survey", J. AES 40, 1992. The noise is
the same in every run.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc, njit

from .. import COMPILE
from ..memory import floats_at, record_at
from ..ramp import RAMP, next_gain
from ..stage import HEAD_FIELDS, STEP

DITHER = np.dtype([*HEAD_FIELDS, ("ramp", np.int64), ("seed", np.int64)], align=True)

#: A linear congruential generator (D. Knuth's MMIX); its upper bits are as random as dither needs.
_FACTOR = np.int64(6364136223846793005)
_TERM = np.int64(1442695040888963407)


@njit(**COMPILE)
def _uniform(dither):  # type: ignore[no-untyped-def]
    """The next number between 0 and 1."""
    dither.seed = dither.seed * _FACTOR + _TERM
    return ((dither.seed >> 33) & 0x7FFFFFFF) / 2147483648.0


@cfunc(STEP, **COMPILE)
def dither_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    dither = record_at(state, DITHER)
    ramp = record_at(dither.ramp, RAMP)
    x = floats_at(source, (dither.lanes, frames))
    y = floats_at(target, (dither.lanes, frames))
    for i in range(frames):
        step = next_gain(ramp)
        for lane in range(dither.lanes):
            noise = _uniform(dither) + _uniform(dither) - 0.5  # with the half that makes flooring rounding
            y[lane, i] = np.float32(step * np.floor(x[lane, i] / step + noise))
    return 0
