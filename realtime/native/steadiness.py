"""A noise that has gone on for seconds without a voice is no voice: its high band fades, and is back before a word is.

The level of the low band, its upper end brought out by a difference, is followed to its floor. While nothing stands out
from that for some seconds, and nothing has a pitch, it is a fan, hiss or hum, and what the network adds to it goes down
slowly. What stands out brings it back within a hop, which is heard later than it is looked at: no onset is lost. Within
speech, in noise or not, no pause is so long, and no bit is changed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from . import COMPILE
from .memory import floats_at, record_at
from .ramp import smooth_step
from .ring import RING, read

STEADY = np.dtype(
    [("steady_samples", np.int64)] + [(name, np.float64) for name in ("floor_db", "gain")],
    align=True,
)
STEADY_BYTES = STEADY.itemsize

#: Pauses of speech are shorter.
STEADY_SECONDS = 2.0

_RATE_HZ = 48_000
_DB_PER_OCTAVE = 10.0 / math.log2(10.0)

#: Levels are those of so many samples: of noise in a telephone's band they differ by 0.8 dB, so that none in years
#: stands out by so much.
_LEVEL_SAMPLES = 384
_STANDS_OUT_DB = 5.0

#: The floor falls within a tenth of a second, rises by the mean of a second, and where all stands out by so much.
_FALL_SECONDS = 0.08
_RISE_SECONDS = 0.5
_RISE_DB_PER_SECOND = 10.0

#: The high band of noise goes down by so much, 20 dB a second; at the end there is none.
_FADE_PER_SECOND = math.log(10.0)
_NOTHING = 0.003

#: Below is silence, with nothing to follow.
_LEAST_DB = -120.0

#: For its pitch the low band is looked at, with a rate of 6 kHz, over 43 ms, eight times as seldom as hops come.
_STEP = 8
_PITCH_POINTS = 256
_LAGS = (12, 80)  # 500 to 75 Hz
_PITCH = 0.6
PITCH_SAMPLES = _STEP * (_PITCH_POINTS + 1)


@njit(**COMPILE)
def _has_pitch(samples, points, lane):  # type: ignore[no-untyped-def]
    """Whether ``samples[lane]`` [PITCH_SAMPLES] repeats itself; *points* is memory for it at the lower rate."""
    before = np.float32(0.0)
    for k in range(_PITCH_POINTS + 1):
        total = np.float32(0.0)
        for i in range(_STEP):
            total += samples[lane, _STEP * k + i]
        if k > 0:
            points[k - 1] = total - before
        before = total
    count = _PITCH_POINTS - _LAGS[1]
    own = 0.0
    for k in range(count):
        own += points[k] * points[k]
    for lag in range(_LAGS[0], _LAGS[1] + 1):
        product = 0.0
        other = 0.0
        for k in range(count):
            product += points[k] * points[k + lag]
            other += points[k + lag] * points[k + lag]
        if product > 0.0 and product * product > _PITCH * _PITCH * own * other:
            return True
    return False


@njit(**COMPILE)
def _level_db(samples, lane):  # type: ignore[no-untyped-def]
    """Of the newest samples, +6 dB an octave."""
    total = 0.0
    for i in range(PITCH_SAMPLES - _LEVEL_SAMPLES, PITCH_SAMPLES):
        change = samples[lane, i] - samples[lane, i - 1]
        total += change * change
    return max(_DB_PER_OCTAVE * math.log2(total / _LEVEL_SAMPLES + 1e-14), _LEAST_DB)


@njit(**COMPILE)
def quieten(network, finished):  # type: ignore[no-untyped-def]
    """Turn a finished hop of the high band down where the low band is noise alone."""
    hop = network.hop
    seconds = hop / _RATE_HZ
    samples = floats_at(network.heard, (network.lanes, PITCH_SAMPLES))
    points = floats_at(network.points, _PITCH_POINTS)
    read(record_at(network.low, RING), network.next_end - PITCH_SAMPLES, samples, PITCH_SAMPLES)
    for lane in range(network.lanes):
        steady = record_at(network.steady + STEADY_BYTES * lane, STEADY)
        level_db = _level_db(samples, lane)
        above_db = level_db - steady.floor_db
        if above_db > _STANDS_OUT_DB:
            steady.floor_db += _RISE_DB_PER_SECOND * seconds
            steady.steady_samples = 0
        else:
            steady.floor_db += above_db * seconds / (_FALL_SECONDS if above_db < 0.0 else _RISE_SECONDS)
            before = steady.steady_samples // (8 * hop)
            steady.steady_samples += hop
            if steady.steady_samples // (8 * hop) != before and _has_pitch(samples, points, lane):
                steady.steady_samples = 0
        old = steady.gain
        new = 1.0
        if steady.steady_samples > network.steady_after:
            new = old * (1.0 - _FADE_PER_SECOND * seconds)
            if new < _NOTHING:
                new = 0.0
        steady.gain = new
        if old < 1.0 or new < 1.0:
            for i in range(hop):
                finished[lane, i] *= np.float32(old + (new - old) * smooth_step(i / hop))
