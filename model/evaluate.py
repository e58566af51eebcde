"""``fullband evaluate``: a model on clips it never heard, beside baselines and its peers' published figures."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime.commands.options import LevelOption, TiltOption
from realtime.errors import FullbandError
from realtime.report import Report

from .report.progress import bar

if TYPE_CHECKING:
    from .metrics.evaluation import Evaluation, Plan
    from .metrics.facts import Facts
    from .report.content import Table
    from .report.marks import Mark


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise FullbandError(f"cannot write {path}: {error.strerror}") from None


def _tables(evaluation: Evaluation, facts: list[Facts], marks: list[list[Mark]], *, wide: bool) -> list[Table]:
    from .report import content

    codec = ("lsd_masked", "lsd_high_masked", "level_error_db")
    found = [
        *content.protocol_tables(evaluation, wide=wide),
        *content.group_tables(evaluation, wide=wide),
        *content.condition_tables(evaluation, "filter", ("crossover_error_db", "lsd_masked")),
        *content.condition_tables(evaluation, "codec", codec),
        content.probe_table(evaluation),
        content.facts_table(facts),
        *(content.marks_table(one) for one in marks if one),
    ]
    return [table for table in found if table is not None and table.rows]


def _as_json(evaluation: Evaluation, plan: Plan, facts: list[Facts], marks: list[list[Mark]]) -> dict[str, Any]:
    return {
        "clips": len(plan.clips),
        "seconds": round(sum(clip.seconds for clip in plan.clips), 1),
        "systems": [{"name": one.name, "path": str(one.path)} for one in plan.systems],
        "summaries": [line.as_dict() for line in evaluation.summaries],
        "probes": [probe.as_dict() for probe in evaluation.probes],
        "facts": [fact.as_dict() for fact in facts],
        "marks": [mark.as_dict() for one in marks for mark in one],
        "rows": [row.as_dict() for row in evaluation.rows],
    }


def _pairs_rate_hz(rates: list[int] | None) -> int:
    chosen = rates or [16_000]
    if len(chosen) > 1 or not 6_000 <= chosen[0] < 48_000:
        raise FullbandError("--pairs takes one --rate, the input's: from 6000 up to, not with, 48000 Hz", exit_status=2)
    return chosen[0]


def _evaluate_pairs(folder: Path, rate_hz: int, visqol: bool, jobs: int, report: Report, markdown: Path | None) -> None:
    """Score what other systems have made of recordings."""
    from .metrics import pairs as other
    from .report.console import markdown as as_markdown
    from .report.console import show
    from .report.content import pairs_tables

    found = other.find_pairs(folder, rate_hz, visqol)
    with bar(report.console, f"{len(found)} pairs") as advance:
        result, delays = other.score_pairs(found, jobs, advance)
    if report.json_target != "-":
        for table in pairs_tables(result, delays, wide=False):
            show(report.console, table)
    if markdown is not None:
        _write(markdown, "\n".join(as_markdown(table) for table in pairs_tables(result, delays)))
    rows = [row.as_dict() for row in result.rows]
    for row, delay in zip(rows, (delay for system in delays.values() for delay in system), strict=True):
        row["delay_samples"] = delay
    report.finish(
        {
            "rate_hz": rate_hz,
            "pairs": len(found),
            "summaries": [line.as_dict() for line in result.summaries if line.group == "all"],
            "rows": rows,
        }
    )


def evaluate(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Shipped names, .onnx files or checkpoints (.pt).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of audio: with a manifest.csv, VCTK, or any.")] = None,
    rate: Annotated[list[int] | None, typer.Option(help="Input rates in Hz; without it 8, 12, 16 and 24 kHz.")] = None,
    split: Annotated[str, typer.Option(help="Which clips of a folder with a manifest.")] = "test",
    lossy: Annotated[bool, typer.Option("--lossy", help="Also score clips that a codec has been through.")] = False,
    clips: Annotated[int | None, typer.Option(min=1, help="Score only so many clips, spread over the corpora.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="No ViSQOL nor PESQ, four filters, no codecs.")] = False,
    visqol: Annotated[bool, typer.Option(help="Score with ViSQOL and PESQ too (slow).")] = True,
    baseline: Annotated[bool, typer.Option(help="Score the baselines too.")] = True,
    hosted: Annotated[
        bool, typer.Option("--hosted", help="Score what the host makes of models, with its guards: as it is heard.")
    ] = False,
    in_call: Annotated[
        bool, typer.Option("--in-call", help="Score voices that were heard for 20 s before, then muted for a second.")
    ] = False,
    level_db: LevelOption = None,
    tilt_db: TiltOption = None,
    matched: Annotated[
        bool,
        typer.Option(
            "--matched", help="Score with the level and tilt that other recordings of a clip's corpus ask for."
        ),
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; without it one for each core.")] = None,
    json_target: Annotated[str | None, typer.Option("--json", help="Write all as JSON; '-': standard output.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page with tables, spectrograms and players; needs no other file.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Score DIR/reference/NAME.wav against DIR/estimate/NAME.wav, any system's.")
    ] = None,
    log: Annotated[list[Path] | None, typer.Option(help="Draw the losses of a run as loss.png in its folder.")] = None,
) -> None:
    """Score models on clips they never heard, beside baselines; several models are shown side by side.

    Without MODEL the shipped default is scored. Intervals are 95 % bootstrap intervals over clips.
    """
    if log:
        from .report.plots import plot_losses

        typer.echo(f"losses: {plot_losses(log)}", err=True)
        if data is None and pairs is None:
            return
    jobs = jobs or len(os.sched_getaffinity(0))
    if pairs is not None:
        if data is not None or models:
            raise FullbandError("--pairs scores files as they are: give neither --data nor a MODEL", exit_status=2)
        cutoff_rate_hz = _pairs_rate_hz(rate)
        _evaluate_pairs(pairs, cutoff_rate_hz, visqol and not quick, jobs, Report(json_target), markdown)
        return
    if data is None:
        raise FullbandError("give --data with a folder of audio, or --pairs; see --help", exit_status=2)
    from .data.corpus import find_clips
    from .metrics import evaluation as protocol
    from .metrics.conditions import RATES_HZ
    from .metrics.facts import find_facts
    from .metrics.systems import BASELINES, find_systems
    from .report import content
    from .report.console import markdown as as_markdown
    from .report.console import show
    from .report.marks import judge

    if matched and (level_db is not None or tilt_db is not None):
        raise FullbandError("--matched finds level and tilt: leave out --level and --tilt", exit_status=2)
    report = Report(json_target)
    for unknown in set(rate or ()) - set(RATES_HZ):
        known = ", ".join(map(str, RATES_HZ))
        raise FullbandError(f"--rate {unknown}: the protocol knows {known}", exit_status=2)
    found = find_clips(data, split)
    chosen = found if lossy else [clip for clip in found if not clip.lossy] or found
    plan = protocol.Plan(
        clips=protocol.spread(chosen, clips) if clips else chosen,
        systems=find_systems(
            models or ["default"],
            hosted=hosted,
            in_call=in_call,
            level_db=level_db or 0.0,
            tilt_db=tilt_db or 0.0,
            matched=matched,
        ),
        rates_hz=tuple(rate or RATES_HZ),
        baselines=(tuple(BASELINES) if not quick else ("sinc",)) if baseline else (),
        filters="few" if quick else "all",
        codecs=not quick,
        visqol=visqol and not quick,
        matched=matched,
        jobs=jobs,
    )
    began = time.monotonic()
    facts = find_facts(plan.systems)
    with bar(report.console, f"{len(plan.clips)} clips") as advance:
        result = protocol.evaluate(plan, advance)
    marks = [judge(result, facts, system.name) for system in plan.systems]
    if json_target != "-":
        for table in _tables(result, facts, marks, wide=False):
            show(report.console, table)
        show(report.console, content.peers_table(result, plan.systems[0].name))
    seconds = time.monotonic() - began
    report.say(
        f"{len(plan.clips)} clips, {protocol.minutes(plan.clips):.1f} minutes of speech, scored in {seconds:.0f} s "
        f"by {plan.jobs} processes"
    )
    if markdown is not None:
        tables = [*_tables(result, facts, marks, wide=True), content.peers_table(result, plan.systems[0].name)]
        _write(markdown, "\n".join(as_markdown(table) for table in tables))
    if html is not None:
        from .report.page import render

        _write(html, render(result, plan, facts, marks))
        report.say(f"page: {html}")
    report.finish(_as_json(result, plan, facts, marks))
