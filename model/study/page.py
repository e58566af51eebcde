"""The report: Markdown with pictures beside it, and one HTML page that needs no other file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.errors import FullbandError

from ..report import page as other_page
from ..report.console import markdown
from ..report.content import Table
from ..report.listening import data_uri
from . import tables
from .evaluation import Standing, from_dicts

#: Pictures and what they show, in the order of the report.
PICTURES = {
    "data.png": "The data: five numbers, histogram, chunks in time and in frequency",
    "losses.png": "Training and validation loss",
    "scatter.png": "Original samples against interpolated and super-resolved ones",
    "rivals.png": "SNR against LSD; networks of the study in red",
    "spectrograms.png": "From the input to the original, 0 to 24 kHz",
}


@dataclass(frozen=True)
class Report:
    """What both forms show."""

    about: list[str]
    lessons: list[tuple[str, str]]
    tables: list[Table]


def _about(results: dict[str, Any], standings: Sequence[Standing]) -> list[str]:
    summary, pairs, scored = results["summary"], results["pairs"], results["scored"]
    networks = [standing for standing in standings if standing.steps]
    steps = sorted({standing.steps for standing in networks})
    minutes = sum(standing.minutes for standing in networks)
    span = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    numbers = ("lowest", "first_quartile", "median", "third_quartile", "highest")
    five = ", ".join(f"{summary[name]:.0f}" for name in numbers)
    taken = "band-limited" if pairs["filtered"] else "taken without a filter"
    lines = [
        f"{len(networks)} networks trained for {span} steps each, {minutes:.1f} minutes of wall clock summed up, with "
        f"{results.get('width', 1.0):.0%} of the study's filters. The study's 100 epochs were some 387 000 steps.",
        f"{summary['chunks']} chunks of {pairs['chunk']} samples, {pairs['overlap']} of them shared, of "
        f"{summary['recordings']} recordings by {summary['speakers']} talkers ({summary['minutes']:.0f} minutes); "
        f"input at {48.0 / pairs['factor']:g} kHz, {taken}; split by {results['split']}. Five numbers, in steps of "
        f"16 bit: {five}.",
        f"Scored on {scored['chunks']} test chunks and {scored['clips']} recordings.",
    ]
    if "spent" in results:
        lines.append(f"The whole took {results['spent']}.")
    if results.get("commands"):
        lines.append(f"Made by {', '.join(f'`{command}`' for command in results['commands'])}.")
    return lines


def assemble(results: dict[str, Any]) -> Report:
    """From what `study evaluate` found."""
    standings = from_dicts(results["standings"])
    all_tables = [
        tables.study_table(standings, results),
        tables.baseline_table(standings),
        tables.loudness_table(results),
        tables.corpus_table(results),
        tables.recording_table(standings, results),
        tables.ablation_table(results),
        tables.leak_table(results),
        tables.border_table(standings),
        tables.cost_table(results),
    ]
    lessons = tables.in_short(standings, results)
    return Report(_about(results, standings), lessons, [table for table in all_tables if table is not None])


def write_markdown(results: dict[str, Any], folder: Path, target: Path) -> None:
    """The report as *target*, its pictures in a folder of the same name beside it."""
    report = assemble(results)
    beside = target.with_suffix("")
    lines = ["# The study, repeated", "", *[f"{line}\n" for line in report.about], "## What it teaches", ""]
    lines += [f"- **{title}.** {text}" for title, text in report.lessons]
    lines += ["", "## Figures", "", *[markdown(table) for table in report.tables], "## Pictures", ""]
    try:
        beside.mkdir(parents=True, exist_ok=True)
        for name, caption in PICTURES.items():
            if (folder / "pictures" / name).is_file():
                shutil.copyfile(folder / "pictures" / name, beside / name)
                lines += [f"![{caption}]({beside.name}/{name})", "", f"{caption}.", ""]
        target.write_text("\n".join(lines))
    except OSError as error:
        raise FullbandError(f"cannot write {target}: {error.strerror}") from None


def _examples(folder: Path) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, str]]] = {}
    for path in sorted((folder / "examples").glob("*.flac")):
        number, _, name = path.stem.split("-", 2)
        found.setdefault(number, []).append({"title": name, "audio": data_uri("audio/flac", path.read_bytes())})
    return [{"title": f"recording {int(number) + 1}", "sounds": sounds} for number, sounds in found.items()]


def render(results: dict[str, Any], folder: Path) -> str:
    """The page, with pictures and players inside."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    places = [Path(__file__).parent, Path(other_page.__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(places), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    report = assemble(results)
    shown = [
        {"caption": caption, "data": data_uri("image/png", (folder / "pictures" / name).read_bytes())}
        for name, caption in PICTURES.items()
        if (folder / "pictures" / name).is_file()
    ]
    return environment.get_template("study.html.j2").render(
        report=report, pictures=shown, examples=_examples(folder), licences=results["licences"]
    )
