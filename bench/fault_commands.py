"""What ``fullband bench engine --faults`` and ``fullband bench soak`` print."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from realtime.errors import FullbandError
from realtime.paths import find_model
from realtime.report import Report

from . import trial
from .machine import machine
from .soak import SoakReport, soak
from .verdict import Row


def _model(name: str) -> Path:
    path = find_model(name)
    if path is None:
        raise FullbandError("faults are put into a model: 'none' has none", exit_status=2)
    return path


#: What the columns mean, and what is not looked at, with the reason.
_LEGEND = (
    "jump: the largest between two samples above 6 kHz, against the limit that a legal fade sets there; lost, twice,",
    "unheard: samples found in what was heard; before, after: latency in ms; xruns: times the device itself was kept",
    "waiting, in real time beside a thread that only sleeps.",
    "Not looked at: the edge of the cut where a device dies, as its last sample is; for the model's own signal, a jump",
    "within 0.1 s of another delay, as the probe's is judged there; steps of the delay below 2.5 samples in the first",
    "1.5 s on two clocks, as steering makes them; single bits of 5 ms of the probe, where the network's signal ends.",
)


def _table(rows: list[Row]) -> Table:
    headings = (
        "fault",
        "clicks",
        "jump",
        "limit",
        "lost",
        "twice",
        "unheard",
        "dull s",
        "before",
        "after",
        "xruns",
        "",
    )
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=bool(heading), min_width=0 if heading else 5)
    for row in rows:
        table.add_row(
            row.fault,
            str(row.clicks),
            f"{row.largest_jump:.4f}",
            f"{row.threshold:.4f}",
            str(row.lost),
            str(row.repeated),
            str(row.unheard),
            f"{row.dull_seconds:.2f}",
            f"{row.latency_before_ms:.2f}",
            f"{row.latency_after_ms:.2f}",
            f"{row.xruns}/{row.floor_xruns}" if row.real_time else str(row.xruns),
            "holds" if row.holds else ", ".join(row.problems),
        )
    return table


def fault_table(report: Report, model: str, guard_ms: float, block_frames: int, quick: bool) -> None:
    """Try every fault; fails when one is heard."""
    path = _model(model)
    with report.console.status("") as status:
        rows = trial.run(path, guard_ms, block_frames, quick=quick, progress=status.update)
    if report.json_target != "-":
        report.console.width = max(report.console.width, 100)
        report.console.print(_table(rows))
        for line in _LEGEND:
            report.say(line)
    settings: dict[str, Any] = {
        "model": model, "block_frames": block_frames, "guard_ms": guard_ms, "quick": quick
    }  # fmt: skip
    listed = [{**asdict(row), "holds": row.holds} for row in rows]
    report.finish({"machine": machine(), "settings": settings, "rows": listed})
    heard = [row.fault for row in rows if not row.holds]
    if heard:
        raise FullbandError(f"{len(heard)} of {len(rows)} faults are heard: {', '.join(heard)}")


def soak_run(report: Report, model: str, minutes: float, seed: int | None) -> None:
    """Soak, and tell what was seen; fails when something grew, clicked or came later."""
    seed = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    _model(model)
    report.say(f"seed {seed}: the same faults again with --seed {seed}")
    with report.console.status("") as status:

        def show(so_far: SoakReport) -> None:
            last = so_far.series[-1]
            fault = so_far.faults[-1][1] if so_far.faults else "no fault yet"
            seen = f"{last.clicks} clicks, {last.rss_kb / 1024:.0f} MB; {fault}"
            left = max(minutes - last.seconds / 60.0, 0.0)
            status.update(f"{last.seconds / 60:.1f} min, {left:.1f} left: {seen}")

        result = soak(model, minutes, seed, show)
    figures = result.figures()
    table = Table(box=box.SIMPLE, show_header=False, padding=(0, 1, 0, 0))
    for key, value in figures.items():
        if key not in ("problems", "clicks_at_s"):
            table.add_row(key.replace("_", " "), str(value))
    if report.json_target != "-":
        report.console.print(table)
    report.finish({"machine": machine(), "settings": {"model": model, "minutes": minutes}, **result.as_dict()})
    if figures["problems"]:
        raise FullbandError(f"the soak with seed {seed} does not hold: {', '.join(figures['problems'])}")
