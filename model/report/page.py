"""One HTML page with all that was measured, to read, see and hear; it needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..metrics.evaluation import ALL, Evaluation, Plan, minutes
from ..metrics.facts import Facts
from . import content
from .chart import dot_plot
from .listening import EXAMPLE_S, make_examples
from .marks import Mark
from .peers import SOURCE

_TEMPLATE = "page.html.j2"


def _cards(evaluation: Evaluation, facts: Sequence[Facts], system: str, marks: Sequence[Mark]) -> list[tuple[str, str]]:
    cards = []
    for line in evaluation.find(ALL, "protocol", system=system):
        rate = content.rate_text(line.rate_hz)
        cards.append((content.value_text("lsd", line.scores.get("lsd"), wide=False), f"LSD, {rate} input"))
        if "visqol" in line.scores:
            cards.append((content.value_text("visqol", line.scores["visqol"], wide=False), f"ViSQOL, {rate} input"))
    for fact in facts:
        if fact.system == system:
            cards.append((f"{fact.algorithmic_ms:.1f} ms", "algorithmic latency, resampler included"))
            cards.append((f"{fact.hop_ms_p50:.2f} ms", f"for a hop of {fact.hop_ms:g} ms, one core"))
    if marks:
        cards.append((f"{sum(mark.met for mark in marks)} of {len(marks)}", "marks of the project met"))
    return cards


def failures(evaluation: Evaluation, marks: Sequence[Mark], system: str) -> list[str]:
    """Sentences on what *system* does worst: marks missed, clips, filters and codecs."""
    lines = [f"{mark.what}: {mark.measured}, wanted {mark.wanted}." for mark in marks if not mark.met]
    clips: dict[tuple[str, str], list[float]] = {}
    for row in evaluation.rows:
        if row.kind == "protocol" and row.system == system:
            clips.setdefault((row.clip, row.corpus), []).append(row.scores.lsd_masked)
    worst = sorted(clips, key=lambda clip: -float(np.mean(clips[clip])))[:3]
    if worst:
        named = ", ".join(f"{clip} of {corpus} ({np.mean(clips[clip, corpus]):.2f})" for clip, corpus in worst)
        lines.append(f"Clips with the highest masked LSD, mean over rates: {named}.")
    coded = evaluation.find(ALL, "codec", system=system)
    if coded:
        line = max(coded, key=lambda one: one.scores["lsd_high_masked"].value)
        name = f"{line.condition} at {content.rate_text(line.rate_hz)}"
        lines.append(f"Worst codec by the high band's masked LSD: {name}, {line.scores['lsd_high_masked'].value:.2f}.")
    return lines


def render(evaluation: Evaluation, plan: Plan, facts: Sequence[Facts], marks: Sequence[Sequence[Mark]]) -> str:
    """The page. The first system is the one whose failures and cards are shown; all are in the tables."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    system = plan.systems[0].name
    models = [one.name for one in plan.systems]
    plots = [
        ("LSD, lower is better", dot_plot(evaluation, "lsd", models)),
        ("ViSQOL, higher is better", dot_plot(evaluation, "visqol", models)),
    ]
    codec = ("lsd_masked", "lsd_high_masked", "level_error_db")
    rest = [content.probe_table(evaluation), content.facts_table(facts), *map(content.marks_table, filter(None, marks))]
    speakers = len({clip.speaker for clip in plan.clips})
    return environment.get_template(_TEMPLATE).render(
        title=f"fullband: {', '.join(models)}",
        subtitle=(
            f"{len(plan.clips)} clips, {minutes(plan.clips):.1f} minutes, {speakers} speakers. Each clip is brought "
            "down to the input's rate, up again by the host's resampler, and extended hop by hop."
        ),
        cards=_cards(evaluation, facts, system, marks[0] if marks else []),
        plots=[(name, plot) for name, plot in plots if plot],
        source=SOURCE,
        quality=content.protocol_tables(evaluation),
        groups=content.group_tables(evaluation),
        folds=[
            *content.condition_tables(evaluation, "filter", ("crossover_error_db", "lsd_masked")),
            *content.condition_tables(evaluation, "codec", codec),
        ],
        failures=failures(evaluation, marks[0] if marks else [], system),
        rest=[table for table in rest if table is not None],
        peers=content.peers_table(evaluation, system),
        examples=make_examples(evaluation, plan.clips, plan.systems),
        example_seconds=f"{EXAMPLE_S:g}",
    )
