"""How a signal goes on that breaks off: predicted from its last milliseconds, and fading.

The prediction is linear, its coefficients found by Burg's method (J. P. Burg, "Maximum entropy spectral analysis",
1975), which never gives a filter that grows. Value, slope and all that bends go on as they were, so that nothing is
heard where the signal ended; what is noise in it cannot be predicted, and ends.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from . import COMPILE_SUMS
from .memory import doubles_at
from .ramp import smooth_step

#: Length of every fade. Shorter ones are heard as clicks, longer ones as swells.
FADE_SAMPLES = 192

#: What is kept of a signal to predict it by: more than a half period of a low voice; a power of two.
HISTORY_SAMPLES = 256

#: A voice that ends at 4 kHz is smooth at 48 kHz: jumps of a faded prediction are then 1e-5 at half full scale, and
#: higher orders are no better.
_ORDER = 8

#: Memory for one prediction, in float64: forward and backward errors, coefficients, their mirror, the newest samples.
WORK_DOUBLES = 2 * HISTORY_SAMPLES + 3 * (_ORDER + 1)

#: Below -240 dB there is nothing to predict.
_NOTHING = 1e-24


@njit(**COMPILE_SUMS)
def _burg(forward, backward, filter, mirror):  # type: ignore[no-untyped-def]
    """The error filter of the signal that *forward* and *backward* hold; both are overwritten."""
    filter[:] = 0.0
    filter[0] = 1.0
    for order in range(1, _ORDER + 1):
        product = 0.0
        energy = 0.0
        for i in range(order, HISTORY_SAMPLES):
            product += forward[i] * backward[i - 1]
            energy += forward[i] * forward[i] + backward[i - 1] * backward[i - 1]
        if energy < _NOTHING:
            break
        reflection = -2.0 * product / energy
        for i in range(HISTORY_SAMPLES - 1, order - 1, -1):
            ahead = forward[i]
            forward[i] = ahead + reflection * backward[i - 1]
            backward[i] = backward[i - 1] + reflection * ahead
        for k in range(order + 1):
            mirror[k] = filter[order - k]
        for k in range(order + 1):
            filter[k] += reflection * mirror[k]


@njit(**COMPILE_SUMS)
def predict(history, lane, position, tail, work):  # type: ignore[no-untyped-def]
    """Fill ``tail[lane]`` with how ``history[lane]`` goes on at *position*, fading to nothing.

    *history* is a ring [lanes, HISTORY_SAMPLES], *tail* is [lanes, FADE_SAMPLES], *work* the address of
    :data:`WORK_DOUBLES`.
    """
    forward = doubles_at(work, HISTORY_SAMPLES)
    backward = doubles_at(work + 8 * HISTORY_SAMPLES, HISTORY_SAMPLES)
    filter = doubles_at(work + 16 * HISTORY_SAMPLES, _ORDER + 1)
    mirror = doubles_at(work + 16 * HISTORY_SAMPLES + 8 * (_ORDER + 1), _ORDER + 1)
    newest = doubles_at(work + 16 * HISTORY_SAMPLES + 16 * (_ORDER + 1), _ORDER + 1)
    for i in range(HISTORY_SAMPLES):
        forward[i] = backward[i] = history[lane, (position + i) % HISTORY_SAMPLES]
    for k in range(_ORDER):
        newest[k] = forward[HISTORY_SAMPLES - 1 - k]
    _burg(forward, backward, filter, mirror)
    for i in range(FADE_SAMPLES):
        following = 0.0
        for k in range(_ORDER):
            following -= filter[k + 1] * newest[k]
        for k in range(_ORDER - 1, 0, -1):
            newest[k] = newest[k - 1]
        newest[0] = following
        tail[lane, i] = np.float32(following * smooth_step(1.0 - i / FADE_SAMPLES))
