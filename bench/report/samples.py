"""From single durations to what a report keeps of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.native.histogram import BUCKETS_PER_OCTAVE, SMALLEST_NS, Histogram, upper_edges_ns

_EDGES_MS = upper_edges_ns() / 1e6


def percentiles(durations_ms: NDArray[np.float64]) -> dict[str, float]:
    """The percentiles that every report gives, exact."""
    ranks = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p999_ms": 99.9, "max_ms": 100.0}
    values = np.percentile(durations_ms, list(ranks.values()), method="higher")
    return {key: float(value) for key, value in zip(ranks, values, strict=True)}


def medians(durations_ms: NDArray[np.float64], stretch: int) -> list[float]:
    """The median of one stretch of so many durations after the other; what is left over joins the last."""
    count = max(len(durations_ms) // stretch, 1)
    return [float(np.median(part)) for part in np.array_split(durations_ms, count)]


def buckets(durations_ms: NDArray[np.float64]) -> list[list[float]]:
    """[upper edge in ms, count] of each bucket that is not empty, as the host's own histograms have them."""
    octaves = np.log2(np.maximum(durations_ms * 1e6, SMALLEST_NS) / SMALLEST_NS)
    index = np.minimum((octaves * BUCKETS_PER_OCTAVE).astype(int), len(_EDGES_MS) - 1)
    found, counts = np.unique(index, return_counts=True)
    return [[round(float(_EDGES_MS[i]), 6), int(n)] for i, n in zip(found, counts, strict=True)]


def buckets_of(histogram: Histogram) -> list[list[float]]:
    """The same of a histogram that the host kept."""
    filled: Any = histogram.as_dict()["buckets"]
    return list(filled)


def interpolated_median(histogram: Histogram) -> float:
    """The median in ms, interpolated within its bucket, which alone is 4 % wide; NaN where nothing was counted."""
    below = np.cumsum(histogram.counts)
    if below[-1] == 0:
        return math.nan
    half = below[-1] / 2.0
    index = int(np.searchsorted(below, half))
    before = float(below[index - 1]) if index else 0.0
    share = (half - before) / float(histogram.counts[index])
    return float(_EDGES_MS[index] * 2.0 ** ((share - 1.0) / BUCKETS_PER_OCTAVE))


def rounds_of(values: Sequence[Sequence[float]], digits: int = 5) -> list[list[float]]:
    """Rounds without what could not be measured, short enough for a file."""
    return [[round(float(v), digits) for v in one if not math.isnan(v)] for one in values]
