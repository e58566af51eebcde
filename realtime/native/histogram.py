"""Histograms of durations with logarithmic buckets: every percentile to 4 %, fixed memory, no sorting.

One is an int64 array of :data:`CELLS`, written by one thread of the data plane and read by anybody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import COMPILE
from .memory import aligned_zeros

BUCKETS_PER_OCTAVE = 16
SMALLEST_NS = 1024
OCTAVES = 24  # 1 µs to 17 s

#: Length of a histogram. The last cell, whose bucket nothing reaches, holds the sum of all durations in ns.
CELLS = BUCKETS_PER_OCTAVE * OCTAVES
_SUM = CELLS - 1


@njit(**COMPILE)
def record_duration(cells, duration_ns):  # type: ignore[no-untyped-def]
    """Count one duration; shorter and longer ones than the range go to the end buckets."""
    index = 0
    if duration_ns > SMALLEST_NS:
        index = int(math.log2(duration_ns / SMALLEST_NS) * BUCKETS_PER_OCTAVE)
    cells[min(index, _SUM - 1)] += 1
    cells[_SUM] += duration_ns


def new_cells() -> NDArray[np.int64]:
    """An empty histogram for the data plane to write."""
    cells: NDArray[np.int64] = aligned_zeros(CELLS, np.int64)
    return cells


def upper_edges_ns() -> NDArray[np.float64]:
    """The upper edge of each bucket."""
    return SMALLEST_NS * 2.0 ** ((np.arange(_SUM) + 1) / BUCKETS_PER_OCTAVE)


_UPPER_EDGES_MS = upper_edges_ns() / 1e6


@dataclass(frozen=True, eq=False)
class Histogram:
    """What a histogram held at one moment: *counts* of each bucket, and the sum of all durations."""

    counts: NDArray[np.int64]
    sum_ms: float

    @classmethod
    def of(cls, cells: NDArray[np.int64]) -> Histogram:
        """A copy of *cells*, which may be written meanwhile."""
        copied = cells.copy()
        copied.flags.writeable = False
        return cls(copied[:_SUM], float(copied[_SUM]) / 1e6)

    @classmethod
    def empty(cls) -> Histogram:
        """Of nothing."""
        return cls.of(np.zeros(CELLS, np.int64))

    def since(self, earlier: Histogram) -> Histogram:
        """What came after *earlier*."""
        return Histogram(self.counts - earlier.counts, self.sum_ms - earlier.sum_ms)

    @property
    def count(self) -> int:
        """How many durations there were."""
        return int(self.counts.sum())

    def percentile_ms(self, percent: float) -> float:
        """The duration that *percent* of the counted ones do not exceed (upper edge); 0 when there are none."""
        total = self.count
        if total == 0:
            return 0.0
        index = int(np.searchsorted(np.cumsum(self.counts), math.ceil(total * percent / 100.0)))
        return float(_UPPER_EDGES_MS[index])

    def octaves(self) -> list[tuple[float, int]]:
        """Upper edge in ms of each octave, and how many durations were not above it."""
        ends = slice(BUCKETS_PER_OCTAVE - 1, None, BUCKETS_PER_OCTAVE)
        below = np.cumsum(self.counts)[ends]
        return [(float(edge), int(count)) for edge, count in zip(_UPPER_EDGES_MS[ends], below, strict=True)]

    def as_dict(self) -> dict[str, object]:
        """For reports: upper edge in ms and count of each bucket that is not empty."""
        filled = np.flatnonzero(self.counts)
        buckets = [[round(float(_UPPER_EDGES_MS[i]), 6), int(self.counts[i])] for i in filled]
        return {"count": self.count, "sum_ms": round(self.sum_ms, 3), "buckets": buckets}


def percentile_ms(cells: NDArray[np.int64], percent: float) -> float:
    """:meth:`Histogram.percentile_ms` of the histogram in *cells*."""
    return Histogram.of(cells).percentile_ms(percent)
