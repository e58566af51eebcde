"""A gain that changes without a step and without a bend: ramps of 10 ms that begin and end level."""

from __future__ import annotations

import numpy as np
from numba import njit

from . import COMPILE
from .memory import aligned_zeros

#: Long enough that a voice's gain may go to zero along it unheard, short enough to follow a hand: 10 ms at 48 kHz.
RAMP_SAMPLES = 480

RAMP = np.dtype(
    [
        ("wanted", np.float64),  # written by the control plane, at any time
        ("value", np.float64),
        ("origin", np.float64),
        ("goal", np.float64),
        ("left", np.int64),  # samples of the present ramp
    ]
)


@njit(**COMPILE)
def smooth_step(x):  # type: ignore[no-untyped-def]
    """From 0 to 1 with no slope at either end (smoothstep): a fade along it begins and ends without a bend."""
    return x * x * (3.0 - 2.0 * x)


@njit(**COMPILE)
def next_value(ramp, samples):  # type: ignore[no-untyped-def]
    """The next value, by ramps of so many *samples*. A ramp under way is finished before a newer wish is followed."""
    if ramp.left == 0:
        if ramp.wanted == ramp.value:
            return ramp.value
        ramp.origin = ramp.value
        ramp.goal = ramp.wanted
        ramp.left = samples
    ramp.left -= 1
    ramp.value = ramp.goal + (ramp.origin - ramp.goal) * smooth_step(ramp.left / samples)
    return ramp.value


@njit(**COMPILE)
def next_gain(ramp):  # type: ignore[no-untyped-def]
    """The gain of the next sample."""
    return next_value(ramp, RAMP_SAMPLES)


class Ramp:
    """The memory of one ramp; it starts at *value* (a factor)."""

    def __init__(self, value: float = 1.0) -> None:
        self._record = aligned_zeros(1, RAMP)
        self.address = int(self._record.ctypes.data)
        self._record["wanted"] = self._record["value"] = value

    def move_to(self, value: float) -> None:
        """Be at *value* within two ramps of being asked; takes effect while audio is played."""
        self._record["wanted"] = value

    @property
    def value(self) -> float:
        """Where it is now."""
        return float(self._record["value"][0])
