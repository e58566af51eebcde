"""Two clocks that run apart, for an hour of audio, faster than real time: does the delay stay, is the tone clean?

A tone goes from a simulated microphone to a simulated speaker on another clock, through the engine. Its phase tells the
delay to a millionth of a second, twice a second; its spectrum what steering adds to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings

RATE_HZ = 48_000
TONE_HZ = 1_000.0
BLOCK_FRAMES = 128

#: Audio looked at once in a time; a device that repeats keeps ten seconds.
_PIECE_S = 5.0

#: Length and distance of what a delay is measured on.
_WINDOW = RATE_HZ // 10
_EVERY = RATE_HZ // 2

#: By then two clocks are to be one.
SETTLED_S = 10.0

#: What the delay may do after that, and what may be heard beside a tone.
MOST_OFF_MS = 1.0
MOST_SPURS_DB = -80.0

#: From when on the delay is said to have settled: within this of where it stays.
_SETTLING_MS = 0.5


@dataclass(frozen=True)
class Timing:
    """How callbacks come. *guard_ms* is what such callbacks need; ``live`` finds that by itself."""

    name: str
    guard_ms: float = 0.0
    jitter_ms: float = 0.0
    burst: int = 1
    stall_ms: float = 0.0


#: A stall in every ten seconds: the device's buffer holds, and all that was due comes at once.
TIMINGS = (
    Timing("steady"),
    Timing("jitter", guard_ms=7.0, jitter_ms=6.0),
    Timing("pairs", guard_ms=6.0, burst=2),
    Timing("stalls", guard_ms=22.0, stall_ms=20.0),
)


@dataclass(frozen=True)
class Drift:
    """What came of one hour. Delays are against their median after :data:`SETTLED_S`, in ms; *spurs_db* is the worst.

    *resyncs*: times that the delay was set anew, by a jump; *holes*: times that there was nothing to play. Without
    either no sample is lost or repeated. While two devices begin they are no fault; the *late* ones came after that.
    """

    timing: str
    ppm: float
    minutes: float
    settle_s: float
    least_off_ms: float
    most_off_ms: float
    spurs_db: float
    steered_ppm: float
    resyncs: int
    late_resyncs: int
    holes: int
    late_holes: int
    seconds: float
    problems: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether the delay stayed and nothing was heard."""
        return not self.problems


def _phases(heard: NDArray[np.float64], first: int, tone_hz: float) -> NDArray[np.float64]:
    """The tone's delay in periods, modulo one, in windows of *heard*, whose first sample is number *first*."""
    window = np.hanning(_WINDOW)
    starts = np.arange(0, len(heard) - _WINDOW + 1, _EVERY)
    found = []
    for start in starts:
        turned = np.exp(-2j * np.pi * tone_hz / RATE_HZ * (first + start + np.arange(_WINDOW)))
        found.append(-np.angle(np.sum(heard[start : start + _WINDOW] * window * turned)) / (2.0 * np.pi))
    return np.array(found)


def _spurs_db(heard: NDArray[np.float64], tone_hz: float) -> float:
    """The strongest line more than 5 Hz away from the tone, against the tone."""
    power = np.abs(np.fft.rfft(heard * np.kaiser(len(heard), 20.0)))
    away = np.abs(np.fft.rfftfreq(len(heard), 1.0 / RATE_HZ) - tone_hz) > 5.0
    return float(20.0 * np.log10(power[away].max() / power.max() + 1e-12))


def _pieces(device: SimulatedDevice, engine: Engine, timing: Timing) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """What is heard, piece by piece, with the number of its first sample."""
    blocks = round(_PIECE_S * RATE_HZ / BLOCK_FRAMES)
    limit = int(device.record["limit_frames"])
    first = 0
    while first < limit:
        last = min(first + blocks * BLOCK_FRAMES, limit)
        device.record["limit_frames"] = last
        if timing.stall_ms and first // round(_PIECE_S * RATE_HZ) % 2:  # one in ten seconds
            device.stall(1e-3 * timing.stall_ms, (first + last) / (2 * RATE_HZ))
        device.start(engine)
        while device.active:
            time.sleep(0.002)
        device.stop()
        yield first, device.heard(first, last)[0].astype(np.float64)
        first = last


