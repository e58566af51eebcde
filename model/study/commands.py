"""``fullband study``: the study this project grew out of, each part by one command, or all of it by one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime.errors import FullbandError, suggest
from realtime.paths import CONFIGS
from realtime.report import Report

from ..report.progress import bar

if TYPE_CHECKING:
    from .config import PairsSection, Preset, StudyConfig
    from .pairs import Pairs

study = typer.Typer(
    help="Repeat the study of U-Nets that this project grew out of.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Data = Annotated[Path, typer.Option(help="Folder of speech: with a manifest.csv, VCTK as it unpacks, or any.")]
_Folder = Annotated[Path, typer.Option("--study", help="Folder of the study: pairs, runs, results.")]
_Preset = Annotated[str, typer.Option(help="quick, full, or a TOML file like theirs.")]
_Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; without it one for each core.")]
_Json = Annotated[str | None, typer.Option("--json", help="Write figures as JSON; '-': standard output.")]
_Config = Annotated[str | None, typer.Option(help="One run: a TOML file, or a shipped name, as 'causal'.")]
_Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]

_DEFAULT = Path("runs/study")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _preset(name: str) -> Preset:
    from .config import Preset

    shipped = [path.stem for path in (CONFIGS / "study").glob("*.toml")]
    if name not in shipped and not Path(name).is_file():
        raise FullbandError(f"no preset '{name}'; {suggest(name, shipped)} (or give a TOML file)", exit_status=2)
    return Preset.read(name)


def _config(name: str) -> StudyConfig:
    from .config import StudyConfig

    shipped = CONFIGS / "study" / f"{name}.toml"
    return StudyConfig.read(shipped if shipped.is_file() else Path(name))


def _make_pairs(data: Path, folder: Path, section: PairsSection, jobs: int | None, report: Report) -> Pairs:
    from . import look
    from .pairs import make

    with bar(report.console, "pairs") as advance:
        pairs = make(data, folder / "pairs", section, jobs or _cores(), advance)
    sample = look.sample(pairs)
    summary = look.summarise(pairs, sample)
    look.draw(pairs, sample, folder / "pairs" / "data.png")
    five = (summary.lowest, summary.first_quartile, summary.median, summary.third_quartile, summary.highest)
    report.say(
        f"{summary.chunks} chunks of {summary.recordings} recordings by {summary.speakers} talkers, "
        f"{summary.minutes:.1f} minutes; five numbers {' '.join(f'{number:.0f}' for number in five)} in steps of 16 bit"
    )
    report.say(f"box plot, histogram, chunks: {folder / 'pairs' / 'data.png'}")
    return pairs


@study.command()
def data(
    data: _Data,
    folder: _Folder = _DEFAULT,
    preset: _Preset = "quick",
    config: _Config = None,
    chunk: Annotated[
        int | None, typer.Option(help="Samples of a chunk at 48 kHz; 256, 4800 and 4096 were tried.")
    ] = None,
    overlap: Annotated[int | None, typer.Option(help="Samples that neighbours share; half of the chunk.")] = None,
    factor: Annotated[int | None, typer.Option(help="Between the rates: 2, 4 or 6.")] = None,
    filtered: Annotated[bool | None, typer.Option(help="Band-limit before samples are dropped.")] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="So many recordings.")] = None,
    jobs: _Jobs = None,
    json_target: _Json = None,
) -> None:
    """Make pairs of chunks at a low and a high rate. What an interrupted run has made is kept."""
    from pydantic import ValidationError

    from . import look
    from .config import PairsSection

    report = Report(json_target)
    section = _config(config).pairs if config else _preset(preset).pairs
    if chunk is not None and overlap is None:
        overlap = chunk // 2
    wishes = {"chunk": chunk, "overlap": overlap, "factor": factor, "filtered": filtered, "clips": clips}
    wishes = {name: value for name, value in wishes.items() if value is not None}
    try:
        section = PairsSection.model_validate(section.model_dump() | wishes)
    except ValidationError as error:
        raise FullbandError(error.errors()[0]["msg"].removeprefix("Value error, "), exit_status=2) from None
    pairs = _make_pairs(data, folder, section, jobs, report)
    report.finish({"pairs": section.model_dump(), **look.summarise(pairs, look.sample(pairs)).as_dict()})


def _chosen(names: list[str] | None, preset: str, config: str | None) -> dict[str, StudyConfig]:
    from .config import twelve

    if config is not None:
        return {(names or [Path(config).stem])[0]: _config(config)}
    known = twelve(_preset(preset))
    for name in names or []:
        if name not in known:
            raise FullbandError(f"the study has no network '{name}'; {suggest(name, known)}", exit_status=2)
    return {name: known[name] for name in names or known}


def _train(
    configs: dict[str, StudyConfig], pairs: Pairs, folder: Path, device: str, jobs: int | None, report: Report
) -> dict[str, int]:
    from ..training.loop import choose_device
    from .runs import train_all

    with bar(report.console, f"{len(configs)} networks") as advance:
        return train_all(
            configs, pairs, folder / "runs", device=choose_device(device), jobs=jobs or _cores(), advance=advance
        )


def _budget(configs: dict[str, StudyConfig], steps: int | None, minutes: float | None) -> dict[str, StudyConfig]:
    if steps is None and minutes is None:
        return configs
    budget = {"steps": steps, "minutes": minutes, "epochs": None}
    return {
        name: config.model_copy(update={"run": config.run.model_copy(update=budget)})
        for name, config in configs.items()
    }


@study.command()
def train(
    names: Annotated[list[str] | None, typer.Argument(help="Networks, as plain-5; all twelve without any.")] = None,
    folder: _Folder = _DEFAULT,
    preset: _Preset = "quick",
    config: _Config = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget of each, instead of the file's.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of each, instead of the file's.")] = None,
    device: _Device = "auto",
    jobs: _Jobs = None,
    json_target: _Json = None,
) -> None:
    """Train networks of the study on the pairs in its folder. The same command goes on with what was interrupted."""
    from .pairs import Pairs

    report = Report(json_target)
    configs = _budget(_chosen(names, preset, config), steps, minutes)
    done = _train(configs, Pairs(folder / "pairs"), folder, device, jobs, report)
    for name, count in done.items():
        report.say(f"{folder / 'runs' / name}: {count} steps")
    report.finish({"steps": done})


def _evaluate(
    folder: Path, data: Path, preset: Preset, jobs: int | None, report: Report, extra: dict[str, Any]
) -> dict[str, Any]:
    from ..data.corpus import find_clips
    from . import results

    amount = preset.all
    with bar(report.console, "scores") as advance:
        found = results.evaluate(
            folder,
            {split: find_clips(data, split) for split in ("train", "test")},
            preset.run.split,
            batch=preset.run.batch,
            chunks=amount.scored_chunks,
            clips=amount.scored_clips,
            heard=amount.visqol_clips,
            jobs=jobs or _cores(),
            advance=advance,
        )
    found |= {"width": preset.width, **extra}
    (folder / results.RESULTS).write_text(json.dumps(found, indent=1) + "\n")
    return found


def _show(found: dict[str, Any], report: Report) -> None:
    from ..report.console import show
    from .page import assemble

    if report.json_target == "-":
        return
    assembled = assemble(found)
    for table in assembled.tables:
        show(report.console, table)
    for title, text in assembled.lessons:
        report.say(f"{title}: {text}")


@study.command()
def evaluate(
    data: _Data,
    folder: _Folder = _DEFAULT,
    preset: _Preset = "quick",
    jobs: _Jobs = None,
    json_target: _Json = None,
) -> None:
    """Score what is trained, beside interpolations and the host's models: tables, pictures, sounds, an ablation."""
    report = Report(json_target)
    found = _evaluate(folder, data, _preset(preset), jobs, report, {})
    _show(found, report)
    report.finish(found)


