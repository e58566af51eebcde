"""What ``fullband live`` says at its end."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ..latency import LatencyBudget
from ..statistics import Statistics


def _figures() -> Table:
    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column(justify="left")
    table.add_column(justify="right")
    return table


def budget_table(budget: LatencyBudget) -> Table:
    """The latency budget part by part, with its sum."""
    table = _figures()
    for name, value in budget.parts().items():
        table.add_row(name, "not reported" if value is None else f"{value:.2f} ms", style="" if value else "dim")
    table.add_row("total", f"{budget.total_ms:.2f} ms", style="bold")
    return table


def statistics_table(s: Statistics, separate_clocks: bool) -> Table:
    """Load, deadlines and faults."""
    table = _figures()
    table.add_row("hop p50 / p99", f"{s.hop_p50_ms:.2f} / {s.hop_p99_ms:.2f} ms")
    table.add_row("load", f"{100 * s.load:.1f} %")
    table.add_row("hops", f"{s.hops}")
    table.add_row("deadline misses", f"{s.deadline_misses}", style="red" if s.deadline_misses else "")
    table.add_row("dull", f"{s.dull_seconds:.2f} s", style="red" if s.dull_seconds else "")
    table.add_row("xruns", f"{s.xruns + s.device_xruns}", style="red" if s.xruns + s.device_xruns else "")
    table.add_row("resyncs / bad chunks", f"{s.resyncs} / {s.bad_chunks}")
    table.add_row("cutoff", f"{s.cutoff_hz:.0f} Hz")
    if separate_clocks:
        table.add_row("drift", f"{s.drift_ppm:+.1f} ppm")
    return table


def chain_table(stages: list[dict[str, Any]]) -> Table:
    """Every stage of a chain with its latency and the time that it takes."""
    table = Table("stage", "latency", "mean", "p99", "load", box=None, padding=(0, 1), header_style="dim")
    for stage in stages:
        notes = " (bypassed)" * stage["bypass"] + " (failing)" * stage["failing"]
        cost = f"{stage['mean_us']:.1f} µs", f"{stage['p99_us']:.1f} µs", f"{100 * stage['load']:.2f} %"
        table.add_row(f"{stage['name']}{notes}", f"{stage['latency_ms']:.2f} ms", *cost)
    return table
