"""A lock-free ring of audio with one writer and readers that keep their own place.

The writer never waits: it overwrites the oldest samples. Positions are absolute sample counts of one
timeline, so a reader that was away knows exactly what it has missed, and two rings (low band and high
band) are aligned by arithmetic alone. A reader may read [write - capacity + block, write).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import COMPILE, COMPILE_NOGIL
from .memory import aligned_zeros, floats_at, load_acquire, offset_of, record_at, store_release

#: What every ring of an engine holds: long enough for a recorder or a meter to be away for two seconds.
RING_SAMPLES = 1 << 17

#: The two ends lie on different cache lines: the first is written once, the second all the time.
RING = np.dtype(
    {
        "names": ["address", "data", "lanes", "capacity", "write"],
        "formats": [np.int64] * 5,
        "offsets": [0, 8, 16, 24, 64],
        "itemsize": 128,
    }
)
_WRITE = offset_of(RING, "write")


@njit(**COMPILE)
def written(ring):  # type: ignore[no-untyped-def]
    """Samples ever written: the position after the newest one."""
    return load_acquire(ring.address + _WRITE)


@njit(**COMPILE)
def write(ring, block, count):  # type: ignore[no-untyped-def]
    """Append ``block[:, :count]`` and publish it."""
    capacity = ring.capacity
    position = ring.write
    start = position & (capacity - 1)
    first = min(count, capacity - start)
    for lane in range(ring.lanes):
        head = floats_at(ring.data + 4 * (lane * capacity + start), first)
        tail = floats_at(ring.data + 4 * lane * capacity, capacity)
        for i in range(first):
            head[i] = block[lane, i]
        for i in range(count - first):
            tail[i] = block[lane, first + i]
    store_release(ring.address + _WRITE, position + count)


@njit(**COMPILE)
def read(ring, position, block, count):  # type: ignore[no-untyped-def]
    """Copy [position, position + count) to ``block[:, :count]``; the caller knows that it was written.

    Positions before the first sample are silence.
    """
    capacity = ring.capacity
    start = position & (capacity - 1)
    first = min(count, capacity - start)
    for lane in range(ring.lanes):
        head = floats_at(ring.data + 4 * (lane * capacity + start), first)
        tail = floats_at(ring.data + 4 * lane * capacity, capacity)
        for i in range(first):
            block[lane, i] = head[i]
        for i in range(count - first):
            block[lane, first + i] = tail[i]


@njit(**COMPILE_NOGIL)
def _observe(address, position, block):  # type: ignore[no-untyped-def]
    ring = record_at(address, RING)
    read(ring, position, block, block.shape[1])
    return written(ring)


@njit(**COMPILE_NOGIL)
def _append(address, block):  # type: ignore[no-untyped-def]
    write(record_at(address, RING), block, block.shape[1])


class Ring:
    """The memory of one ring: *lanes* channels of at least *capacity* samples each."""

    def __init__(self, lanes: int, capacity: int) -> None:
        capacity = 1 << (capacity - 1).bit_length()
        self.data: NDArray[np.float32] = aligned_zeros((lanes, capacity), np.float32)
        self._record = aligned_zeros(1, RING)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self.record["address"] = self.address
        self.record["data"] = self.data.ctypes.data
        self.record["lanes"] = lanes
        self.record["capacity"] = capacity
        self.capacity = capacity
        self.lanes = lanes

    @property
    def written(self) -> int:
        """Samples ever written, as the control plane sees it."""
        return int(self.record["write"])

    def observe(self, position: int, count: int) -> NDArray[np.float32] | None:
        """A copy [lanes, count] from *position* on for meters and recorders; None where it is overwritten."""
        block = np.empty((self.lanes, count), np.float32)
        newest = _observe(self.address, position, block)
        return block if position + count <= newest <= position + self.capacity else None

    def append(self, block: NDArray[np.float32]) -> None:
        """Write *block* [lanes, n] from the control plane. Only while no other writer is at work."""
        _append(self.address, np.ascontiguousarray(block))

    def clear(self) -> None:
        """Back to position zero, silent. Only while nobody writes."""
        self.data[:] = 0.0
        self.record["write"] = 0
