"""Compute per hop of model files, by the compiled path that live uses, paced as live is.

A hop that follows upon the other finds its weights in the cache and the processor awake; one that comes every 4 ms
does not. So hops are timed at their own pace, and beside it as fast as they go.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.backends.wavfile import FileStream
from realtime.engine import ENGINE_PRIORITY, EngineSettings
from realtime.onnx.contract import RATE_HZ, read_contract
from realtime.onnx.session import Session, SessionOptions

from ..machine.about import Yardstick
from ..report.samples import medians, percentiles

Milliseconds = NDArray[np.float64]

#: Wall time of a stretch of hops of which a report keeps the median.
STRETCH_SECONDS = 0.25

#: Hops as fast as they go, in each round.
_BURST_HOPS = 250

#: A processor that sleeps wakes up late; the rest of a wait is spent looking at the clock.
_SPIN_SECONDS = 0.0002

_MOST_STREAMS = 64

#: Hops of noise that are made beforehand and run again and again.
_PIECES = 64


class Runner(Protocol):
    """Something that can be run and times itself."""

    name: str
    hop_ms: float | None
    start_up_ms: float
    warm_up_ms: Milliseconds

    def once(self) -> float:
        """Run it once; gives the milliseconds that took, by a clock read in compiled code."""

    def close(self) -> None:
        """Let go of it."""


class ModelRunner:
    """A model of our contract, in *streams* streams as one batch, one hop at a time, through the real engine."""

    def __init__(
        self,
        path: Path,
        streams: int = 1,
        options: SessionOptions | None = None,
        cutoff_hz: float = 8_000.0,
        name: str | None = None,
    ) -> None:
        with Session(path) as session:
            hop = read_contract(session).hop_samples
        began_s = time.perf_counter()
        settings = EngineSettings(path, cutoff_hz=cutoff_hz, session=options)
        self._stream = FileStream(streams, RATE_HZ, settings, block_frames=hop)
        self.start_up_ms = 1000.0 * (time.perf_counter() - began_s)
        engine = self.engine = self._stream.engine
        assert engine.inference is not None
        self.contract = engine.inference.contract
        self.name = name or self.contract.name
        self.hop_ms: float | None = self.contract.hop_ms
        self.warm_up_ms = engine.inference.warm_up_ms
        noise = np.random.default_rng(0).standard_normal((streams, _PIECES * hop))
        self._pieces = np.split((0.1 * noise).astype(np.float32), _PIECES, axis=1)
        self._next = 0
        self._spent_ns = engine.tally.compute_histogram

    def once(self) -> float:
        before_ns = int(self._spent_ns[-1])
        self._stream.push(self._pieces[self._next])
        self._next = (self._next + 1) % _PIECES
        return (int(self._spent_ns[-1]) - before_ns) / 1e6

    def close(self) -> None:
        self._stream.close()


@dataclass
class Timed:
    """What was measured of one runner: hops at their pace and as fast as they go, by rounds."""

    paced: list[Milliseconds]
    burst: list[Milliseconds]
    yardstick_ms: list[float]
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def all_paced(self) -> Milliseconds:
        return np.concatenate(self.paced)

    def figures(self, hop_ms: float | None) -> dict[str, Any]:
        """Percentiles, RTF and what the processor had to do."""
        found: dict[str, Any] = percentiles(self.all_paced)
        found["hops"] = len(self.all_paced)
        found["burst_p50_ms"] = float(np.median(np.concatenate(self.burst)))
        found["rtf"] = found["p50_ms"] / hop_ms if hop_ms else None
        found["cpu_percent"] = 100.0 * self.cpu_seconds / self.wall_seconds if self.wall_seconds else None
        return found

    def rounds(self, hop_ms: float) -> list[list[float]]:
        """Medians of stretches, for :class:`bench.report.document.Series`."""
        return [medians(one, max(round(1000.0 * STRETCH_SECONDS / hop_ms), 1)) for one in self.paced]


def pace(runner: Runner, seconds: float, every_ms: float) -> Milliseconds:
    """Run it once every so many milliseconds for *seconds*; what takes longer than that makes the next one late."""
    spent = np.zeros(max(round(1000.0 * seconds / every_ms), 1))
    began_s = time.perf_counter()
    for index in range(len(spent)):
        due_s = began_s + index * every_ms / 1000.0
        left_s = due_s - time.perf_counter()
        if left_s > _SPIN_SECONDS:
            time.sleep(left_s - _SPIN_SECONDS)
        while time.perf_counter() < due_s:
            pass
        spent[index] = runner.once()
    return spent


@contextmanager
def priority_of_live() -> Iterator[bool]:
    """Run the calling thread as live runs its engine: in real time where that is allowed, which it tells."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(ENGINE_PRIORITY))
    except (PermissionError, AttributeError):
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


