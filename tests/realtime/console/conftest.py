"""A moment of a host to draw, made by hand: every figure in it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from realtime.console.snapshot import FLOOR_DBFS, Snapshot, Sound
from realtime.latency import LatencyBudget
from realtime.native.histogram import Histogram, new_cells, record_duration
from realtime.statistics import Statistics

LINES, COLUMNS, BANDS = 1024, 512, 96


def histogram(*milliseconds: float) -> Histogram:
    cells = new_cells()
    for duration in milliseconds:
        record_duration(cells, round(1e6 * duration))
    return Histogram.of(cells)


def sound(top_hz: float = 8_000.0, held_dbfs: float = -6.0) -> Sound:
    """A flat sound of -20 dB up to *top_hz*, heard for the newest ten columns only."""
    spectrum = np.full(LINES, FLOOR_DBFS, np.float32)
    spectrum[: round(top_hz / 24_000.0 * LINES)] = -20.0
    columns = np.full((COLUMNS, BANDS), FLOOR_DBFS, np.float32)
    columns[-10:, : round(top_hz / 24_000.0 * BANDS)] = -20.0
    return Sound(-23.0, -12.0, held_dbfs, spectrum, columns, 1_000)


STATISTICS = Statistics(
    seconds=83.4, hops=20_850, deadline_misses=0, longest_miss_run=0, hop_p50_ms=0.61, hop_p99_ms=1.02,
    hop_p999_ms=1.5, hop_max_ms=2.0, response_p50_ms=0.7, response_p99_ms=1.1, load=0.153, xruns=0, underruns=0,
    resyncs=0, dropouts=0, dull_seconds=0.0, bad_chunks=0, skipped_hops=0, cleaned_samples=0, model="default",
    bypass=False, muted=False, gain_db=0.0, guard_ms=2.0, latency_ms=14.0, cutoff_hz=8_000.0, drift_ppm=0.0,
    compute=histogram(0.6, 1.0), response=histogram(*[0.7] * 900, *[1.1] * 90, 9.0),
)  # fmt: skip

STAGES: list[dict[str, Any]] = [
    {"name": name, "bypass": False, "failing": False, "load": load, "mean_us": 4_000.0 * load, "p99_us": 5_000.0 * load,
     "latency_ms": latency_ms}
    for name, load, latency_ms in (("high-pass", 0.0009, 0.0), ("network", 0.153, 4.0), ("limiter", 0.0051, 1.5))
]  # fmt: skip


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot(
        statistics=STATISTICS,
        devices="Headset → Speakers",
        block_frames=128,
        before=sound(),
        after=sound(16_000.0, -3.0),
        budget=LatencyBudget(None, 1.5, 8.0, 2.5, 2.0, 0.0, 5.33),
        deadline_ms=4.67,
    )


@pytest.fixture
def with_statistics(snapshot: Snapshot) -> Callable[..., Snapshot]:
    """The moment with other counters."""
    return lambda **values: replace(snapshot, statistics=replace(STATISTICS, **values))
