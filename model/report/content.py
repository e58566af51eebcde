"""The tables of an evaluation, in no form yet: console, Markdown and HTML show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.evaluation import ALL, Evaluation, Summary
from ..metrics.facts import Facts
from ..metrics.intervals import Interval
from ..metrics.scores import METRICS
from ..metrics.systems import BASELINES
from .marks import Mark
from .peers import PEERS, SOURCE

#: The metrics of the first table, and those of the one that follows it.
QUALITY = ("lsd", "lsd_low", "lsd_high", "lsd_masked", "lsd_high_masked", "visqol", "pesq")
FIDELITY = ("lsd_pass", "low_snr_db", "snr_db", "si_sdr_db", "level_error_db", "pause_error_db", "crossover_error_db")
HOARSENESS = ("voiced_error_db", "modulation", "modulation_wanted")


@dataclass(frozen=True)
class Table:
    """A *title*, a *note* on how to read it, headings, and rows of text. The first *labels* columns are names."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 2


def rate_text(rate_hz: int) -> str:
    """As tables write it."""
    return f"{rate_hz / 1000:g} kHz"


def value_text(name: str, interval: Interval | None, *, wide: bool = True) -> str:
    """A mean with its interval (*wide*), or alone."""
    if interval is None:
        return "–"
    digits = METRICS[name].digits
    text = f"{interval.value:.{digits}f}"
    return f"{text} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]" if wide and interval.count > 1 else text


def _heading(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.label} {metric.unit}".strip()


def _meanings(names: Sequence[str]) -> str:
    return "; ".join(f"{METRICS[name].label}: {METRICS[name].meaning}" for name in names)


def _scores(title: str, lines: Sequence[Summary], names: Sequence[str], wide: bool, first: str = "input") -> Table:
    known = [name for name in names if any(name in line.scores for line in lines)]
    rows = [
        (
            rate_text(line.rate_hz) if first == "input" else line.group,
            line.system,
            *(value_text(name, line.scores.get(name), wide=wide) for name in known),
        )
        for line in lines
    ]
    return Table(title, _meanings(known), (first, "system", *map(_heading, known)), tuple(rows))


def protocol_tables(evaluation: Evaluation, *, wide: bool = True) -> list[Table]:
    """Quality, fidelity and hoarseness of every system on all clips."""
    lines = evaluation.find(ALL, "protocol")
    return [
        _scores("Quality", lines, QUALITY, wide),
        _scores("Fidelity and levels", lines, FIDELITY, wide),
        _scores("Hoarseness", lines, HOARSENESS, wide),
    ]


def group_tables(evaluation: Evaluation, *, wide: bool = True) -> list[Table]:
    """The same clips by recording chain and corpus; baselines but the low band alone are left out."""
    names = ("lsd", "lsd_masked", "visqol", "level_error_db", "pause_error_db", "modulation", "modulation_wanted")
    tables = []
    for rate_hz in dict.fromkeys(line.rate_hz for line in evaluation.summaries):
        lines = [
            line
            for group in evaluation.groups
            for line in evaluation.find(group, "protocol", rate_hz)
            if line.system not in BASELINES or line.system == "sinc"
        ]
        if lines:
            tables.append(_scores(f"By recording chain, {rate_text(rate_hz)}", lines, names, wide, first="clips"))
    return tables


def condition_tables(evaluation: Evaluation, kind: str, names: Sequence[str], *, wide: bool = False) -> list[Table]:
    """One table for each system: conditions of *kind* down, metric and rate across."""
    lines = evaluation.find(ALL, kind)
    tables = []
    for system in dict.fromkeys(line.system for line in lines):
        own = [line for line in lines if line.system == system]
        rates = sorted({line.rate_hz for line in own})
        cells = {(line.condition, line.rate_hz): line.scores for line in own}
        head = [f"{_heading(name)} {rate_text(rate_hz)}" for name in names for rate_hz in rates]
        rows = [
            (
                condition,
                *(
                    value_text(name, cells.get((condition, rate_hz), {}).get(name), wide=wide)
                    for name in names
                    for rate_hz in rates
                ),
            )
            for condition in dict.fromkeys(line.condition for line in own)
        ]
        title = f"{'Filters' if kind == 'filter' else 'Codecs'}: {system}"
        tables.append(Table(title, _meanings(names), (kind, *head), tuple(rows), labels=1))
    return tables


