"""One fault, tried: the real engine on the simulated device with the fault in it, and what was heard of it.

Every fault is tried twice. With the *probe*, in which the network's signal is the voice itself: then neither voice nor
network has anything where clicks are looked for, and the smallest is found. And with the model's own signal, which
is compared with a run without fault.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.statistics import Statistics

from .alignment import Alignment, align, on_clock
from .clicks import RATE_HZ, Clicks, find_clicks, thresholds
from .faults import AT_S, FAULTS, Fault
from .injection import PROBE_GAIN, injected
from .loads import load
from .material import TELEPHONE_HZ, at_48_khz, telephone_voice

#: What the latency may be off by after a fault: as measured, and on two clocks that are steered.
_SAME_MS = 0.05
_STEERED_MS = 1.0

#: Around a jump of the delay no fault-free run can be laid beside what was heard; the probe is judged there, too.
_BLIND = RATE_HZ // 10


@dataclass(frozen=True)
class Heard:
    """A run: what was played [n] at 48 kHz, the delay that the engine claims, and what was counted."""

    samples: NDArray[np.float32]
    delay: int
    statistics: Statistics
    xruns: int
    floor_xruns: int


@dataclass(frozen=True)
class Row:
    """What one fault did. *excess* is the largest jump over its threshold, found at *at_s*.

    *lost*, *repeated* and *unheard* are samples at 48 kHz, found in what was heard. *xruns* are times when the machine
    kept the simulated device itself waiting; *floor_xruns* the same of a thread that only sleeps, in the same seconds.
    """

    fault: str
    real_time: bool
    clicks: int
    largest_jump: float
    threshold: float
    excess: float
    at_s: float
    lost: int
    repeated: int
    unheard: int
    dull_seconds: float
    latency_before_ms: float
    latency_after_ms: float
    xruns: int
    floor_xruns: int
    hops: int
    deadline_misses: int
    skipped_hops: int
    bad_chunks: int
    problems: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether nothing was heard of it but a voice that was dull for a while."""
        return not self.problems


def play(fault: Fault, model: Path, guard_ms: float, block_frames: int, *, probe: bool) -> Heard:
    """Run *fault* and give what was heard."""
    voice = telephone_voice(fault.seconds)
    with ExitStack() as stack:
        device = stack.enter_context(
            SimulatedDevice(
                voice,
                TELEPHONE_HZ,
                block_frames=block_frames,
                freewheel=not fault.real_time,
                capture_ppm=fault.capture_ppm,
            )
        )
        settings = EngineSettings(model, guard_ms=guard_ms, cutoff_hz=TELEPHONE_HZ / 2)
        engine = stack.enter_context(Engine(device.stream, settings))
        injection = stack.enter_context(injected(engine, device, probe=probe))
        floor = None
        if fault.real_time:
            floor = stack.enter_context(SimulatedDevice(voice, TELEPHONE_HZ, block_frames=block_frames))
        if fault.network is not None:
            fault.network(injection)
        if fault.device is not None:
            fault.device(device)
        stack.enter_context(load(fault.load or "idle"))
        engine.start()
        device.start(engine)
        stack.callback(device.stop)
        if floor is not None:
            floor.run_callbacks(0, 0, 0)
        device.wait()
        if floor is not None:
            floor.stop()
        delay = engine.delay_samples
        if device.stream.separate_clocks:
            delay += block_frames  # which the device itself holds before it hands it over
        return Heard(
            device.played[0].copy(), delay, engine.statistics(), device.xruns, floor.xruns if floor is not None else 0
        )


@lru_cache(maxsize=4)
def _voice(seconds: float) -> NDArray[np.float32]:
    voice = at_48_khz(telephone_voice(seconds))[0]
    voice.flags.writeable = False
    return voice


@lru_cache(maxsize=4)
def _probe_limit(seconds: float) -> NDArray[np.float64]:
    """Thresholds [n] along the voice when the network's signal is the voice at :data:`PROBE_GAIN`."""
    once = telephone_voice().shape[1] * RATE_HZ // TELEPHONE_HZ
    voice = _voice(seconds)
    limit = thresholds([voice[:once], PROBE_GAIN * voice[:once]])
    return np.resize(limit, len(voice))


