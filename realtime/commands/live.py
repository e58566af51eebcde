"""``fullband live``: from a microphone to a speaker, in real time."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.live import Live

from ..backends.base import Backend
from ..backends.simulated import SimulatedDevice
from ..bandwidth import BandwidthDetector
from ..config import LiveSettings, load_live_settings
from ..console import ViewState, budget_table, render, statistics_table
from ..engine import Engine, EngineSettings
from ..errors import FullbandError
from ..guard import GuardControl, GuardKeeper
from ..latency import LatencyBudget
from ..onnx.contract import RATE_HZ
from ..paths import VOICE_CLIP, find_model
from ..report import Report
from ..taps import Meter, Tap

_FRAME_SECONDS = 0.1
_PLOT_SECONDS = 60.0

#: Where the device has no size of its own: 2.7 ms.
_BLOCK_FRAMES = 128
_DEFAULT_RECORDING = Path("fullband-live.wav")


class BackendName(StrEnum):
    """Where the audio comes from and goes to."""

    auto = "auto"
    portaudio = "portaudio"
    pyaudio = "pyaudio"
    simulated = "simulated"


@dataclass
class _Listener:
    """Looks on: keeps what is heard, to a file and for the picture, and finds the voice's bandwidth."""

    before: Tap
    after: Tap
    write: Callable[[NDArray[np.float32]], None] | None
    engine: Engine
    detector: BandwidthDetector | None
    kept_before: list[NDArray[np.float32]] = field(default_factory=list)
    kept_after: list[NDArray[np.float32]] = field(default_factory=list)

    def poll(self) -> None:
        before, after = self.before.read(), self.after.read()
        if self.detector is not None:
            nyquist_hz = self.engine.stream.capture_rate_hz / 2
            self.engine.set_cutoff_hz(min(self.detector.push(before[0]), nyquist_hz))
        if self.write is not None and after.shape[1]:
            self.write(after)
        for kept, block in ((self.kept_before, before), (self.kept_after, after)):
            kept.append(block[0])
            while sum(map(len, kept)) - len(kept[0]) > _PLOT_SECONDS * RATE_HZ:
                kept.pop(0)


def simulated_microphone(settings: LiveSettings) -> SimulatedDevice:
    """The recording of *settings* (by default the clip that ships) as a microphone of ``simulated_rate_hz``."""
    import soxr

    from ..audiofile import read

    audio = read(settings.source or VOICE_CLIP)
    voice = audio.samples.mean(axis=0)
    rate_hz = settings.rate_hz or settings.simulated_rate_hz
    narrow = soxr.resample(voice, audio.rate_hz, rate_hz).astype(np.float32)[None]
    return SimulatedDevice(
        narrow,
        rate_hz,
        playback_rate_hz=RATE_HZ,
        block_frames=settings.block_frames or _BLOCK_FRAMES,
        seconds=settings.seconds,
    )


def open_backend(settings: LiveSettings, report: Report) -> Backend:
    """The backend that *settings* name; ``auto`` is PortAudio, or the simulated one where there is no device."""
    name = settings.backend
    if name == "auto":
        name = "portaudio"
        if settings.source is not None:
            name = "simulated"
        elif settings.input is None and settings.output is None:
            from ..devices import list_devices

            try:
                devices = list_devices()
            except FullbandError as error:
                devices = []
                report.say(f"[yellow]{error}[/yellow]")
            kinds = (any(d.max_input_channels for d in devices), any(d.max_output_channels for d in devices))
            if kinds != (True, True):
                report.say("No sound device here: the simulated one plays the voice clip that ships with fullband.")
                name = "simulated"
    if name == "simulated":
        return simulated_microphone(settings)
    rate_hz = settings.rate_hz
    if name == "pyaudio":
        from ..backends.pyaudio import PyAudio

        block_frames = settings.block_frames or _BLOCK_FRAMES
        return PyAudio(settings.input, settings.output, rate_hz=rate_hz, block_frames=block_frames)
    from ..backends.portaudio import PortAudio

    return PortAudio(
        settings.input,
        settings.output,
        rate_hz=rate_hz,
        block_frames=settings.block_frames,
        latency=settings.device_latency,
    )


def _process_age_s() -> float:
    """Seconds since this process was started, from the kernel's own record (10 ms grain); 0 elsewhere."""
    try:
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
    except (OSError, AttributeError, ValueError):
        return 0.0


