"""What ``fullband bench plugins`` prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from rich import box
from rich.table import Table

from realtime.paths import find_model
from realtime.plugins.registry import BUILT_IN
from realtime.report import Report

from . import plugins
from .machine import machine


def _verdict(row: plugins.PluginRow) -> str:
    if not row.clicks:
        return "silent"
    return "clicks at rest" if {name for name, _ in row.clicks} == set(row.at_rest) else "clicks"


def plugins_run(report: Report, only: str, sweep: bool) -> None:
    """Sweep the stages that are built in; run, and with *sweep* sweep, every LADSPA plugin with *only* in its name."""
    built_in = {}
    with report.console.status("") as status:
        for kind in (kind for kind in BUILT_IN if only in kind):
            status.update(kind)
            stages = [{"plugin": "gain", "name": "first"}, {"plugin": kind}]
            built_in[kind] = plugins.sweep_stage(stages, 1, find_model("default"))
        names, rows = plugins.catalogue()
        rows = [row for row in rows if only in row.plugin]
        rows += plugins.try_all([name for name in names if only in name], sweep, status.update)
    table = Table("stage", "parameter", "clicks", "of the limit", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for kind, found in built_in.items():
        for parameter, clicks in found.items():
            table.add_row(kind, parameter, str(clicks.count), f"{clicks.excess:.2f}")
    report.say("moved from end to end while a voice is heard:")
    if report.json_target != "-":
        report.console.print(table)
    table = Table("LADSPA plugin", "latency", "load", "", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for row in rows:
        clicks_text = ", ".join(
            f"{name} clicks ({excess:g} times the limit{', and at rest' if name in row.at_rest else ''})"
            for name, excess in row.clicks
        )
        table.add_row(row.plugin, f"{row.latency_samples}", f"{100 * row.load:.2f} %", row.problem or clicks_text)
    if report.json_target != "-":
        report.console.print(table)
    ran = [row for row in rows if row.problem is None]
    counts = Counter(_verdict(row) for row in ran)
    suited = [row for row in rows if not (row.problem or "").startswith("no stage")]
    moved = (
        f"; {sum(row.parameters for row in ran)} parameters moved: {counts['clicks']} plugins click as they move, "
        f"{counts['clicks at rest']} more do with none of them moving"
        if sweep
        else ""
    )
    report.say(f"{len(ran)} of {len(suited)} plugins that can be a stage ran{moved}")
    report.finish(
        {
            "machine": machine(),
            "built_in": {kind: {n: asdict(c) for n, c in found.items()} for kind, found in built_in.items()},
            "ladspa": [asdict(row) for row in rows],
        }
    )