def pairs_tables(evaluation: Evaluation, delays: dict[str, list[float]], *, wide: bool = True) -> list[Table]:
    """Other systems' recordings, and how late they were before that was taken out."""
    lines = evaluation.find(ALL, "pairs")
    rows = tuple(
        (system, f"{min(found):.2f}", f"{float(np.median(found)):.2f}", f"{max(found):.2f}", f"{len(found)}")
        for system, found in delays.items()
    )
    note = (
        "samples at 48 kHz by which the estimate lagged its reference, by cross-correlation; taken out before scoring"
    )
    return [
        Table("Delay", note, ("system", "least", "median", "most", "pairs"), rows, labels=1),
        _scores("Quality", lines, QUALITY, wide),
        _scores("Fidelity and levels", lines, FIDELITY, wide),
        _scores("Hoarseness", lines, HOARSENESS, wide),
    ]


def probe_table(evaluation: Evaluation) -> Table | None:
    """Silence, noise and steps."""
    if not evaluation.probes:
        return None
    rows = [
        (
            probe.system,
            rate_text(rate_hz),
            f"{probe.silence_dbfs[place]:.0f}",
            f"{probe.noise_dbfs[place]:.0f}",
            f"{probe.noise_density_db[place]:.0f}",
            f"{probe.noise_gain_db[place]:.0f}",
            f"{probe.step_error_db[place]:.1f}",
            f"{probe.muted_error_db[place]:.1f}",
        )
        for probe in evaluation.probes
        for place, rate_hz in enumerate(probe.rates_hz)
    ]
    note = (
        "high band in digital silence, in dBFS; for steady noise of -50 dBFS, in dBFS; its power per Hz over the low "
        "band's, in dB; its level over that of the input above the cutoff, in dB; and the largest change of the ratio "
        "of high to low band when a voice is stepped by up to 26 dB, from 0.1 s after the step; and the change of the "
        "high band's level when a voice begins after a second of digital silence"
    )
    head = ("system", "input", "silence dBFS", "noise dBFS", "density dB", "gain dB", "steps dB", "muted dB")
    return Table("Silence, noise, steps of level", note, head, tuple(rows))


def facts_table(facts: Sequence[Facts]) -> Table | None:
    """Cost and latency of model files."""
    if not facts:
        return None
    rows = [
        (
            fact.system,
            fact.name,
            f"{fact.hop_ms:g}",
            f"{fact.latency_ms:.1f}",
            f"{fact.algorithmic_ms:.1f}",
            f"{fact.hop_ms_p50:.3f}",
            f"{fact.hop_ms_p99:.3f}",
            f"{fact.file_kb:.0f}",
        )
        for fact in facts
    ]
    head = ("system", "name", "hop ms", "latency ms", "+ resampler ms", "p50 ms", "p99 ms", "kB")
    note = (
        "latency is algorithmic: hop and window; times are of one hop on one thread of this machine, as busy as it was"
    )
    return Table("Cost", note, head, tuple(rows))


def marks_table(marks: Sequence[Mark]) -> Table:
    """Met or missed."""
    rows = tuple((mark.what, mark.wanted, mark.measured, "yes" if mark.met else "NO") for mark in marks)
    system = marks[0].system if marks else ""
    return Table(
        f"Marks: {system}", "what the project asks of its default model", ("what", "wanted", "measured", "met"), rows, 1
    )


def peers_table(evaluation: Evaluation, system: str) -> Table:
    """What others published, beside *system* on our own clips of the same chain."""
    rates = (8_000, 12_000, 16_000, 24_000)
    rows = [
        (peer.name, peer.about, *(f"{peer.scores[rate][0]:.2f} / {peer.scores[rate][1]:.2f}" for rate in rates))
        for peer in PEERS
    ]
    chain = [group for group in ("VCTK-chain", ALL) if evaluation.find(group, "protocol", system=system)]
    for group in chain:
        cells = []
        for rate_hz in rates:
            found = evaluation.find(group, "protocol", rate_hz, system)
            scores = found[0].scores if found else {}
            cells.append(" / ".join(value_text(name, scores.get(name), wide=False) for name in ("lsd", "visqol")))
        rows.append((system, f"measured here, causal, {group} clips", *cells))
    note = (
        f"LSD / ViSQOL by input rate. Not measured here but {SOURCE}. They are other clips than ours, so that rows of "
        "different origin compare roughly"
    )
    return Table("Published elsewhere", note, ("system", "about", *map(rate_text, rates)), tuple(rows))
