"""What keeps a Python process, or its machine, busy while audio is running in it."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

RATE_HZ = 48_000

_DRAWN_PER_SECOND = 30.0


def _gil_loop(stop: threading.Event) -> None:
    """Pure Python: holds the GIL for a switch interval (5 ms) at a time."""
    count = 0
    while not stop.is_set():
        for _ in range(10_000):
            count += 1


def _gil_call(stop: threading.Event) -> None:
    """C calls of some 100 ms that hold the GIL throughout, and take no memory."""
    while not stop.is_set():
        sum(itertools.repeat(1, 8_000_000))


def _gc_storm(stop: threading.Event) -> None:
    """Garbage in cycles, collected again and again."""
    while not stop.is_set():
        cycles: list[list[object]] = [[] for _ in range(30_000)]
        for cycle in cycles:
            cycle.append(cycle)
        del cycles
        gc.collect()


def _cpu_hog(stop: threading.Event) -> None:
    """Two busy processes for every core."""
    # Each ends by itself when this process is gone, however that came about.
    work = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10000))"
    command = [sys.executable, "-S", "-E", "-c", work]
    hogs = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        stop.wait()
    finally:
        for hog in hogs:
            hog.kill()
        for hog in hogs:
            hog.wait()


def _console(stop: threading.Event) -> None:
    """What ``live`` draws on a terminal of 80 by 24, thirty times a second instead of twelve.

    It shows a host that does not run, whose rings and counters are filled as if it did: noise in bursts, so that every
    frame differs from the one before.
    """
    from rich.color import ColorSystem

    from realtime.backends.simulated import SimulatedDevice
    from realtime.console import frame
    from realtime.console.observer import Observer
    from realtime.console.screen import Screen
    from realtime.console.styles import Look
    from realtime.session import Session
    from realtime.settings.live import LiveSettings

    random = np.random.default_rng(0)
    noise = random.standard_normal((1, round(RATE_HZ / _DRAWN_PER_SECOND))).astype(np.float32)
    look = Look(utf8=True, system=ColorSystem.TRUECOLOR, colour=True)
    device = SimulatedDevice(np.zeros((1, RATE_HZ), np.float32), RATE_HZ)
    with open(os.devnull, "w") as nowhere, Session(LiveSettings(model="none"), device) as session:
        observer, screen = Observer(session), Screen(nowhere, look)
        while not stop.wait(1.0 / _DRAWN_PER_SECOND):
            for ring in (session.engine.low, session.engine.mix):
                ring.append(noise * np.float32(0.3 * random.random()))
            session.engine.tally.response_histogram[random.integers(100, 250)] += 1
            screen.show(frame.draw(observer.look(time.monotonic()), (80, 24), look))


LOADS: dict[str, Callable[[threading.Event], None] | None] = {
    "idle": None,
    "gil_loop": _gil_loop,
    "gil_call": _gil_call,
    "gc_storm": _gc_storm,
    "cpu_hog": _cpu_hog,
    "console": _console,
}


@contextmanager
def load(name: str) -> Iterator[None]:
    """Run the load *name* (a key of :data:`LOADS`) in a thread of this process."""
    work = LOADS[name]
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), daemon=True) if work else None
    if thread is not None:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread is not None:
            thread.join()
