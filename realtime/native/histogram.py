"""Histograms of durations with logarithmic buckets: every percentile to 4 %, fixed memory, no sorting."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import COMPILE

BUCKETS_PER_OCTAVE = 16
SMALLEST_NS = 1024
OCTAVES = 24  # 1 µs to 17 s
BUCKETS = BUCKETS_PER_OCTAVE * OCTAVES


@njit(**COMPILE)
def record_duration(buckets, duration_ns):  # type: ignore[no-untyped-def]
    """Count one duration; shorter and longer ones than the range go to the end buckets."""
    index = 0
    if duration_ns > SMALLEST_NS:
        index = int(math.log2(duration_ns / SMALLEST_NS) * BUCKETS_PER_OCTAVE)
    buckets[min(index, BUCKETS - 1)] += 1


def upper_edges_ns() -> NDArray[np.float64]:
    """The upper edge of each bucket."""
    return SMALLEST_NS * 2.0 ** ((np.arange(BUCKETS) + 1) / BUCKETS_PER_OCTAVE)


def percentile_ms(buckets: NDArray[np.int64], percent: float) -> float:
    """The duration that *percent* of the counted ones do not exceed (upper edge); 0 when there are none."""
    total = int(buckets.sum())
    if total == 0:
        return 0.0
    index = int(np.searchsorted(np.cumsum(buckets), math.ceil(total * percent / 100.0)))
    return float(upper_edges_ns()[index] / 1e6)
