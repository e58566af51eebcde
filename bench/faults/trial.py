"""One fault, tried: the real engine on the simulated device with the fault in it, and what was heard of it.

Every fault is tried twice. With the *probe*, in which the network's signal is the voice itself: then neither voice nor
network has anything where clicks are looked for, and the smallest is found. And with the model's own signal, which
is compared with a run without fault. On two clocks, and where a device dies, there is no such run for the model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.supervisor import Supervisor

from ..machine.loads import load
from ..signals.clicks import RATE_HZ
from ..signals.material import TELEPHONE_HZ, at_48_khz, telephone_voice
from .injection import injected
from .succession import Succession
from .table import AT_S, FAULTS, Fault
from .verdict import Heard, Row, judge

#: How long a device stays away: long enough for a first try that fails.
_AWAY_S = 0.4

_LOOK_S = 0.01


def _cut(block_frames: int) -> int:
    """Where a device dies: after whole blocks, and at a whole sample of every rate."""
    unit = math.lcm(block_frames, RATE_HZ // TELEPHONE_HZ)
    return math.ceil(AT_S * RATE_HZ / unit) * unit


def _devices(fault: Fault, block_frames: int) -> list[SimulatedDevice]:
    """The device with the voice; where it dies, and another one comes in its place, both."""
    voice = telephone_voice(fault.seconds)
    if fault.returns is None:
        return [
            SimulatedDevice(
                voice,
                TELEPHONE_HZ,
                block_frames=block_frames,
                freewheel=not fault.real_time,
                capture_ppm=fault.capture_ppm,
            )
        ]
    capture_hz, playback_hz = fault.returns
    cut_s = _cut(block_frames) / RATE_HZ
    rest = at_48_khz(voice)[:, _cut(block_frames) :: RATE_HZ // capture_hz]
    if capture_hz == TELEPHONE_HZ:
        rest = voice[:, round(cut_s * TELEPHONE_HZ) :]
    return [
        SimulatedDevice(voice, TELEPHONE_HZ, block_frames=block_frames, seconds=cut_s, freewheel=True),
        SimulatedDevice(rest, capture_hz, playback_rate_hz=playback_hz, block_frames=block_frames, freewheel=True),
    ]


def _at_48_khz(device: SimulatedDevice) -> NDArray[np.float32]:
    """What *device* played."""
    played = device.played[0]
    if device.stream.playback_rate_hz == RATE_HZ:
        return played.copy()
    import soxr

    return np.asarray(soxr.resample(played, device.stream.playback_rate_hz, RATE_HZ, "VHQ"), np.float32)


def play(fault: Fault, model: Path, guard_ms: float, block_frames: int, *, probe: bool) -> Heard:
    """Run *fault* and give what was heard."""
    played = _devices(fault, block_frames)
    devices = Succession(list(played))
    first = devices.current
    with ExitStack() as stack:
        stack.callback(devices.stop)
        settings = EngineSettings(model, guard_ms=guard_ms, cutoff_hz=TELEPHONE_HZ / 2)
        engine = stack.enter_context(Engine(devices.stream, settings))
        injection = stack.enter_context(injected(engine, first, probe=probe))
        devices.followers.append(injection.follow)
        floor = None
        if fault.real_time:
            voice = telephone_voice(fault.seconds)
            floor = stack.enter_context(SimulatedDevice(voice, TELEPHONE_HZ, block_frames=block_frames))
        if fault.network is not None:
            fault.network(injection)
        if fault.device is not None:
            fault.device(first)
        stack.enter_context(load(fault.load or "idle"))
        engine.start()
        delay = _delay(engine)
        devices.start(engine)
        # The devices stop before the network is let go of.
        stack.callback(devices.stop)
        supervisor = Supervisor(devices, engine)
        if floor is not None:
            floor.run_callbacks(0, 0, 0)
        lost_s: float | None = None
        while devices.active or not devices.ended:
            now_s = time.monotonic()
            supervisor.poll(now_s)
            if supervisor.lost and lost_s is None:
                lost_s = now_s
                injection.leave()
            if lost_s is not None and now_s > lost_s + _AWAY_S:
                devices.plug_in()
            time.sleep(_LOOK_S)
        devices.stop()
        if floor is not None:
            floor.stop()
        return Heard(
            np.concatenate([_at_48_khz(device) for device in played]),
            delay,
            _delay(engine),
            engine.statistics(),
            devices.xruns,
            floor.xruns if floor is not None else 0,
            first.played_frames if fault.returns is not None else None,
        )


def _delay(engine: Engine) -> int:
    """What *engine* claims, and what a device on a clock of its own holds before it hands it over."""
    return engine.delay_samples + (engine.stream.block_frames if engine.stream.separate_clocks else 0)


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
    references: dict[tuple[float, bool], Heard] = {}

    def reference(seconds: float, *, probe: bool) -> Heard:
        if (seconds, probe) not in references:
            calm = Fault("", seconds=seconds)
            references[seconds, probe] = play(calm, model, guard_ms, block_frames, probe=probe)
        return references[seconds, probe]

    rows = []
    for fault in faults:
        if progress is not None:
            progress(fault.name)
        runs = [(play(fault, model, guard_ms, block_frames, probe=True), True)]
        beside = None
        if fault.returns is not None:
            beside = reference(fault.seconds, probe=True)
        elif not quick and fault.capture_ppm is None:
            beside = reference(fault.seconds, probe=False)
            runs.append((play(fault, model, guard_ms, block_frames, probe=False), False))
        rows.append(judge(fault, runs, beside))
    return rows
