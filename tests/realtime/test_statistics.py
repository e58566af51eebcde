"""Counters: each percentile and sum is that of what was recorded, and a reading is of one moment."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba import njit, types

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.native.histogram import Histogram, new_cells, record_duration
from realtime.native.memory import aligned_zeros, load_acquire, store_release
from realtime.native.system import now_ns
from realtime.statistics import settled


def test_percentiles_sum_and_octaves_are_those_of_what_was_recorded() -> None:
    durations_ns = np.random.default_rng(0).lognormal(np.log(4e5), 1.0, 5_000).astype(np.int64)
    cells = new_cells()
    for duration_ns in durations_ns:
        record_duration(cells, duration_ns)
    histogram = Histogram.of(cells)
    assert histogram.count == len(durations_ns)
    assert histogram.sum_ms == pytest.approx(durations_ns.sum() / 1e6)
    for percent in (1, 50, 99):
        exact_ms = np.percentile(durations_ns, percent) / 1e6
        assert exact_ms <= histogram.percentile_ms(percent) * 1.001 <= 1.06 * exact_ms
    for edge_ms, below in histogram.octaves():
        assert below == np.count_nonzero(durations_ns < 1e6 * edge_ms)


def test_durations_beyond_the_range_are_counted_at_its_ends() -> None:
    cells = new_cells()
    for duration_ns in (0, 1, 10**12):
        record_duration(cells, duration_ns)
    histogram = Histogram.of(cells)
    assert histogram.count == 3
    assert histogram.sum_ms == pytest.approx(1e6)
    assert histogram.percentile_ms(50) < 0.002
    assert histogram.percentile_ms(100) > 15_000


def test_a_histogram_of_nothing_is_zero() -> None:
    assert Histogram.empty().percentile_ms(99) == 0.0
    assert Histogram.empty().as_dict() == {"count": 0, "sum_ms": 0.0, "buckets": []}


@njit(types.void(types.int64, types.int64, types.int64), nogil=True)
def _write(left: int, right: int, over: int) -> None:
    """Count in the words at two addresses, the left one first, every 20 µs."""
    count = 0
    while load_acquire(over) == 0:
        count += 1
        store_release(left, count)
        store_release(right, count)
        next_ns = now_ns() + 20_000
        while now_ns() < next_ns:
            pass


def test_blocks_that_are_being_written_are_read_as_of_one_moment() -> None:
    """Read one after the other, the block read last would be ahead of the first one."""
    left, right, over = (aligned_zeros(64, np.int64) for _ in range(3))
    writer = threading.Thread(target=_write, args=[block.ctypes.data for block in (left, right, over)])
    writer.start()
    while left[0] == 0:
        time.sleep(0.001)
    try:
        seen = [[int(block[0]) for block in settled([left, right])] for _ in range(20_000)]
    finally:
        over[0] = 1
        writer.join()
    assert len({a for a, _ in seen}) > 10
    assert {a - b for a, b in seen} <= {0, 1}


def test_statistics_are_a_record_for_json_that_nothing_changes(doubling: Path) -> None:
    device = SimulatedDevice(np.zeros((1, 48_000), np.float32), 48_000, freewheel=True)
    with Engine(device.stream, EngineSettings(doubling)) as engine:
        engine.start()
        before = engine.statistics()
        device.start(engine)
        device.wait()
        after = engine.statistics()
        assert before.hops == 0
        assert before.compute.count == 0
        assert after.hops == after.compute.count == after.response.count
        assert after.model == "identity"
        with pytest.raises(ValueError, match="read-only"):
            after.compute.counts[0] = 1
    told = json.loads(json.dumps(after.as_dict(histograms=True)))
    assert sum(count for _, count in told["compute"]["buckets"]) == after.hops
    assert "compute" not in after.as_dict()