def _write_report(folder: Path, found: dict[str, Any], markdown: Path, html: Path, report: Report) -> None:
    from .page import render, write_markdown

    write_markdown(found, folder, markdown)
    try:
        html.write_text(render(found, folder))
    except OSError as error:
        raise FullbandError(f"cannot write {html}: {error.strerror}") from None
    report.say(f"report: {markdown}, {html}")


@study.command(name="report")
def report_command(
    folder: _Folder = _DEFAULT,
    markdown: Annotated[Path | None, typer.Option(help="Markdown; report.md in the folder without it.")] = None,
    html: Annotated[Path | None, typer.Option(help="One page; report.html in the folder without it.")] = None,
) -> None:
    """Write the tables beside the study's own, and what it teaches, as Markdown and as one page with players."""
    from .results import load

    found = load(folder)
    _write_report(folder, found, markdown or folder / "report.md", html or folder / "report.html", Report(None))


@study.command(name="all")
def everything(
    data: _Data,
    folder: _Folder = _DEFAULT,
    preset: _Preset = "quick",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each network, instead of the preset's.")] = None,
    device: _Device = "auto",
    jobs: _Jobs = None,
    json_target: _Json = None,
) -> None:
    """Pairs, all twelve networks, scores and report. The same command goes on with what was interrupted."""
    from .config import twelve
    from .machine import Watch

    report = Report(json_target)
    chosen = _preset(preset)
    watch = Watch()
    pairs = _make_pairs(data, folder, chosen.pairs, jobs, report)
    _train(_budget(twelve(chosen), steps, None), pairs, folder, device, jobs, report)
    trained = watch.read()
    report.say(f"training: {trained}")
    found = _evaluate(folder, data, chosen, jobs, report, {"preset": preset, "trained_in": str(trained)})
    found["spent"] = str(watch.read())
    found["commands"] = [f"fullband study all --preset {preset}" + (f" --steps {steps}" if steps else "")]
    from .results import RESULTS

    (folder / RESULTS).write_text(json.dumps(found, indent=1) + "\n")
    _show(found, report)
    _write_report(folder, found, folder / "report.md", folder / "report.html", report)
    report.say(f"all of it: {found['spent']}")
    report.finish(found)