def _wait_for_audio(engine: Engine, backend: Backend) -> float:
    """Milliseconds from the start of the process to the first block played; fails when none comes.

    The delay is then planned for blocks of the size that the device really brings.
    """
    deadline = time.monotonic() + 5.0
    while int(engine.playback["blocks"]) == 0:
        if time.monotonic() > deadline or not backend.active:
            raise FullbandError(f"no audio comes from {backend.describe()}: see 'fullband doctor'")
        time.sleep(0.002)
    first_audio_ms = 1000.0 * _process_age_s()
    brought = int(engine.playback["device_frames"]) // int(engine.playback["blocks"])
    if brought != engine.stream.block_frames:
        engine.set_block_frames(brought)
    return first_audio_ms


def _budget(engine: Engine, backend: Backend) -> LatencyBudget:
    capture_ms, playback_ms = backend.device_latency_ms
    return replace(engine.latency, capture_device_ms=capture_ms, playback_device_ms=playback_ms)


def _watch(
    engine: Engine,
    backend: Backend,
    listener: _Listener,
    guard: GuardControl | None,
    report: Report,
    settings: LiveSettings,
    view: bool,
) -> None:
    """Draw and record until the time is up, the source has ended, or Ctrl-C."""
    before, after = Meter(engine.low), Meter(engine.mix)
    title = f"{backend.describe()}, block {engine.stream.block_frames}"
    # The simulated device ends by itself, and by its own clock.
    timed = settings.seconds is not None and backend.name != "simulated"
    end = time.monotonic() + (settings.seconds or 0.0) if timed else None
    with ExitStack() as stack:
        live = None
        if view:
            live = stack.enter_context(Live(console=report.console, auto_refresh=False, transient=True))
        while backend.active and (end is None or time.monotonic() < end):
            listener.poll()
            if guard is not None:
                guard.poll(time.monotonic())
            if live is not None:
                before.update()
                after.update()
                state = ViewState(
                    title,
                    backend,
                    engine,
                    before,
                    after,
                    _budget(engine, backend),
                    engine.statistics(),
                    getattr(backend, "xruns", 0),
                    bool(engine.playback["enabled"]),
                )
                live.update(render(state), refresh=True)
            time.sleep(_FRAME_SECONDS if end is None else min(_FRAME_SECONDS, max(end - time.monotonic(), 0.0)))


def _summary(report: Report, result: dict[str, Any], engine: Engine, backend: Backend) -> None:
    if report.json_target == "-":
        return
    statistics = engine.statistics()
    meter = Meter(engine.low)
    state = ViewState(
        "", backend, engine, meter, meter, _budget(engine, backend), statistics, getattr(backend, "xruns", 0), True
    )
    report.say(f"\n[bold]{statistics.seconds:.1f} s[/bold] through {backend.describe()}")
    report.console.print(statistics_table(state))
    report.say("latency")
    report.console.print(budget_table(_budget(engine, backend)))
    report.say(f"first audio {result['first_audio_ms']:.0f} ms after the command")
    for key in ("record", "plot"):
        if result.get(key):
            report.say(f"{key}: {result[key]}")


