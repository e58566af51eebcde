"""How sure a mean over few clips is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 2_000
COVERAGE = 0.95


@dataclass(frozen=True)
class Interval:
    """A statistic of *count* values, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float
    count: int

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "clips": self.count}


def bootstrap(values: Sequence[float], statistic: Callable[..., Any] = np.mean, seed: int = 0) -> Interval | None:
    """*statistic* of *values* with its percentile-bootstrap interval (Efron 1979); None without values.

    Values are drawn anew with replacement 2000 times. NaN counts as not measured. *statistic* takes an array
    and ``axis``. Clips of one speaker resemble each other, so that for other speakers the interval is narrow.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return None
    drawn = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.quantile(statistic(known[drawn], axis=1), [(1.0 - COVERAGE) / 2, (1.0 + COVERAGE) / 2])
    return Interval(float(statistic(known, axis=0)), float(low), float(high), len(known))