@study.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `study train`, or its checkpoint.")],
    output: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    name: Annotated[str, typer.Option(help="Name of the model, in its metadata.")] = "study-unet",
    licence: Annotated[str, typer.Option(help="Licence of the weights, in the metadata.")] = "undeclared",
    trained_on: Annotated[str, typer.Option(help="Sources of the data, in the metadata.")] = "undeclared",
    json_target: _Json = None,
) -> None:
    """Write a causal network as a model of the host (`fullband live --model OUTPUT`), check it and time it."""
    from .stream import export as write
    from .trainer import load_trained

    report = Report(json_target)
    trained = load_trained(run)
    cost, difference = write(trained, output, name, licence, trained_on)
    report.say(
        f"{output}: {cost.file_kb:.0f} kB, {cost.parameters} parameters, {cost.mmac_per_s:.0f} MMAC/s, latency "
        f"{cost.latency_ms:.2f} ms; streamed and whole differ by {difference:.1e}"
    )
    report.say(
        f"a hop of {cost.hop_ms:.2f} ms takes {cost.hop_ms_p50:.2f} ms (p99 {cost.hop_ms_p99:.2f}), "
        f"{cost.hop_cpu_ms:.2f} ms of it on the processor: real-time factor {cost.rtf:.2f}"
        + ("" if cost.rtf < 1.0 else ", too slow for one core of this machine to be live")
    )
    report.finish({"steps": trained.steps, "minutes": trained.minutes, "difference": difference, **cost.as_dict()})
