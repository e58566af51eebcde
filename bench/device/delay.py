"""What a delay is, measured through real devices, beside what was asked for and what is reported of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.errors import FullbandError
from realtime.latency import LatencyBudget
from realtime.statistics import Statistics

from ..engine.paths import CUTOFF_HZ
from ..signals.probe import Delays, delays, probe
from .loop import Loop

#: At the beginning streams find their pace, and a server its links.
SETTLE_SECONDS = 1.0

#: Around the change from bypass to network a stretch would hold both.
_AROUND_SECONDS = 0.3

#: Of the probe that must have been heard for a delay to be told at all.
_LEAST_HEARD = 0.2

#: A device that gives nothing for so much longer than the run has stopped.
_PATIENCE_SECONDS = 10.0


class LoopBackend(Protocol):
    """A backend of the host, or the simulated cable."""

    stream: StreamFormat

    def start(self, engine: Any) -> None: ...

    def stop(self) -> None: ...

    @property
    def active(self) -> bool: ...

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]: ...

    def describe(self) -> str: ...


@dataclass(frozen=True)
class Part:
    """Delays in one state of the host: ``bypass`` or ``network``.

    *loop* and *host* are None on two clocks: when a frame of the one was there in the time of the other nobody knows.
    """

    name: str
    total: Delays
    loop: Delays | None
    host: Delays | None

    @property
    def paths(self) -> dict[str, Delays]:
        """What was measured, by name."""
        known = {"loop": self.loop, "host": self.host, "total": self.total}
        return {name: one for name, one in known.items() if one is not None}


@dataclass(frozen=True)
class Measured:
    """One run. *rate_hz* is that of playback, in whose samples delays are."""

    parts: tuple[Part, ...]
    rate_hz: int
    block_frames: int
    two_clocks: bool
    budget: LatencyBudget
    reported_ms: tuple[float | None, float | None]
    statistics: Statistics
    flags: int

    @property
    def block_ms(self) -> float:
        return 1000.0 * self.block_frames / self.rate_hz


def _wait(backend: LoopBackend, loop: Loop, engine: Engine, seconds: float, progress: Callable[[str], None]) -> None:
    """Until the probe has been played: half of it in bypass, half through the network."""
    deadline_s = time.monotonic() + 2.0 * seconds + _PATIENCE_SECONDS
    half = len(loop.heard) // 2
    planned = False
    while not loop.done:
        played = int(loop.record["played"])
        if not planned and played > 0.5 * SETTLE_SECONDS * backend.stream.playback_rate_hz:
            block = int(loop.record["longest_block"])
            if block != backend.stream.block_frames:
                engine.set_block_frames(block)
            planned = True
        progress("bypass" if played < half else "network")
        engine.set_enabled(played >= half)
        if not backend.active and not loop.done:
            raise FullbandError(f"{backend.describe()} stopped after {played / backend.stream.playback_rate_hz:.1f} s")
        if time.monotonic() > deadline_s:
            raise FullbandError(f"{backend.describe()} is too slow, or its clock stands still: see 'fullband devices'")
        time.sleep(0.02)


def measure(
    backend: LoopBackend, model: Path | None, guard_ms: float, seconds: float, progress: Callable[[str], None]
) -> Measured:
    """Play the probe for *seconds* in bypass and as long through the network of *model*."""
    stream = backend.stream
    rate_hz = stream.playback_rate_hz
    sent = probe(2.0 * seconds + SETTLE_SECONDS, rate_hz)
    engine_stream = StreamFormat(
        stream.capture_rate_hz, rate_hz, stream.block_frames, separate_clocks=stream.separate_clocks
    )
    with Engine(engine_stream, EngineSettings(model, guard_ms=guard_ms, cutoff_hz=CUTOFF_HZ)) as engine:
        engine.set_enabled(False)
        loop = Loop(engine, sent, stream.playback_channels)
        engine.start()
        try:
            backend.start(loop)
            _wait(backend, loop, engine, seconds, progress)
            reported_ms = backend.device_latency_ms
        finally:
            backend.stop()
        one_clock = not stream.separate_clocks
        loop_delays = delays(sent, loop.heard, rate_hz) if one_clock else None
        host_delays = delays(loop.heard, loop.given, rate_hz) if one_clock else None
        total = delays(sent, loop.given, rate_hz)
        end_s = len(sent) / rate_hz
        spans = {
            "bypass": (SETTLE_SECONDS, end_s / 2 - _AROUND_SECONDS),
            "network": (end_s / 2 + _AROUND_SECONDS, end_s),
        }
        parts = tuple(
            Part(
                name,
                total.between(*span),
                loop_delays.between(*span) if loop_delays is not None else None,
                host_delays.between(*span) if host_delays is not None else None,
            )
            for name, span in spans.items()
            if model is not None or name == "bypass"
        )
        block = int(loop.record["longest_block"])
        capture_block = block * rate_hz // stream.capture_rate_hz
        measured = Measured(
            parts,
            rate_hz,
            max(capture_block, 1),
            stream.separate_clocks,
            engine.latency,
            reported_ms,
            engine.statistics(),
            int(loop.record["flags"]),
        )
    share = min((part.loop or part.total).heard_share for part in parts)
    if share < _LEAST_HEARD:
        raise FullbandError(
            f"{backend.describe()}: {100 * share:.0f} % of the probe was heard again: is there a cable from the output "
            "to the input, and are both turned up?"
        )
    return measured
