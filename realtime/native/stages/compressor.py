"""A compressor that feeds forward: what is louder than a threshold is made softer, by a ratio. All lanes together.

The design that D. Giannoulis, M. Massberg and J. Reiss recommend ("Digital Dynamic Range Compressor Design: A Tutorial
and Analysis", J. AES 60, 2012): level in dB, a gain computer with a soft knee, then a smooth, decoupled peak detector
on the reduction, so that attack and release are independent of each other and of how far there is to go.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cfunc, njit

from .. import COMPILE
from ..memory import floats_at, record_at
from ..ramp import RAMP, next_gain
from ..stage import HEAD_FIELDS, STEP

COMPRESSOR = np.dtype(
    [
        *HEAD_FIELDS,
        ("threshold", np.int64),  # ramp, in dB
        ("slope", np.int64),  # ramp of 1 - 1 / ratio
        ("knee", np.int64),  # ramp of its width, in dB
        ("makeup", np.int64),  # ramp, a factor
        ("average", np.float64),  # the part of a sample in the mean of squares; 1: no mean, its peaks
        ("attack", np.int64),  # ramp of the part of the way that is gone in a sample
        ("release", np.float64),
        ("mean", np.float64),
        ("held", np.float64),  # dB of reduction: falling no quicker than the release
        ("reduction", np.float64),  # the same after the attack; what is applied
    ],
    align=True,
)

#: -120 dBFS: below it there is nothing to measure, and no logarithm of zero.
_NOTHING = 1e-12

_DB_PER_OCTAVE = 10.0 * math.log10(2.0)  # of power
_NEPER_PER_DB = math.log(10.0) / 20.0


@njit(**COMPILE)
def reduction_db(level_db, threshold_db, slope, knee_db):  # type: ignore[no-untyped-def]
    """By how many dB a steady level is made softer (Giannoulis et al., equation 4)."""
    over = level_db - threshold_db
    if 2.0 * over <= -knee_db:
        return 0.0
    if 2.0 * over < knee_db:
        return slope * (over + 0.5 * knee_db) ** 2 / (2.0 * knee_db)
    return slope * over


@cfunc(STEP, **COMPILE)
def compressor_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    record = record_at(state, COMPRESSOR)
    lanes = record.lanes
    threshold = record_at(record.threshold, RAMP)
    slope = record_at(record.slope, RAMP)
    knee = record_at(record.knee, RAMP)
    makeup = record_at(record.makeup, RAMP)
    attack = record_at(record.attack, RAMP)
    x = floats_at(source, (lanes, frames))
    y = floats_at(target, (lanes, frames))
    for i in range(frames):
        peak = 0.0
        for lane in range(lanes):
            peak = max(peak, abs(float(x[lane, i])))
        record.mean += record.average * (peak * peak - record.mean)
        level_db = _DB_PER_OCTAVE * math.log2(max(record.mean, _NOTHING))
        wanted = reduction_db(level_db, next_gain(threshold), next_gain(slope), next_gain(knee))
        record.held = max(wanted, record.held + record.release * (wanted - record.held))
        record.reduction += next_gain(attack) * (record.held - record.reduction)
        factor = np.float32(next_gain(makeup) * math.exp(-_NEPER_PER_DB * record.reduction))
        for lane in range(lanes):
            y[lane, i] = factor * x[lane, i]
    return 0
