"""Noise alone is not extended: the high band is there from the first sound of a voice until seconds after its last.

The level of the low band, its upper end brought out by a difference, is followed to its floor. What stands out from
that or has a pitch opens the high band within a hop, which is heard later than it is looked at: no onset is lost. Where
nothing does for some seconds, it is a fan, hiss or hum, and what the network adds to it goes down slowly. Within
speech, in noise or not, no pause is so long, and no bit is changed.

A stream begins closed, and what begins after digital silence is nothing but a new floor: a noise that is switched on
stays as level as it began and has no pitch; a word goes on rising, or has one.
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
    [
        ("steady_samples", np.int64),  # since a voice was last heard
        ("sound_samples", np.int64),  # since digital silence
        ("voiced", np.int64),  # 1: there was a pitch since the high band was last gone or going
        ("floor_db", np.float64),
        ("gain", np.float64),
    ],
    align=True,
)
STEADY_BYTES = STEADY.itemsize

#: Pauses of speech are shorter.
STEADY_SECONDS = 2.0

#: Steady for ever, and still less than any limit that stands for never.
LONG_STEADY_SAMPLES = 1 << 50

_RATE_HZ = 48_000
_DB_PER_OCTAVE = 10.0 / math.log2(10.0)

#: Levels are those of so many samples: of noise in a telephone's band they differ by 0.8 dB, so that none in years
#: stands out by so much.
_LEVEL_SAMPLES = 384
_STANDS_OUT_DB = 5.0

#: What stood out without a pitch, as a key or a door does, says less: a word follows with one, or nothing does.
_GRACE_SAMPLES = round(0.3 * _RATE_HZ)

#: The floor falls within a tenth of a second, rises by the mean of a second, and at once to what stands out.
_FALL_SECONDS = 0.08
_RISE_SECONDS = 0.5

#: The high band of noise goes down by so much, 20 dB a second; at the end there is none.
_FADE_PER_SECOND = math.log(10.0)
_NOTHING = 0.003

#: Digital silence, whose floor says nothing of what comes. That is taken for a floor once a level holds nothing else,
#: and the ringing of filters before it is over.
_SILENCE_DB = -100.0
_FLOOR_SAMPLES = 384

#: For its pitch the low band is looked at, with a rate of 6 kHz, over 43 ms, eight times as seldom as hops come; while
#: nothing is added, at every hop at which a voice may have begun: it is somewhat louder, or new.
_STEP = 8
_PITCH_POINTS = 256
_LAGS = (12, 80)  # 500 to 75 Hz
_PITCH = 0.6
PITCH_SAMPLES = _STEP * (_PITCH_POINTS + 1)
_LOOK_HOPS = 8
_LOUDER_DB = 3.0
_NEW_SAMPLES = round(0.1 * _RATE_HZ)

#: Of less sound than this, longer than the longest lag, too few points are compared: even noise is like itself in some.
_PITCHED_SAMPLES = round(0.022 * _RATE_HZ)


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
def _decibels(power):  # type: ignore[no-untyped-def]
    return _DB_PER_OCTAVE * math.log2(power + 1e-14)


@njit(**COMPILE)
def _levels_db(samples, lane):  # type: ignore[no-untyped-def]
    """Of the newest samples and of the older half of them, +6 dB an octave."""
    middle = PITCH_SAMPLES - _LEVEL_SAMPLES // 2
    older = 0.0
    for i in range(PITCH_SAMPLES - _LEVEL_SAMPLES, middle):
        change = samples[lane, i] - samples[lane, i - 1]
        older += change * change
    newer = 0.0
    for i in range(middle, PITCH_SAMPLES):
        change = samples[lane, i] - samples[lane, i - 1]
        newer += change * change
    return _decibels((older + newer) / _LEVEL_SAMPLES), _decibels(2.0 * older / _LEVEL_SAMPLES)


@njit(**COMPILE)
def _follow(steady, level_db, hop, limit):  # type: ignore[no-untyped-def]
    """Follow the floor by a hop's level, and hear what stands out from it; gives whether a pitch may have begun."""
    steady.steady_samples += hop
    steady.sound_samples += hop
    if steady.sound_samples <= _FLOOR_SAMPLES:
        steady.floor_db = max(steady.floor_db, level_db)
        return False
    above_db = level_db - steady.floor_db
    if above_db > _STANDS_OUT_DB:
        steady.floor_db = level_db
        most = 0 if steady.voiced else limit - _GRACE_SAMPLES
        steady.steady_samples = min(steady.steady_samples, most)
    else:
        seconds = hop / _RATE_HZ
        steady.floor_db += above_db * seconds / (_FALL_SECONDS if above_db < 0.0 else _RISE_SECONDS)
    return steady.steady_samples > limit and (above_db > _LOUDER_DB or steady.sound_samples < _NEW_SAMPLES)


@njit(**COMPILE)
def quieten(network, finished):  # type: ignore[no-untyped-def]
    """Turn a finished hop of the high band down where the low band is noise alone."""
    hop = network.hop
    limit = network.steady_after
    samples = floats_at(network.heard, (network.lanes, PITCH_SAMPLES))
    points = floats_at(network.points, _PITCH_POINTS)
    read(record_at(network.low, RING), network.next_end - PITCH_SAMPLES, samples, PITCH_SAMPLES)
    number = network.next_end // hop
    for lane in range(network.lanes):
        steady = record_at(network.steady + STEADY_BYTES * lane, STEADY)
        level_db, older_db = _levels_db(samples, lane)
        if older_db < _SILENCE_DB:
            steady.floor_db = _SILENCE_DB
            steady.sound_samples = 0
            steady.steady_samples += hop
        else:
            # Lanes take turns, so that no hop of a batch has all the work.
            look = _follow(steady, level_db, hop, limit) or (number + lane) % _LOOK_HOPS == 0
            if look and steady.sound_samples > _PITCHED_SAMPLES and _has_pitch(samples, points, lane):
                steady.steady_samples = 0
                steady.voiced = 1
        old = steady.gain
        new = 1.0
        if steady.steady_samples > limit:
            steady.voiced = 0
            new = old * (1.0 - _FADE_PER_SECOND * hop / _RATE_HZ)
            if new < _NOTHING:
                new = 0.0
        steady.gain = new
        if old < 1.0 or new < 1.0:
            for i in range(hop):
                finished[lane, i] *= np.float32(old + (new - old) * smooth_step(i / hop))
