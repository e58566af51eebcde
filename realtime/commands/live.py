"""``fullband live``: from a microphone to a speaker, in real time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..console.live import REFRESH_HZ, REFRESH_RANGE_HZ, LiveConsole
from ..console.screen import can_draw
from ..console.tables import budget_table, chain_table, statistics_table
from ..control.desk import Desk
from ..errors import FullbandError
from ..loglines import INTERVAL_SECONDS, LogLines
from ..onnx.contract import RATE_HZ
from ..presets import Presets
from ..report import Report
from ..session import Session
from ..settings.live import LiveSettings
from ..signals import Signals
from ..taps import Tap
from ..virtualmic import VirtualMicrophone
from .options import CutoffOption, LevelOption, ModelOption, PivotOption, TiltOption

#: Between two looks after the host; the console may be drawn more often.
_LOOK_SECONDS = 0.1
_PLOT_SECONDS = 60.0

_DEFAULT_RECORDING = Path("fullband-live.wav")


class BackendName(StrEnum):
    """Where the audio comes from and goes to."""

    auto = "auto"
    portaudio = "portaudio"
    pyaudio = "pyaudio"
    simulated = "simulated"


@dataclass
class _Listener:
    """Looks on: keeps what is heard, to a file and for the picture."""

    before: Tap
    after: Tap
    write: Callable[[NDArray[np.float32]], None] | None
    kept_before: list[NDArray[np.float32]] = field(default_factory=list)
    kept_after: list[NDArray[np.float32]] = field(default_factory=list)

    def poll(self) -> None:
        before, after = self.before.read(), self.after.read()
        if self.write is not None and after.shape[1]:
            self.write(after)
        for kept, block in ((self.kept_before, before), (self.kept_after, after)):
            kept.append(block[0])
            while sum(map(len, kept)) - len(kept[0]) > _PLOT_SECONDS * RATE_HZ:
                kept.pop(0)


def _process_age_s() -> float:
    """Seconds since this process was started, from the kernel's own record (10 ms grain); 0 elsewhere."""
    try:
        fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
    except (OSError, AttributeError, ValueError):
        return 0.0


@dataclass(frozen=True)
class Telling:
    """How the run is told of: drawn or not, *refresh_hz* times a second; as lines every *interval_s*, also as JSON."""

    view: bool = True
    refresh_hz: float = REFRESH_HZ
    interval_s: float = INTERVAL_SECONDS
    json_lines: str | None = None


def _reloaded(session: Session, presets: Presets | None) -> str:
    """Read the configuration anew, or keep the old one; what to say of it."""
    if presets is None:
        return "SIGHUP: there is no configuration to reload"
    try:
        kept = session.reload(presets.load())
    except FullbandError as error:
        return f"the settings stay as they were: {error}"
    return "configuration reloaded" + (f"; until the next start stay as they were: {', '.join(kept)}" if kept else "")


def _watch(
    session: Session,
    desk: Desk,
    listener: _Listener,
    report: Report,
    telling: Telling,
    presets: Presets | None,
    microphone: VirtualMicrophone | None = None,
) -> None:
    """Draw, record and obey until the time is up, the source has ended, or somebody ends it."""
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        console = None
        if telling.view:
            console = LiveConsole(session, desk, report.console, report.say, telling.refresh_hz, presets)
            stack.enter_context(console)
        say_lines = report.say if console is None and telling.json_lines != "-" else None
        log = stack.enter_context(LogLines(session, telling.json_lines, say_lines, telling.interval_s))

        def tell(line: str) -> None:
            log.tell(line)
            (report.say if console is None else console.tell)(line)

        next_s = 0.0
        while session.running and not desk.stopping and not signals.ending:
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + _LOOK_SECONDS
                listener.poll()
                if signals.take_reload():
                    tell(_reloaded(session, presets))
                if microphone is not None:
                    microphone.keep(session.lost)
                for line in session.poll():
                    tell(line)
                log.update()
            frame_s = _LOOK_SECONDS if console is None else console.update()
            desk.serve(session.remaining_s(max(min(frame_s, next_s - time.monotonic()), 0.0)))


def _summary(report: Report, result: dict[str, Any], session: Session) -> None:
    if report.taken:
        return
    statistics = session.statistics()
    report.say(f"\n[bold]{statistics.seconds:.1f} s[/bold] through {session.backend.describe()}")
    report.console.print(statistics_table(statistics, session.engine.stream.separate_clocks))
    if chain := session.engine.describe_chain():
        report.say("chain")
        report.console.print(chain_table(chain))
    report.say("latency")
    report.console.print(budget_table(session.latency))
    report.say(f"first audio {result['first_audio_ms']:.0f} ms after the command")
    for key in ("record", "plot"):
        if result.get(key):
            report.say(f"{key}: {result[key]}")


