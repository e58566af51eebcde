"""What the threads of audio do while a chain runs is traced: they allocate nothing, and no hog of the GIL delays them.

``test_data_plane.py`` reads the code that we compile. This sees the rest: LADSPA plugins, ONNX Runtime, the C library.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.plugins.ladspa.catalogue import folders
from realtime.plugins.spec import resolve

#: Counts what every thread asks of the allocator, in front of glibc's own.
SHIM = r"""
#include <stddef.h>
#include <unistd.h>
#include <sys/syscall.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
static volatile long counts[1 << 22];
static __thread long thread;
static void count(void) {
  if (thread == 0) thread = syscall(SYS_gettid);
  counts[thread & ((1 << 22) - 1)]++;
}
long allocations_of(long id) { return counts[id & ((1 << 22) - 1)]; }
void *malloc(size_t n) { count(); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { count(); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { count(); return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { count(); return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { count(); return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { count(); *p = __libc_memalign(a, n); return *p ? 0 : 12; }
void free(void *p) { if (p) count(); __libc_free(p); }
"""

CHILD = r"""
import ctypes, json, os, sys, time
from pathlib import Path
import numpy as np
from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.plugins.spec import resolve

told = json.loads(sys.argv[1])
shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
shim.allocations_of.restype = ctypes.c_long
threads = lambda: {int(name) for name in os.listdir("/proc/self/task")}
model = Path(told["model"]) if told["model"] else None
x = (0.2 * np.random.default_rng(0).standard_normal((2, 192_000))).astype(np.float32)
with (
    SimulatedDevice(x, 48_000, block_frames=128, freewheel=True) as device,
    Engine(device.stream, EngineSettings(model, lanes=2, chain=resolve(told["chain"]))) as engine,
):
    before = threads()
    engine.start()
    device.start(engine)
    own = threads() - before
    while device.played_frames < 24_000:
        time.sleep(0.01)
    first, hops = {thread: shim.allocations_of(thread) for thread in own}, int(engine.tally.record["hops"])
    for chain in told["changes"]:
        engine.set_chain(resolve(chain))
        time.sleep(0.05)
    device.wait()
    counts = [shim.allocations_of(thread) - first[thread] for thread in own]
    total, all_hops = [shim.allocations_of(thread) for thread in own], int(engine.tally.record["hops"])
    hops = all_hops - hops
    main = shim.allocations_of(os.getpid())
print(json.dumps({"counts": counts, "hops": hops, "main": main, "per_hop": max(total) / all_hops}))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    done = subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "shim.c", "-o", "shim.so"], cwd=folder, check=False)
    if done.returncode:
        pytest.skip("needs glibc")
    return folder / "shim.so"


def _trace(shim: Path, chain: list[dict[str, Any]], model: Path | None, *changes: list[dict[str, Any]]) -> Any:
    told = json.dumps({"chain": chain, "model": str(model) if model else None, "changes": changes})
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, told], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _ladspa() -> list[dict[str, Any]]:
    """A real LADSPA plugin, where there is one."""
    found = any((folder / "gate_1410.so").is_file() for folder in folders())
    return [{"plugin": "gate_1410.so:gate", "threshold_db": -60.0}] if found else []


def _chain(gain_db: float, *, bypass: bool) -> list[dict[str, Any]]:
    return [
        {"plugin": "high-pass", "frequency_hz": 100.0 + gain_db},
        *({**stage, "range_db": -60.0 + 20.0 * gain_db} for stage in _ladspa()),
        {"plugin": "noise-gate", "bypass": bypass},
        {"plugin": "gain", "gain_db": gain_db},
        {"plugin": "compressor", "threshold_db": -30.0 + gain_db},
        {"plugin": "limiter"},
        {"plugin": "dither"},
    ]


@pytest.mark.slow
def test_the_threads_of_audio_allocate_nothing_for_a_chain_not_even_while_it_is_changed(shim: Path) -> None:
    changes = [_chain(db, bypass=bypass) for db, bypass in ((-1.0, True), (1.0, False), (0.0, True))]
    traced = _trace(shim, _chain(0.0, bypass=False), None, *changes)
    assert len(traced["counts"]) == 2, "the engine's and the device's thread"
    assert traced["hops"] > 500
    assert traced["main"] > 10_000, "the tracer sees the others"
    assert traced["counts"] == [0, 0]


@pytest.mark.slow
def test_a_network_in_a_chain_allocates_no_more_than_it_does_by_itself(shim: Path, doubling: Path) -> None:
    alone = _trace(shim, [], doubling)
    chained = _trace(shim, [{"plugin": "gain"}, {"plugin": "network"}], doubling)
    assert min(alone["counts"]) == min(chained["counts"]) == 0, "the device's thread"
    # Totals of all hops, as a thread that runs on cannot be read at one moment.
    assert chained["per_hop"] == pytest.approx(alone["per_hop"], rel=0.02)


def test_a_chain_runs_on_while_the_gil_is_held(doubling: Path, noise: NDArray[np.float32]) -> None:
    """One C call of about a second holds the GIL; a callback in Python would give none of its blocks."""
    stages = [{"plugin": "high-pass"}, *_ladspa(), {"plugin": "network"}, {"plugin": "limiter"}]
    with (
        SimulatedDevice(noise, 48_000, block_frames=128, seconds=30.0) as device,
        Engine(device.stream, EngineSettings(doubling, guard_ms=20.0, chain=resolve(stages))) as engine,
    ):
        numbers = np.random.default_rng(0).random(1_500_000).tolist()
        engine.start()
        device.start(engine)
        time.sleep(0.1)
        blocks, hops = int(device.record["blocks"]), int(engine.tally.record["hops"])
        began = time.monotonic()
        numbers.sort()
        held_s = time.monotonic() - began
        blocks = int(device.record["blocks"]) - blocks
        hops = int(engine.tally.record["hops"]) - hops
    assert held_s > 0.2
    # A fifth of what is due: machines that others use stall.
    assert blocks > 0.2 * held_s * 48_000 / 128
    assert hops > 0.2 * held_s * 250