#: At what pace a file is run whose hop nobody knows.
UNKNOWN_PACE_MS = 10.0


def measure(
    runners: Sequence[Runner], seconds: float, rounds: int, progress: Callable[[str], None] | None = None
) -> list[Timed]:
    """Run all of *runners*, each *seconds* at its pace, in *rounds* by turns: what slows the machine slows all."""
    yardstick = Yardstick()
    timed = [Timed([], [], []) for _ in runners]
    for number in range(rounds):
        for runner, found in zip(runners, timed, strict=True):
            if progress is not None:
                progress(f"{runner.name}, round {number + 1} of {rounds}")
            for _ in range(8):
                runner.once()
            found.burst.append(np.array([runner.once() for _ in range(_BURST_HOPS)]))
            before, began_s = _cpu_seconds(), time.perf_counter()
            found.paced.append(pace(runner, seconds / rounds, runner.hop_ms or UNKNOWN_PACE_MS))
            found.cpu_seconds += _cpu_seconds() - before
            found.wall_seconds += time.perf_counter() - began_s
            found.yardstick_ms.append(yardstick.median_ms())
    return timed


def worst_of_stretches(durations_ms: Milliseconds, every_ms: float) -> list[float]:
    """The longest of every :data:`STRETCH_SECONDS`."""
    stretch = max(round(1000.0 * STRETCH_SECONDS / every_ms), 1)
    starts = np.arange(0, len(durations_ms), stretch)
    return [round(float(value), 4) for value in np.maximum.reduceat(durations_ms, starts)]


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Batch:
    """*streams* as one batch on one core. *held*: the median hop of the batch was done within the hop's time."""

    streams: int
    p50_ms: float
    p99_ms: float
    per_stream_ms: float
    held: bool


def batches(path: Path, seconds: float = 1.0) -> list[Batch]:
    """Batches of 1, 2, 4 … 64 streams as fast as they go, until one is no longer held."""
    found = []
    streams = 1
    while streams <= _MOST_STREAMS:
        runner = ModelRunner(path, streams)
        try:
            hop_ms = runner.contract.hop_ms
            for _ in range(8):
                runner.once()
            spent = np.array([runner.once() for _ in range(max(round(1000.0 * seconds / hop_ms), 50))])
        finally:
            runner.close()
        p50, p99 = np.percentile(spent, [50, 99])
        found.append(Batch(streams, float(p50), float(p99), float(p50) / streams, bool(p50 <= hop_ms)))
        if not found[-1].held:
            break
        streams *= 2
    return found


def streams_per_core(found: Sequence[Batch]) -> int:
    """The largest batch that was held; 64 means 64 or more."""
    return max((batch.streams for batch in found if batch.held), default=0)


def warm_up(spent: Milliseconds) -> dict[str, float]:
    """The hops before any that counts: the first, and how many were more than twice as slow as the last ones."""
    settled = float(np.median(spent[len(spent) // 2 :]))
    slow = np.flatnonzero(spent > 2.0 * settled)
    return {"first_hop_ms": float(spent[0]), "warm_up_hops": float(slow[-1] + 1) if len(slow) else 0.0}
