"""``fullband file``: recordings in, full-band 48 kHz recordings out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..audiofile import Audio, find_audio, open_writer, read
from ..backends.wavfile import FileStream
from ..bandwidth import FULL_BAND_HZ, recording_cutoff_hz
from ..engine import EngineSettings
from ..errors import FullbandError
from ..onnx.contract import RATE_HZ
from ..paths import find_model
from ..report import Report
from ..settings.live import LiveSettings, load_live_settings
from ..stages import specs_of
from .options import CutoffOption, LevelOption, ModelOption, PivotOption, TiltOption

_PIECE_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """One recording to be made."""

    source: Path
    target: Path


def _jobs(source: Path, target: Path) -> list[Job]:
    if not source.is_dir():
        return [Job(source, target / source.name if target.is_dir() else target)]
    if target.exists() and not target.is_dir():
        raise FullbandError(f"{source} is a folder and {target} is a file: give a folder for the output")
    found = find_audio(source)
    if not found:
        raise FullbandError(f"no audio files in {source}: libsndfile's formats are read (wav, flac, ogg, mp3 …)")
    target.mkdir(parents=True, exist_ok=True)
    return [Job(path, target / path.relative_to(source)) for path in found]


def _pieces(audio: Audio) -> Iterator[NDArray[np.float32]]:
    step = int(_PIECE_SECONDS * audio.rate_hz)
    for start in range(0, audio.samples.shape[1], step):
        yield audio.samples[:, start : start + step]


def convert(
    job: Job,
    settings: EngineSettings,
    live: LiveSettings | None = None,
    *,
    force: bool = False,
    subtype: str | None = None,
    plot: Path | None = None,
    advance: Any = None,
) -> dict[str, Any]:
    """Convert one recording; gives the figures of the report. *advance* is called with seconds done.

    Of *live* gain, level, tilt and pivot are followed.
    """
    audio = read(job.source)
    if force and job.target.exists() and job.target.samefile(job.source):
        raise FullbandError(f"{job.target} is the input itself, the same file: choose another name")
    if not 8_000 <= audio.rate_hz <= 96_000:
        raise FullbandError(f"{job.source} has {audio.rate_hz} Hz; rates from 8000 to 96000 Hz are taken")
    channels, frames = audio.samples.shape
    if settings.cutoff_hz is None:
        settings = replace(settings, cutoff_hz=recording_cutoff_hz(audio.samples.mean(axis=0), audio.rate_hz))
    kept: list[NDArray[np.float32]] = []
    stream = FileStream(channels, audio.rate_hz, settings)
    if live is not None:
        wishes = stream.engine.wishes
        wishes.set_gain_db(live.gain_db)
        wishes.set_high_level_db(live.high_level_db)
        wishes.set_high_tilt_db(live.high_tilt_db)
        wishes.set_high_pivot_hz(live.high_pivot_hz)
    try:
        busy_s = 0.0
        with open_writer(job.target, RATE_HZ, channels, subtype=subtype, force=force) as writer:
            for piece in [*_pieces(audio), None]:
                began = time.perf_counter()
                done = stream.finish() if piece is None else stream.push(piece)
                busy_s += time.perf_counter() - began
                writer.write(done)
                if plot is not None:
                    kept.append(done[0])
                if advance is not None and piece is not None:
                    advance(piece.shape[1] / audio.rate_hz)
        seconds = frames / audio.rate_hz
        statistics = stream.statistics()
        result = {
            "input": str(job.source),
            "output": str(job.target),
            "seconds": round(seconds, 6),
            "channels": channels,
            "input_rate_hz": audio.rate_hz,
            "output_rate_hz": RATE_HZ,
            "cutoff_hz": stream.engine.cutoff_hz,
            "latency_ms": stream.engine.latency.algorithmic_ms,
            "rtf": round(busy_s / seconds, 5),
            "hop_p50_ms": round(statistics.hop_p50_ms, 4),
            "cleaned_samples": audio.cleaned_samples + statistics.cleaned_samples,
            "bad_chunks": statistics.bad_chunks,
            "chain": stream.engine.describe_chain(),
        }
    finally:
        stream.close()
    if plot is not None:
        from ..kernel import upsample
        from ..plot import spectrograms

        spectrograms(plot, upsample(audio.samples[0], audio.rate_hz), np.concatenate(kept), job.source.name)
        result["plot"] = str(plot)
    return result


def file(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A recording, or a folder of them.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The recording to make, or a folder.")],
    preset: Annotated[
        str | None, typer.Option("--config", help="A preset or a TOML file: its model, chain, levels and cutoff.")
    ] = None,
    model: ModelOption = None,
    high_level_db: LevelOption = None,
    high_tilt_db: TiltOption = None,
    high_pivot_hz: PivotOption = None,
    cutoff_hz: CutoffOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    subtype: Annotated[str | None, typer.Option(help="Sample format as libsndfile names it: PCM_16, FLOAT …")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG with the spectrograms before and after.")] = None,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write figures as JSON; '-': standard output.")
    ] = None,
) -> None:
    """Make recordings full-band: 48 kHz, as long as the input to the sample, aligned with it.

    Any format of libsndfile, any number of channels. The band below the cutoff (found by
    listening, at most half the sample rate of the file) is left as it is.
    """
    report = Report(json_target)
    given = {
        "model": model, "high_level_db": high_level_db, "high_tilt_db": high_tilt_db, "high_pivot_hz": high_pivot_hz,
        "cutoff_hz": cutoff_hz,
    }  # fmt: skip
    live = load_live_settings(preset, {key: value for key, value in given.items() if value is not None})
    settings = EngineSettings(find_model(live.model), cutoff_hz=live.cutoff_hz, chain=specs_of(live))
    jobs = _jobs(source, target)
    if plot is not None and len(jobs) > 1:
        raise FullbandError("--plot draws one recording; give a file, not a folder", exit_status=2)
    results: list[dict[str, Any]] = []
    failures: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    with Progress(*columns, console=report.console, transient=True) as progress:
        total = progress.add_task("", total=None, speed="")
        for number, job in enumerate(jobs, 1):
            label = f"{number}/{len(jobs)} {job.source.name}" if len(jobs) > 1 else job.source.name
            progress.reset(total, description=label, total=None, speed="")
            began = time.perf_counter()
            done_s = 0.0

            def advance(seconds: float, began: float = began) -> None:
                nonlocal done_s
                done_s += seconds
                speed = done_s / max(time.perf_counter() - began, 1e-6)
                progress.update(total, completed=done_s, speed=f"{speed:.0f} × real time")

            try:
                job.target.parent.mkdir(parents=True, exist_ok=True)
                results.append(convert(job, settings, live, force=force, subtype=subtype, plot=plot, advance=advance))
            except FullbandError as error:
                if len(jobs) == 1:
                    raise
                failures.append(str(error))
                report.console.print(f"[red]{error}[/red]", soft_wrap=True)
    for result in results:
        cleaned = f", {result['cleaned_samples']} bad samples silenced" if result["cleaned_samples"] else ""
        full = " (full: nothing to add)" if result["cutoff_hz"] >= FULL_BAND_HZ else ""
        report.say(
            f"{result['output']}: {result['seconds']:.2f} s, {result['input_rate_hz']} → {RATE_HZ} Hz, "
            f"band to {result['cutoff_hz'] / 1000:g} kHz{full}, "
            f"{1 / max(result['rtf'], 1e-9):.0f} × real time{cleaned}"
        )
    report.finish(results[0] if len(jobs) == 1 else {"files": results, "failures": failures})
    if failures:
        raise FullbandError(f"{len(failures)} of {len(jobs)} recordings could not be converted; the others were")