def _limit(alignment: Alignment, limit: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """*limit* [m], which goes with what was said, laid along *count* samples of what was heard."""
    samples = np.arange(count)
    along = limit[np.clip(samples - alignment.at(samples), 0, len(limit) - 1)]
    for first, last in alignment.changes():
        # One signal ends at one delay while the other begins at another.
        around = slice(max(int(first) - _BLIND, 0), int(last) + _BLIND)
        along[around] = 2.0 * along[around].max()
    return along


def _against_reference(heard: Heard, alignment: Alignment, fault: Fault, reference: Heard) -> Clicks:
    voice = _voice(fault.seconds)
    dry = np.zeros(len(reference.samples))
    dry[reference.delay :] = voice[: len(dry) - reference.delay]
    # As the network's signal lies where it is heard, so does the threshold that comes of it.
    # A network that began anew makes another noise, as loud: of that, both are in the difference.
    network = reference.samples - dry
    limit = thresholds([dry, network, network])
    samples = np.arange(len(heard.samples))
    moved = alignment.at(samples) - reference.delay
    index = np.clip(samples - moved, 0, len(limit) - 1)
    difference = heard.samples - reference.samples[index]
    for first, last in alignment.changes():
        difference[max(int(first) - _BLIND, 0) : int(last) + _BLIND] = 0.0
    return find_clicks(difference, limit[index])


def _problems(row: Row, fault: Fault) -> tuple[str, ...]:
    found = []
    if row.clicks:
        found.append(f"{row.clicks} clicks" if row.clicks > 1 else "a click")
    if not fault.loses and row.lost + row.repeated + row.unheard:
        found.append("samples lost or repeated")
    allowed = _SAME_MS if fault.capture_ppm is None else _STEERED_MS
    if not abs(row.latency_after_ms - row.latency_before_ms) <= allowed:
        found.append("the delay is another")
    return tuple(found)


def judge(fault: Fault, runs: list[tuple[Heard, bool]], reference: Heard | None) -> Row:
    """What *runs* (and whether the probe was used in each) tell of *fault*; *reference* is without it."""
    ppm = fault.capture_ppm or 0.0
    voice = on_clock(_voice(fault.seconds), ppm)
    worst: Clicks | None = None
    clicks = lost = repeated = unheard = 0
    alignments = []
    for heard, probe in runs:
        alignment = align(heard.samples, voice, heard.delay, fault.capture_ppm is not None)
        alignments.append(alignment)
        if not len(alignment.places):
            continue
        if probe:
            limit = _limit(alignment, on_clock(_probe_limit(fault.seconds), ppm), len(heard.samples))
            found = find_clicks(heard.samples, limit)
        elif reference is not None:
            found = _against_reference(heard, alignment, fault, reference)
        else:
            continue
        clicks = max(clicks, found.count)
        lost = max(lost, alignment.lost)
        repeated = max(repeated, alignment.repeated)
        unheard = max(unheard, alignment.unheard)
        if worst is None or found.excess > worst.excess:
            worst = found
    heard, _ = max(runs, key=lambda run: run[0].statistics.dull_seconds)
    statistics = heard.statistics
    end_s = len(heard.samples) / RATE_HZ
    row = Row(
        fault=fault.name,
        real_time=fault.real_time,
        clicks=clicks,
        largest_jump=worst.largest_jump if worst else float("nan"),
        threshold=worst.threshold if worst else float("nan"),
        excess=worst.excess if worst else float("nan"),
        at_s=worst.at_s if worst else float("nan"),
        lost=lost,
        repeated=repeated,
        unheard=unheard,
        dull_seconds=statistics.dull_seconds,
        latency_before_ms=alignments[0].delay_ms(fault.before_s, max(AT_S, fault.before_s + 1.0)),
        latency_after_ms=alignments[0].delay_ms(end_s - 1.0, end_s),
        xruns=heard.xruns,
        floor_xruns=heard.floor_xruns,
        hops=statistics.hops,
        deadline_misses=statistics.deadline_misses,
        skipped_hops=statistics.skipped_hops,
        bad_chunks=statistics.bad_chunks,
    )
    return replace(row, problems=_problems(row, fault))


def run(
    model: Path,
    guard_ms: float = 2.0,
    block_frames: int = 128,
    *,
    quick: bool = False,
    faults: tuple[Fault, ...] = FAULTS,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Try all *faults*. *quick*: with the probe alone, which hears more than the other."""
    rows = []
    references: dict[float, Heard] = {}
    for fault in faults:
        if progress is not None:
            progress(fault.name)
        runs = [(play(fault, model, guard_ms, block_frames, probe=True), True)]
        reference = None
        if not quick and fault.capture_ppm is None:
            if fault.seconds not in references:
                calm = Fault("", seconds=fault.seconds)
                references[fault.seconds] = play(calm, model, guard_ms, block_frames, probe=False)
            reference = references[fault.seconds]
            runs.append((play(fault, model, guard_ms, block_frames, probe=False), False))
        rows.append(judge(fault, runs, reference))
    return rows
