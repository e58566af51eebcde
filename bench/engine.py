"""The whole data plane on the simulated device under load, beside the same work in a Python callback."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.native.callbacks import serve_duplex
from realtime.native.histogram import percentile_ms

from .loads import LOADS, load

RATE_HZ = 48_000


@dataclass(frozen=True)
class Row:
    """One path under one load.

    *late_blocks* and *stall_floor* count device blocks that came later than the device's buffer: of the path,
    and of a bare native thread that only sleeps beside it. *blocks* were served of *blocks_due*.
    """

    path: str
    load: str
    seconds: float
    blocks: int
    blocks_due: int
    hops: int
    deadline_misses: int
    longest_miss_run: int
    dull_seconds: float
    late_blocks: int
    stall_floor: int
    response_p50_ms: float
    response_p99_ms: float
    stall_p99_ms: float
    stall_max_ms: float


def _voice(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal((1, int(seconds * RATE_HZ)))).astype(np.float32)


def _python_callback(engine: Engine, block_frames: int) -> Any:
    """The same compiled steps from a callback that needs the interpreter, as a ctypes function pointer."""
    signature = ctypes.CFUNCTYPE(
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_void_p,
        ctypes.c_ulong,
        ctypes.c_void_p,
    )
    state: dict[str, Any] = {"source": None}

    def capture(source: int, target: int, frames: int, *_: Any) -> int:
        state["source"] = np.ctypeslib.as_array((ctypes.c_float * frames).from_address(source)).copy()
        return 0

    def playback(source: int, target: int, frames: int, *_: Any) -> int:
        out = np.ctypeslib.as_array((ctypes.c_float * frames).from_address(target))
        serve_duplex(engine.port_address, state["source"], out, frames, 0)
        engine.run_hops()
        return 0

    return signature(capture), signature(playback)


def measure(path: str, load_name: str, model: Path | None, block_frames: int, seconds: float, guard_ms: float) -> Row:
    """Run *path* (``native`` or ``python_callback``) for *seconds* under a load of :data:`bench.loads.LOADS`."""
    source = _voice(seconds)
    with (
        SimulatedDevice(source, RATE_HZ, block_frames=block_frames) as device,
        SimulatedDevice(source, RATE_HZ, block_frames=block_frames) as floor,
        Engine(device.stream, EngineSettings(model, guard_ms=guard_ms, cutoff_hz=8_000.0)) as engine,
        load(load_name),
    ):
        if path == "native":
            engine.start()
            device.start(engine)
        else:
            callbacks = _python_callback(engine, block_frames)
            addresses = [ctypes.cast(callback, ctypes.c_void_p).value or 0 for callback in callbacks]
            device.run_callbacks(addresses[0], addresses[1], 0)
        floor.run_callbacks(0, 0, 0)
        # By the wall clock: a callback that waits for the GIL would take minutes for its seconds of audio.
        end = time.monotonic() + seconds
        while device.active and time.monotonic() < end:
            time.sleep(0.01)
        device.stop()
        floor.stop()
        statistics = engine.statistics()
        return Row(
            path=path,
            load=load_name,
            seconds=seconds,
            blocks=int(device.record["blocks"]),
            blocks_due=int(seconds * RATE_HZ / block_frames),
            hops=statistics.hops,
            deadline_misses=statistics.deadline_misses,
            longest_miss_run=statistics.longest_miss_run,
            dull_seconds=statistics.dull_seconds,
            late_blocks=device.xruns,
            stall_floor=floor.xruns,
            response_p50_ms=statistics.response_p50_ms,
            response_p99_ms=statistics.response_p99_ms,
            stall_p99_ms=percentile_ms(floor.lateness_histogram, 99),
            stall_max_ms=percentile_ms(floor.lateness_histogram, 100),
        )


def run(
    model: Path | None,
    block_frames: int,
    seconds: float,
    guard_ms: float,
    loads: list[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """All *loads* by both paths."""
    rows = []
    measure("python_callback", "idle", model, block_frames, 0.1, guard_ms)  # what it compiles, it compiles here
    for name in loads or list(LOADS):
        for path in ("native", "python_callback"):
            if progress is not None:
                progress(f"{path}, {name}")
            rows.append(measure(path, name, model, block_frames, seconds, guard_ms))
    return rows