def run(
    settings: LiveSettings,
    report: Report,
    *,
    telling: Telling | None = None,
    presets: Presets | None = None,
) -> dict[str, Any]:
    """Run until the end and give the figures of the report. *presets* is how they can be had anew."""
    with ExitStack() as stack:
        microphone = None
        if settings.virtual_mic is not None:
            microphone = stack.enter_context(VirtualMicrophone(settings.virtual_mic))
            for line in microphone.notices:
                report.say(line)
            settings = microphone.adopt(settings)
            if presets is not None:
                presets.adopt = microphone.adopt
        session = stack.enter_context(Session(settings))
        for line in session.poll():
            report.say(line)
        engine, backend = session.engine, session.backend
        record, plot = settings.record, settings.plot
        if backend.name == "simulated":
            record = record or _DEFAULT_RECORDING
            plot = plot or record.with_suffix(".png")
        write = None
        if record is not None:
            from ..audiofile import open_writer

            force = settings.force or record == _DEFAULT_RECORDING
            writer = stack.enter_context(
                open_writer(record, RATE_HZ, engine.settings.lanes, force=force, keep_on_error=True)
            )
            write = writer.write
        desk = stack.enter_context(Desk(session, name=settings.name, load_settings=presets.load if presets else None))
        if settings.metrics_port is not None:
            desk.serve_metrics(settings.metrics_port)
        for line in desk.notices:
            report.say(line)
        listener = _Listener(Tap(engine.low), Tap(engine.mix), write)
        # The devices are closed before the recording is.
        stack.callback(session.stop)
        session.start()
        first_audio_ms = round(1000.0 * _process_age_s(), 1)
        with suppress(KeyboardInterrupt):
            _watch(session, desk, listener, report, telling or Telling(can_draw(report.console)), presets, microphone)
        desk.leave()
        session.stop()
        listener.poll()
        result = {
            "first_audio_ms": first_audio_ms,
            **session.figures(),
            "record": str(record) if record else None,
            "lost_recording_samples": listener.after.lost_samples,
        }
        if plot is not None:
            from ..plot import spectrograms

            before, after = np.concatenate(listener.kept_before), np.concatenate(listener.kept_after)
            delay = min(engine.delay_samples, len(after))
            spectrograms(plot, before, after[delay:], backend.describe())
            result["plot"] = str(plot)
        _summary(report, result, session)
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
    virtual_mic: Annotated[
        str | None, typer.Option(help="Be a microphone of this name to other programs, instead of --output.")
    ] = None,
    backend: Annotated[BackendName | None, typer.Option(help="Where audio comes from and goes to.")] = None,
    model: ModelOption = None,
    rate_hz: Annotated[
        int | None, typer.Option("--rate", min=8000, max=96_000, help="Sample rate of the devices, in Hz.")
    ] = None,
    block_frames: Annotated[int | None, typer.Option("--block", min=16, max=4096, help="Frames per callback.")] = None,
    guard_ms: Annotated[
        float | None, typer.Option("--guard", min=0.0, max=200.0, help="Delay held against late hops, in ms.")
    ] = None,
    high_level_db: LevelOption = None,
    high_tilt_db: TiltOption = None,
    high_pivot_hz: PivotOption = None,
    cutoff_hz: CutoffOption = None,
    bypass: Annotated[bool | None, typer.Option("--bypass/--no-bypass", help="Only pass the voice through.")] = None,
    cpu: Annotated[int | None, typer.Option(min=0, help="Keep the engine on this core alone.")] = None,
    keep_awake: Annotated[
        bool | None,
        typer.Option("--keep-awake/--let-sleep", help="Let no processor sleep: fewer late hops, for power."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after so long.")] = None,
    source: Annotated[Path | None, typer.Option(help="A recording as the microphone of the simulated device.")] = None,
    record: Annotated[Path | None, typer.Option(help="Keep what is heard.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG with the spectrograms before and after.")] = None,
    force: Annotated[bool | None, typer.Option("--force/--no-force", help="Overwrite files that exist.")] = None,
    name: Annotated[str | None, typer.Option(help="How 'fullband ctl --to' calls this host.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Serve figures for Prometheus on this loopback port.")
    ] = None,
    refresh_hz: Annotated[
        float,
        typer.Option("--refresh", min=REFRESH_RANGE_HZ[0], max=REFRESH_RANGE_HZ[1], help="Drawn so often a second."),
    ] = REFRESH_HZ,
    plain: Annotated[bool, typer.Option("--plain", help="Do not draw: a line now and then, see --interval.")] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=0.0, help="Seconds between lines of --plain and --json-lines; 0: none.")
    ] = INTERVAL_SECONDS,
    json_lines: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Append a snapshot as a line of JSON every --interval; '-': standard output."
        ),
    ] = None,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write the final figures as JSON; '-': standard output.")
    ] = None,
) -> None:
    """Make a microphone full-band in real time, until Ctrl-C.

    Without a sound device the simulated one plays a voice clip, ends by itself and leaves a recording and a
    picture of it.
    """
    if json_target == "-" and json_lines == "-":
        raise FullbandError("--json and --json-lines cannot both have standard output: give one of them a file", 2)
    report = Report(json_target, taken=json_lines == "-")
    given = {
        "input": input, "output": output, "virtual_mic": virtual_mic, "backend": backend, "model": model,
        "rate_hz": rate_hz, "block_frames": block_frames, "guard_ms": guard_ms, "cutoff_hz": cutoff_hz,
        "bypass": bypass, "high_level_db": high_level_db, "high_tilt_db": high_tilt_db, "high_pivot_hz": high_pivot_hz,
        "cpu": cpu, "keep_awake": keep_awake, "seconds": seconds, "source": source, "record": record, "plot": plot,
        "force": force, "name": name, "metrics_port": metrics_port,
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    presets = Presets(preset, given)
    settings = presets.load()
    signal.signal(signal.SIGTERM, _interrupt)
    view = not plain and not report.taken and can_draw(report.console)
    telling = Telling(view, refresh_hz, interval_s, json_lines)
    result = run(settings, report, telling=telling, presets=presets)
    report.finish(result)