def _problems(drift: Drift) -> tuple[str, ...]:
    found = []
    if max(-drift.least_off_ms, drift.most_off_ms) > MOST_OFF_MS:
        found.append("the delay moves")
    if not drift.settle_s <= SETTLED_S:
        found.append("it settles too late")
    if not drift.spurs_db < MOST_SPURS_DB:
        found.append("the tone is not clean")
    if drift.late_resyncs + drift.late_holes:
        found.append("samples lost or repeated")
    return tuple(found)


def play(timing: Timing, ppm: float, minutes: float, progress: Callable[[float], None] | None = None) -> Drift:
    """*minutes* of audio between clocks *ppm* apart; *progress* is told the seconds of audio so far."""
    began_s = time.monotonic()
    seconds = 60.0 * minutes
    # A second holds whole periods, so that it can be repeated for ever.
    tone = (0.5 * np.sin(2.0 * np.pi * TONE_HZ * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)[None]
    tone_hz = TONE_HZ * (1.0 + 1e-6 * ppm)
    phases: list[NDArray[np.float64]] = []
    times: list[NDArray[np.float64]] = []
    spurs_db = -np.inf
    with (
        SimulatedDevice(
            tone,
            RATE_HZ,
            block_frames=BLOCK_FRAMES,
            seconds=seconds,
            repeat=True,
            freewheel=True,
            capture_ppm=ppm,
        ) as device,
        Engine(device.stream, EngineSettings(None, guard_ms=timing.guard_ms, realtime_priority=0)) as engine,
    ):
        held = max(round(1e-3 * timing.stall_ms * RATE_HZ / BLOCK_FRAMES) + 2, 2)
        device.disturb(jitter_ms=timing.jitter_ms, burst=timing.burst, buffered_blocks=held)
        engine.start()
        early = engine.statistics()
        for first, heard in _pieces(device, engine, timing):
            if first < SETTLED_S * RATE_HZ:
                early = engine.statistics()
            phases.append(_phases(heard, first, tone_hz))
            times.append((first + _EVERY * np.arange(len(phases[-1]))) / RATE_HZ)
            if first >= SETTLED_S * RATE_HZ and len(heard) >= RATE_HZ:
                spurs_db = max(spurs_db, _spurs_db(heard, tone_hz))
            if progress is not None:
                progress((first + len(heard)) / RATE_HZ)
        statistics = engine.statistics()
        steered_ppm = engine.drift_ppm
    at_s = np.concatenate(times)
    # A tone tells its delay up to whole periods; between two looks it moves by far less than half of one.
    delays_ms = np.unwrap(np.concatenate(phases), period=1.0) / tone_hz * 1000.0
    settled = at_s >= SETTLED_S
    off_ms = delays_ms - np.median(delays_ms[settled])
    moved = np.abs(off_ms) > _SETTLING_MS
    drift = Drift(
        timing=timing.name,
        ppm=ppm,
        minutes=minutes,
        settle_s=float(at_s[np.flatnonzero(moved)[-1]] + _EVERY / RATE_HZ) if moved.any() else 0.0,
        least_off_ms=float(off_ms[settled].min()),
        most_off_ms=float(off_ms[settled].max()),
        spurs_db=spurs_db,
        steered_ppm=steered_ppm,
        resyncs=statistics.resyncs,
        late_resyncs=statistics.resyncs - early.resyncs,
        holes=statistics.underruns,
        late_holes=statistics.underruns - early.underruns,
        seconds=time.monotonic() - began_s,
    )
    return Drift(**{**drift.__dict__, "problems": _problems(drift)})
