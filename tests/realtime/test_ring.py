"""Properties of the ring: what is written is read, across the wrap, between two threads, or known to be gone."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from realtime.native import COMPILE_NOGIL
from realtime.native.memory import record_at
from realtime.native.ring import RING, Ring, read, write, written


@njit(**{**COMPILE_NOGIL, "cache": False})
def _write_at(address, block, count):  # type: ignore[no-untyped-def]
    write(record_at(address, RING), block, count)


@njit(**{**COMPILE_NOGIL, "cache": False})
def _count_up(address, total, block):  # type: ignore[no-untyped-def]
    """Write 0, 1, 2 … in blocks of varying length, never more than half a ring ahead of *block*'s reader."""
    ring = record_at(address, RING)
    done = 0
    while done < total:
        count = min(1 + done % block.shape[1], total - done)
        for i in range(count):
            block[0, i] = (done + i) % 65_536
        write(ring, block, count)
        done += count


@njit(**{**COMPILE_NOGIL, "cache": False})
def _check_counting(address, total, block):  # type: ignore[no-untyped-def]
    """Read after the writer; gives how many samples were wrong and how many had been overwritten."""
    ring = record_at(address, RING)
    position, wrong, lost = 0, 0, 0
    while position < total:
        newest = written(ring)
        count = min(newest - position, block.shape[1])
        if count <= 0:
            continue
        read(ring, position, block, count)
        if written(ring) + block.shape[1] - position > ring.capacity:
            lost += count  # the writer may have come round meanwhile
        else:
            for i in range(count):
                wrong += block[0, i] != (position + i) % 65_536
        position += count
    return wrong, lost


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 3))
def test_what_is_written_is_read_across_the_wrap(counts: list[int], lanes: int) -> None:
    ring = Ring(lanes, 64)
    history = np.zeros((lanes, 0), np.float32)
    for count in counts:
        block = np.random.default_rng(count).standard_normal((lanes, count)).astype(np.float32)
        _write_at(ring.address, block, count)
        history = np.concatenate([history, block], axis=1)
        newest = min(history.shape[1], 64)
        seen = ring.observe(ring.written - newest, newest)
        assert seen is not None
        np.testing.assert_array_equal(seen, history[:, history.shape[1] - newest :])


def test_overwritten_and_future_samples_are_refused() -> None:
    ring = Ring(1, 64)
    _write_at(ring.address, np.ones((1, 200), np.float32), 50)
    _write_at(ring.address, np.ones((1, 200), np.float32), 50)
    assert ring.observe(30, 10) is None
    assert ring.observe(95, 10) is None
    assert ring.observe(40, 10) is not None


def test_positions_before_the_first_sample_are_silence() -> None:
    ring = Ring(1, 64)
    _write_at(ring.address, np.ones((1, 8), np.float32), 8)
    seen = ring.observe(-8, 16)
    assert seen is not None
    np.testing.assert_array_equal(seen[0], [0.0] * 8 + [1.0] * 8)


def test_two_threads_agree_on_every_sample() -> None:
    ring = Ring(1, 1 << 16)
    total = 5_000_000
    args = (ring.address, total, np.zeros((1, 480), np.float32))
    _count_up(ring.address, 0, np.zeros((1, 480), np.float32))
    _check_counting(ring.address, 0, np.zeros((1, 480), np.float32))
    results = []
    reader = threading.Thread(
        target=lambda: results.append(_check_counting(ring.address, total, np.zeros((1, 480), np.float32)))
    )
    reader.start()
    _count_up(*args)
    reader.join()
    wrong, lost = results[0]
    assert wrong == 0
    assert lost < total
