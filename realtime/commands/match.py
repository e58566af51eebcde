"""``fullband match``: level and tilt of the high band as a microphone has them, by full-band recordings of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soxr
import typer
from rich.progress import track
from rich.table import Table

from ..audiofile import find_audio, read
from ..bandwidth import CUTOFF_RANGE_HZ, recording_cutoff_hz
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

_HEADING = "The high band as a microphone has it, as 'fullband match' found it."


@dataclass(frozen=True)
class Found:
    """One recording: what it asks for by itself, and how far it is off, in dB, without and with what all ask for."""

    path: Path
    own: Brightness
    off_db: float
    left_db: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numbers = {**self.own._asdict(), "off_db": self.off_db, "left_db": self.left_db}
        return {"recording": str(self.path), **{name: round(value, 2) for name, value in numbers.items()}}


def _recordings(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = find_audio(path) if path.is_dir() else [path]
        if not inside:
            raise FullbandError(f"no audio files in {path}: give full-band recordings of the microphone")
        found += inside
    return list(dict.fromkeys(found))


def _difference(path: Path, model: Path, cutoff_hz: float) -> Difference:
    audio = read(path)
    mono = audio.samples[:, : _LONGEST_S * audio.rate_hz].mean(axis=0)
    end_hz = recording_cutoff_hz(mono, audio.rate_hz)
    try:
        return compare(soxr.resample(mono, audio.rate_hz, RATE_HZ).astype(np.float32), end_hz, model, cutoff_hz)
    except FullbandError as error:
        raise FullbandError(f"{path}: {error}") from None


def _table(found: Sequence[Found]) -> Table:
    table = Table("recording", "level", "tilt", "off by", "then", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    names = [one.path.name for one in found]
    for one in found:
        name = one.path.name if names.count(one.path.name) == 1 else f"{one.path.parent.name}/{one.path.name}"
        numbers = (f"{one.own.level_db:+.1f} dB", f"{one.own.tilt_db:+.1f} dB/oct")
        table.add_row(name, *numbers, f"{one.off_db:.1f} dB", f"{one.left_db:.1f} dB")
    return table


def match(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="RECORDING...", help="Full-band recordings of it, or folders of them.")
    ],
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
            help=f"Where the voice's band will end, in Hz; without it {CUTOFF_HZ:.0f}.",
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
    """
    report = Report(json_target)
    given = {"model": model, "cutoff_hz": cutoff_hz}
    given = {key: value for key, value in given.items() if value is not None}
    live = load_live_settings(preset, given)
    chosen = find_model(live.model)
    if chosen is None:
        raise FullbandError("'none' is no model to match: give one with --model", exit_status=2)
    edge_hz = live.cutoff_hz or CUTOFF_HZ
    paths = _recordings(recordings)
    quiet = report.taken or not report.console.is_terminal
    tracked = track(paths, "matching", console=report.console, transient=True, disable=quiet)
    differences = [_difference(path, chosen, edge_hz) for path in tracked]
    together = fit(differences)
    # What is said, saved and used is the same.
    wish = Brightness(round(together.level_db, 1), round(together.tilt_db, 1))
    found = [
        Found(path, fit([one]), one.left_db(AS_IT_IS), one.left_db(wish))
        for path, one in zip(paths, differences, strict=True)
    ]
    if not report.taken:
        report.console.print(_table(found))
    report.say(f"for a voice that ends at {edge_hz:.0f} Hz: --level {wish.level_db:g} --tilt {wish.tilt_db:g}")
    result = {"model": live.model, "cutoff_hz": edge_hz, **wish._asdict(), "recordings": [x.as_dict() for x in found]}
    if save is not None:
        wishes = {"high_level_db": wish.level_db, "high_tilt_db": wish.tilt_db}
        path = save_settings(load_live_settings(preset, given | wishes), save, force=force, heading=_HEADING)
        report.say(f"saved: {path}; 'fullband live --config {save}' uses it")
        result["saved"] = str(path)
    report.finish(result)
