"""The data plane never touches the interpreter: shown on the code that the compiler made of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba import cfunc, types
from numpy.typing import NDArray

from realtime import native
from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings

FUNCTIONS = [
    "callbacks.capture_callback",
    "callbacks.playback_callback",
    "callbacks.duplex_callback",
    "worker.worker_thread",
    "device.device_thread",
]

#: What the engine thread calls through pointers: it is not in the code of that thread.
STAGES = [
    "stages.gain.gain_step",
    "stages.high_pass.high_pass_step",
    "stages.noise_gate.noise_gate_step",
    "stages.compressor.compressor_step",
    "stages.limiter.limiter_step",
    "stages.dither.dither_step",
    "stages.network.network_step",
    "stages.ladspa.ladspa_step",
]

# Code that comes from the cache cannot be read, so it is compiled anew, in a process and a cache of its own.
_READ = """
import importlib, json, sys
names = json.loads(sys.argv[1])
def code(name):
    module, function = name.rsplit(".", 1)
    return getattr(importlib.import_module(f"realtime.native.{module}"), function).inspect_llvm()
print(json.dumps({name: code(name) for name in names}))
"""

#: All that the data plane may call outside itself.
ALLOWED = {
    "clock_gettime",
    "clock_nanosleep",
    "sem_post",
    "sem_wait",
    "exp",
    "log2",
    "sqrt",
    "tan",
    "floor",
    "memcpy",
    "memset",
    "memmove",
    # Lets go of an array that owns its memory. The views here own none, so it is never reached; that none is
    # made is what the absence of NRT_MemInfo_alloc shows.
    "NRT_MemInfo_call_dtor",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """LLVM code of every function of :data:`FUNCTIONS` and :data:`STAGES`, after optimisation."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("numba"))}
    done = subprocess.run(
        [sys.executable, "-c", _READ, json.dumps(FUNCTIONS + STAGES)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def _bodies(code: str) -> str:
    """All functions in *code* but numba's wrapper of the C callback.

    The wrapper holds a branch that takes the GIL to report an exception; it is entered only when the body
    returns one, and :func:`test_nothing_can_raise` shows that no body can.
    """
    functions = re.findall(r"^define .*?^}", code, re.M | re.S)
    bodies = [function for function in functions if "@cfunc." not in function.split("(")[0]]
    assert len(bodies) == len(functions) - 1
    return "\n".join(bodies)


@pytest.mark.parametrize("name", FUNCTIONS + STAGES)
def test_nothing_is_called_that_allocates_locks_or_prints(compiled: dict[str, str], name: str) -> None:
    bodies = _bodies(compiled[name])
    local = set(re.findall(r"^define [^@]*@\"?([\w.$<>:]+)\"?\(", bodies, re.M))
    called = set(re.findall(r"call [^@\n]*@\"?([\w.$<>:]+)\"?\(", bodies))
    outside = {function for function in called - local if not function.startswith("llvm.")}
    assert outside <= ALLOWED
    assert name in STAGES or " atomic " in bodies, "this is not the code of the data plane"


def test_all_stages_are_looked_at() -> None:
    folder = Path(native.__file__).parent / "stages"
    found = {f"stages.{path.stem}.{path.stem}_step" for path in folder.glob("*.py") if path.stem != "__init__"}
    assert set(STAGES) == found


@pytest.mark.parametrize("name", FUNCTIONS + STAGES)
def test_nothing_can_raise(compiled: dict[str, str], name: str) -> None:
    """An exception would be a constant that is stored for the caller."""
    assert ".const.picklebuf" not in _bodies(compiled[name])


def test_the_inspection_finds_an_exception_and_an_allocation() -> None:
    """The two tests above can fail: here is a function that does both."""

    @cfunc(types.int64(types.int64))
    def careless(count):  # type: ignore[no-untyped-def]
        if count < 0:
            raise ValueError
        return np.zeros(count).size

    bodies = _bodies(careless.inspect_llvm())
    assert ".const.picklebuf" in bodies
    assert "NRT_" in bodies


def test_audio_flows_while_the_gil_is_held(doubling: Path, noise: NDArray[np.float32]) -> None:
    """One C call of about a second holds the GIL; blocks and hops go on in it."""
    with (
        SimulatedDevice(noise, 48_000, block_frames=128, seconds=30.0) as simulated,
        Engine(simulated.stream, EngineSettings(doubling, guard_ms=20.0)) as engine,
    ):
        numbers = np.random.default_rng(0).random(1_500_000).tolist()
        engine.start()
        simulated.start(engine)
        time.sleep(0.1)
        blocks, hops = int(simulated.record["blocks"]), int(engine.tally.record["hops"])
        began = time.monotonic()
        numbers.sort()  # one call: nothing else of Python runs until it ends
        held_s = time.monotonic() - began
        blocks = int(simulated.record["blocks"]) - blocks
        hops = int(engine.tally.record["hops"]) - hops
    assert held_s > 0.2
    # Half of what is due, so that a machine that stalls for a while still passes; a callback in Python gives 0.
    assert blocks > 0.5 * held_s * 48_000 / 128
    assert hops > 0.5 * held_s * 250


def test_two_engines_run_beside_each_other(doubling: Path, noise: NDArray[np.float32]) -> None:
    results: dict[int, NDArray[np.float32]] = {}

    def run(key: int) -> None:
        with (
            SimulatedDevice(0.1 * noise * key, 48_000, block_frames=128, freewheel=True) as simulated,
            Engine(simulated.stream, EngineSettings(doubling)) as engine,
        ):
            engine.start()
            simulated.start(engine)
            simulated.wait()
            results[key] = simulated.played[0, engine.delay_samples :].copy()

    threads = [threading.Thread(target=run, args=(key,)) for key in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(results[1] * 2, results[2], atol=1e-5)
