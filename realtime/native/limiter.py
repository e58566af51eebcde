"""Keeps what is played below full scale, without a delay: acts above -1 dBFS only, and below it changes no bit.

First the high band gives way, down to half of it, as it is what was added; then the whole is made softer. Both
gains move smoothly. What gets past them in their first millisecond meets a knee that bends and does not clip.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from . import COMPILE
from .memory import aligned_zeros

#: -1 dBFS: a converter's reconstruction may rise above the samples by about so much.
CEILING = 10.0 ** (-1.0 / 20.0)

_RATE_HZ = 48_000
_ATTACK = 1.0 / (0.001 * _RATE_HZ)
_RELEASE = 1.0 / (0.050 * _RATE_HZ)

#: The high band gives way so far, and no further: a voice recorded hot would otherwise be dull.
_LEAST_HIGH = 0.5

#: A gain this near to one is one; the step is below -120 dB.
_NEARLY_ONE = 1.0 - 1e-6

LIMITER = np.dtype([(name, np.float64) for name in ("high_wanted", "high_gain", "wanted", "gain")])
LIMITER_BYTES = LIMITER.itemsize


@njit(**COMPILE)
def _follow(gain, wanted):  # type: ignore[no-untyped-def]
    gain += _ATTACK * (wanted - gain)
    return 1.0 if wanted >= 1.0 and gain > _NEARLY_ONE else gain


@njit(**COMPILE)
def _wish(wanted, allowed):  # type: ignore[no-untyped-def]
    """The gain wished for: at once down to what is allowed, slowly up again."""
    wanted = min(wanted + _RELEASE * (1.0 - wanted), allowed)
    return 1.0 if allowed >= 1.0 and wanted > _NEARLY_ONE else wanted


@njit(**COMPILE)
def limit(limiter, low, high):  # type: ignore[no-untyped-def]
    """One sample of *low* + *high*, kept below full scale."""
    total = low + high
    at_rest = limiter.high_wanted == 1.0 and limiter.wanted == 1.0 and limiter.gain == 1.0 and limiter.high_gain == 1.0
    if at_rest and abs(total) <= CEILING:
        return total
    allowed = 1.0
    if abs(total) > CEILING and abs(total) > abs(low):
        allowed = max((CEILING - abs(low)) / abs(high), _LEAST_HIGH)
    limiter.high_wanted = _wish(limiter.high_wanted, allowed)
    limiter.high_gain = _follow(limiter.high_gain, limiter.high_wanted)
    total = low + limiter.high_gain * high
    allowed = CEILING / abs(total) if abs(total) > CEILING else 1.0
    limiter.wanted = _wish(limiter.wanted, allowed)
    limiter.gain = _follow(limiter.gain, limiter.wanted)
    total *= limiter.gain
    over = (abs(total) - CEILING) / (1.0 - CEILING)
    if over > 0.0:
        # Slope one at the ceiling, level at full scale.
        bent = CEILING + (1.0 - CEILING) * over / (1.0 + over)
        total = bent if total > 0.0 else -bent
    return np.float32(total)


class Limiter:
    """The memory of a limiter for each of *lanes* channels."""

    def __init__(self, lanes: int) -> None:
        self._records = aligned_zeros(lanes, LIMITER)
        self.address = int(self._records.ctypes.data)
        self.reset()

    def reset(self) -> None:
        """At rest. Only while nothing is played."""
        for name in LIMITER.names or ():
            self._records[name] = 1.0

    @property
    def gains(self) -> tuple[float, float]:
        """Of the high band and of the whole, at this moment; the least of all channels. 1 is at rest."""
        return float(self._records["high_gain"].min()), float(self._records["gain"].min())
