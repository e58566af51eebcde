"""What the machine does to anybody: a native thread that only sleeps, and how late it wakes up.

It asks to be woken once a hop, at the engine's own priority. What it loses no program could have saved, so it stands
beside every figure of a run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cfunc, types

from realtime.engine import ENGINE_PRIORITY
from realtime.native import COMPILE
from realtime.native.histogram import CELLS, Histogram, new_cells, record_duration
from realtime.native.memory import aligned_zeros, ints_at, load_acquire, offset_of, record_at
from realtime.native.system import NativeThread, now_ns, sleep_until_ns

#: Stalls that are kept one by one; of more, only the number is.
_KEPT = 512

FLOOR = np.dtype(
    [
        (name, np.int64)
        for name in (
            "every_ns",
            "slack_ns",  # later than this is a stall
            "stop",
            "wakes",
            "stalls",
            "missed",  # times it would have been woken by then, had it not been late
            "histogram",
            "kept",  # int64 [_KEPT, 2]: when it was due, and how late it was
            "plant_at_ns",  # for tests of the instrument: from when it stays away,
            "plant_ns",  # for so long; 0 again once it has
        )
    ],
    align=True,
)
_STOP = offset_of(FLOOR, "stop")


@cfunc(types.int64(types.int64), **COMPILE)
def floor_thread(address):  # type: ignore[no-untyped-def]
    """Body of the thread that only sleeps."""
    floor = record_at(address, FLOOR)
    histogram = ints_at(floor.histogram, CELLS)
    kept = ints_at(floor.kept, (_KEPT, 2))
    started = now_ns()
    tick = 1
    while load_acquire(address + _STOP) == 0:
        due = started + tick * floor.every_ns
        sleep_until_ns(due)
        if floor.plant_ns > 0 and due - started >= floor.plant_at_ns:
            sleep_until_ns(due + floor.plant_ns)
            floor.plant_ns = 0
        late = now_ns() - due
        record_duration(histogram, late)
        floor.wakes += 1
        if late > floor.slack_ns:
            if floor.stalls < _KEPT:
                kept[floor.stalls, 0] = due - started
                kept[floor.stalls, 1] = late
            floor.stalls += 1
            floor.missed += (late - floor.slack_ns) // floor.every_ns + 1
        # What went by meanwhile belongs to the same stall.
        tick += late // floor.every_ns + 1
    return 0


@dataclass(frozen=True)
class FloorResult:
    """What it found. *stalls* are [when in s, how long in ms], *missed* the hops that could not have been in time."""

    missed: int
    stalls: list[list[float]]
    lateness: Histogram


class Floor:
    """Sleeps *every_ms*, and calls it a stall when it is woken later than *slack_ms*.

    With *cpu* it stays on that one, and *above* so many priorities higher than the engine: what it then finds is the
    machine's doing alone, and not that of the work beside it.
    """

    def __init__(self, every_ms: float, slack_ms: float, cpu: int | None = None, above: int = 0) -> None:
        self._cpu, self._priority = cpu, ENGINE_PRIORITY + above
        self._histogram = new_cells()
        self._kept = aligned_zeros((_KEPT, 2), np.int64)
        self._record = aligned_zeros(1, FLOOR)
        self.record = self._record[0]
        self.record["every_ns"] = int(1e6 * every_ms)
        self.record["slack_ns"] = int(1e6 * slack_ms)
        self.record["histogram"] = self._histogram.ctypes.data
        self.record["kept"] = self._kept.ctypes.data
        self._thread: NativeThread | None = None

    def plant(self, at_s: float, seconds: float) -> None:
        """Stay away once for so long: to see whether it is noticed."""
        self.record["plant_at_ns"] = int(1e9 * at_s)
        self.record["plant_ns"] = int(1e9 * seconds)

    def __enter__(self) -> Floor:
        allowed = os.sched_getaffinity(0)
        if self._cpu is not None:
            os.sched_setaffinity(0, {self._cpu})  # a thread begins where the one that starts it may run
        try:
            self._thread = NativeThread(floor_thread.address, int(self._record.ctypes.data), self._priority)
        finally:
            os.sched_setaffinity(0, allowed)
        return self

    def __exit__(self, *_: Any) -> None:
        self.record["stop"] = 1
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def result(self) -> FloorResult:
        """Of the time so far."""
        kept = self._kept[: min(int(self.record["stalls"]), _KEPT)]
        stalls = [[round(float(when) / 1e9, 4), round(float(late) / 1e6, 3)] for when, late in kept]
        return FloorResult(int(self.record["missed"]), stalls, Histogram.of(self._histogram))
