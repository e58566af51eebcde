"""``fullband match``: level and tilt of the high band as a microphone has them, by full-band recordings of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import soxr
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, track
from rich.table import Table

from ..audiofile import find_audio, open_writer, read
from ..backends.microphone import record
from ..bandwidth import CUTOFF_RANGE_HZ, recording_cutoff_hz
from ..devices import Device, find
from ..errors import FullbandError
from ..matching import Difference, compare, fit
from ..onnx.contract import RATE_HZ
from ..paths import find_model
from ..report import Report
from ..settings.live import load_live_settings
from ..settings.saving import save_settings
from ..wishes import AS_IT_IS, Brightness
from .options import ModelOption

#: A voice of 16 kHz, as most headsets and calls have it.
CUTOFF_HZ = 8_000.0

#: From there to a full band there are as many octaves as are needed.
_HIGHEST_CUTOFF_HZ = 14_000.0

#: A recording is judged by its beginning.
_LONGEST_S = 60

#: What is spoken into a microphone.
_SPOKEN_S = 15.0

_HEADING = "The high band as a microphone has it, as 'fullband match' found it."


@dataclass(frozen=True)
class Found:
    """One recording: what it asks for by itself, and how far it is off, in dB, without and with what all ask for."""

    name: str
    own: Brightness
    off_db: float
    left_db: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numbers = {**self.own._asdict(), "off_db": self.off_db, "left_db": self.left_db}
        return {"recording": self.name, **{name: round(value, 2) for name, value in numbers.items()}}


def _recordings(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = find_audio(path) if path.is_dir() else [path]
        if not inside:
            raise FullbandError(f"no audio files in {path}: give full-band recordings of the microphone")
        found += inside
    return list(dict.fromkeys(found))


class _Recording(NamedTuple):
    """Of one microphone: *samples* [n]."""

    name: str
    samples: NDArray[np.float32]
    rate_hz: int


def _read(path: Path) -> _Recording:
    audio = read(path)
    return _Recording(str(path), audio.samples[:, : _LONGEST_S * audio.rate_hz].mean(axis=0), audio.rate_hz)


def _spoken(device: Device, seconds: float, keep: Path | None, report: Report) -> _Recording:
    """What somebody says into *device*, who is told how long, and how loud."""
    rate_hz = round(device.default_rate_hz)
    report.console.print(f"speak into '{device.label}' for {seconds:g} s, as in a call", soft_wrap=True)
    columns = (TextColumn("{task.fields[level]}"), BarColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=report.console, transient=True, disable=not report.console.is_terminal)
    with open_writer(keep, rate_hz, 1) if keep else nullcontext() as writer, shown as progress:
        task = progress.add_task("", total=seconds, level="")

        def heard(block: NDArray[np.float32]) -> None:
            level_dbfs = 10.0 * np.log10(np.mean(np.square(block)) + 1e-12)
            progress.update(task, advance=len(block) / rate_hz, level=f"{level_dbfs:4.0f} dBFS")

        samples = record(device, seconds, heard)
        if writer is not None:
            writer.write(samples[None])
    return _Recording(device.label, samples, rate_hz)


def _difference(recording: _Recording, model: Path, cutoff_hz: float) -> Difference:
    name, samples, rate_hz = recording
    end_hz = recording_cutoff_hz(samples, rate_hz)
    try:
        return compare(soxr.resample(samples, rate_hz, RATE_HZ).astype(np.float32), end_hz, model, cutoff_hz)
    except FullbandError as error:
        raise FullbandError(f"{name}: {error}") from None


def _table(found: Sequence[Found]) -> Table:
    table = Table("recording", "level", "tilt", "off by", "then", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    # One may be a device, whose name is no path.
    names = [Path(one.name).name for one in found] if len(found) > 1 else [one.name for one in found]
    for one, name in zip(found, names, strict=True):
        if names.count(name) > 1:
            name = f"{Path(one.name).parent.name}/{name}"
        numbers = (f"{one.own.level_db:+.1f} dB", f"{one.own.tilt_db:+.1f} dB/oct")
        table.add_row(name, *numbers, f"{one.off_db:.1f} dB", f"{one.left_db:.1f} dB")
    return table


def match(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RECORDING", help="Full-band recordings of it, or folders; none: speak into it."),
    ] = None,
    microphone: Annotated[
        str | None, typer.Option("--input", help="The microphone to speak into: any part of its name, or its number.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=3.0, max=_LONGEST_S, help=f"How long to speak; without it {_SPOKEN_S:g}.")
    ] = None,
    keep: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what was spoken.")] = None,
    preset: Annotated[
        str | None, typer.Option("--config", help="A preset or a TOML file: its model and cutoff, and what is saved.")
    ] = None,
    model: ModelOption = None,
    cutoff_hz: Annotated[
        float | None,
        typer.Option(
            "--cutoff",
            min=CUTOFF_RANGE_HZ[0],
            max=_HIGHEST_CUTOFF_HZ,
            help=f"Where a voice's band may end, in Hz; without it {CUTOFF_HZ:.0f}. It holds for others, too.",
        ),
    ] = None,
    save: Annotated[
        str | None, typer.Option(metavar="NAME", help="Save as a preset for `live` and `file`, or as a .toml file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the preset if it exists.")] = False,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write figures as JSON; '-': standard output.")
    ] = None,
) -> None:
    """Find the level and tilt that give the high band the brightness of a microphone.

    A low band does not tell how bright its microphone, room and distance are, but full-band
    recordings of the same chain do, whoever speaks. What is above the cutoff in them is compared
    with what the model puts there. A minute of speech is plenty.

    Without recordings, speak into the microphone yourself: the one that sounds as all calls shall.
    """
    report = Report(json_target)
    if recordings and (microphone, seconds, keep) != (None, None, None):
        raise FullbandError("--input, --seconds and --keep are for speaking: give them, or recordings", exit_status=2)
    given = {} if model is None else {"model": model}
    live = load_live_settings(preset, given)
    chosen = find_model(live.model)
    if chosen is None:
        raise FullbandError("'none' is no model to match: give one with --model", exit_status=2)
    edge_hz = cutoff_hz or live.cutoff_hz or CUTOFF_HZ
    heard: Iterable[_Recording]
    if recordings:
        paths = _recordings(recordings)
        heard, count = map(_read, paths), len(paths)
    else:
        device = find(microphone or live.input, "input")
        heard, count = [_spoken(device, seconds or _SPOKEN_S, keep, report)], 1
    quiet = report.taken or not report.console.is_terminal
    names, differences = [], []
    for recording in track(heard, "matching", count, console=report.console, transient=True, disable=quiet):
        names.append(recording.name)
        differences.append(_difference(recording, chosen, edge_hz))
    together = fit(differences)
    # What is said, saved and used is the same.
    wish = Brightness(round(together.level_db, 1), round(together.tilt_db, 1))
    found = [
        Found(name, fit([one]), one.left_db(AS_IT_IS), one.left_db(wish))
        for name, one in zip(names, differences, strict=True)
    ]
    if not report.taken:
        report.console.print(_table(found))
    report.say(f"--level {wish.level_db:g} --tilt {wish.tilt_db:g} --pivot {edge_hz:g}")
    result = {"model": live.model, "pivot_hz": edge_hz, **wish._asdict(), "recordings": [x.as_dict() for x in found]}
    if save is not None:
        wishes = {"high_level_db": wish.level_db, "high_tilt_db": wish.tilt_db, "high_pivot_hz": edge_hz}
        path = save_settings(load_live_settings(preset, given | wishes), save, force=force, heading=_HEADING)
        report.say(f"saved: {path}; 'fullband live --config {save}' uses it")
        result["saved"] = str(path)
    report.finish(result)