def run(settings: LiveSettings, report: Report, *, view: bool = True) -> dict[str, Any]:
    """Run until the end and give the figures of the report."""
    model = find_model(settings.model)
    backend = open_backend(settings, report)
    record, plot = settings.record, settings.plot
    if backend.name == "simulated":
        record = record or _DEFAULT_RECORDING
        plot = plot or record.with_suffix(".png")
    engine_settings = EngineSettings(
        model, guard_ms=settings.guard_ms, cutoff_hz=settings.cutoff_hz, realtime_priority=settings.realtime_priority
    )
    result: dict[str, Any] = {}
    with ExitStack() as stack:
        engine = stack.enter_context(Engine(backend.stream, engine_settings))
        engine.set_enabled(not settings.bypass)
        write = None
        if record is not None:
            from ..audiofile import open_writer

            force = settings.force or record == _DEFAULT_RECORDING
            writer = stack.enter_context(
                open_writer(record, RATE_HZ, engine.settings.lanes, force=force, keep_on_error=True)
            )
            write = writer.write
        detector = BandwidthDetector() if settings.cutoff_hz is None else None
        listener = _Listener(Tap(engine.low), Tap(engine.mix), write, engine, detector)
        gc.collect()
        gc.freeze()
        engine.start()
        stack.callback(backend.stop)
        backend.start(engine)
        result["first_audio_ms"] = round(_wait_for_audio(engine, backend), 1)
        guard = None
        if settings.adaptive_guard and engine.inference is not None:
            keeper = GuardKeeper(settings.guard_ms)
            guard = GuardControl(keeper, engine.inference.take_least_margin, engine.set_guard_ms)
        ended_by_itself = True
        try:
            _watch(engine, backend, listener, guard, report, settings, view)
        except KeyboardInterrupt:
            ended_by_itself = False
        died = ended_by_itself and backend.name != "simulated" and not backend.active
        budget = _budget(engine, backend)
        backend.stop()
        engine.stop()
        listener.poll()
        result |= {
            "backend": backend.name,
            "devices": backend.describe(),
            "model": engine.inference.contract.name if engine.inference else None,
            "capture_rate_hz": backend.stream.capture_rate_hz,
            "playback_rate_hz": backend.stream.playback_rate_hz,
            "block_frames": engine.stream.block_frames,
            "guard_changes": guard.changes if guard else 0,
            "cutoff_hz": engine.cutoff_hz,
            "realtime": engine.realtime_granted,
            "latency": budget.as_dict(),
            "device_xruns": getattr(backend, "xruns", 0),
            "statistics": engine.statistics().as_dict(),
            "record": str(record) if record else None,
            "lost_recording_samples": listener.after.lost_samples,
        }
        if plot is not None:
            from ..plot import spectrograms

            before, after = np.concatenate(listener.kept_before), np.concatenate(listener.kept_after)
            delay = min(engine.delay_samples, len(after))
            spectrograms(plot, before, after[delay:], backend.describe())
            result["plot"] = str(plot)
        _summary(report, result, engine, backend)
        if died:
            raise FullbandError(
                f"{backend.describe()} stopped by itself: is the device still there? 'fullband devices'"
            )
    return result


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def live(
    preset: Annotated[
        str | None, typer.Option("--config", help="A preset by name, or the path of a TOML file.")
    ] = None,
    input: Annotated[str | None, typer.Option(help="Capture device by a part of its name, e.g. 'usb headset'.")] = None,
    output: Annotated[
        str | None, typer.Option(help="Playback device, likewise; 'JACK: FakeMic' names the system too.")
    ] = None,
    backend: Annotated[BackendName | None, typer.Option(help="Where audio comes from and goes to.")] = None,
    model: Annotated[str | None, typer.Option(help="A shipped model, the path of an .onnx file, or 'none'.")] = None,
    rate_hz: Annotated[
        int | None, typer.Option("--rate", min=8000, max=96_000, help="Sample rate of the devices, in Hz.")
    ] = None,
    block_frames: Annotated[int | None, typer.Option("--block", min=16, max=4096, help="Frames per callback.")] = None,
    guard_ms: Annotated[
        float | None, typer.Option("--guard", min=0.0, max=200.0, help="Delay held against late hops, in ms.")
    ] = None,
    cutoff_hz: Annotated[
        float | None,
        typer.Option("--cutoff", min=2000.0, max=24_000.0, help="Where the voice's band ends; found by itself."),
    ] = None,
    bypass: Annotated[bool | None, typer.Option("--bypass/--no-bypass", help="Only pass the voice through.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after so long.")] = None,
    source: Annotated[Path | None, typer.Option(help="A recording as the microphone of the simulated device.")] = None,
    record: Annotated[Path | None, typer.Option(help="Keep what is heard.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG with the spectrograms before and after.")] = None,
    force: Annotated[bool | None, typer.Option("--force/--no-force", help="Overwrite files that exist.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Do not draw.")] = False,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write figures as JSON; '-': standard output.")
    ] = None,
) -> None:
    """Make a microphone full-band in real time, until Ctrl-C.

    Without a sound device the simulated one plays a voice clip, ends by itself and leaves a recording and a
    picture of it.
    """
    report = Report(json_target)
    given = {
        "input": input, "output": output, "backend": backend, "model": model, "rate_hz": rate_hz,
        "block_frames": block_frames, "guard_ms": guard_ms, "cutoff_hz": cutoff_hz, "bypass": bypass,
        "seconds": seconds, "source": source, "record": record, "plot": plot, "force": force,
    }  # fmt: skip
    settings = load_live_settings(preset, {key: value for key, value in given.items() if value is not None})
    signal.signal(signal.SIGTERM, _interrupt)
    result = run(settings, report, view=not plain and json_target != "-" and report.console.is_terminal)
    report.finish(result)
