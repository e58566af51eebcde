"""What ``fullband live`` draws: levels, spectra before and after, where the delay comes from, deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .backends.base import Backend
from .engine import Engine
from .latency import LatencyBudget
from .statistics import Statistics
from .taps import Meter

_BLOCKS = " ▁▂▃▄▅▆▇█"
_FLOOR_DB = -90.0
_BANDS = 64
_EDGES_HZ = np.linspace(0.0, 24_000.0, _BANDS + 1)


@dataclass(frozen=True)
class ViewState:
    """Everything one frame of the console shows."""

    title: str
    backend: Backend
    engine: Engine
    before: Meter
    after: Meter
    budget: LatencyBudget
    statistics: Statistics
    hints: tuple[str, str] | None = None


def _bars(levels_db: np.ndarray, rows: int) -> list[str]:
    """A bar chart *rows* lines high."""
    height = np.clip((levels_db - _FLOOR_DB) / -_FLOOR_DB, 0.0, 1.0) * rows * 8
    lines = []
    for row in range(rows - 1, -1, -1):
        cells = np.clip(height - row * 8, 0, 8).astype(int)
        lines.append("".join(_BLOCKS[c] for c in cells))
    return lines


def _axis(cutoff_hz: float) -> Text:
    plain = [" "] * _BANDS
    for khz in range(0, 24, 4):
        label = str(khz) if khz else "0"
        start = int(khz / 24 * _BANDS)
        for offset, letter in enumerate(label):
            plain[start + offset] = letter
    plain[-5:] = list("24kHz")
    mark = min(int(cutoff_hz / 24_000 * _BANDS), _BANDS - 1)
    text = Text("".join(plain), style="dim")
    text.stylize("bold yellow", mark, mark + 1)
    return text


def _spectrum(title: str, meter: Meter, colour: str) -> Panel:
    lines = _bars(meter.bands_db(_EDGES_HZ), 4)
    level = f"peak {meter.peak_dbfs:6.1f}  rms {meter.level_dbfs:6.1f} dBFS"
    return Panel(
        Text("\n".join(lines), style=colour), title=title, title_align="left", subtitle=level, width=_BANDS + 4
    )


def budget_table(budget: LatencyBudget) -> Table:
    """The latency budget part by part, with its sum."""
    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name, value in budget.parts().items():
        table.add_row(name, "not reported" if value is None else f"{value:.2f} ms", style="" if value else "dim")
    table.add_row("total", f"{budget.total_ms:.2f} ms", style="bold")
    return table


def statistics_table(state: ViewState) -> Table:
    """Load, deadlines and faults."""
    s = state.statistics
    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("hop p50 / p99", f"{s.hop_p50_ms:.2f} / {s.hop_p99_ms:.2f} ms")
    table.add_row("load", f"{100 * s.load:.1f} %")
    table.add_row("hops", f"{s.hops}")
    table.add_row("deadline misses", f"{s.deadline_misses}", style="red" if s.deadline_misses else "")
    table.add_row("dull", f"{s.dull_seconds:.2f} s", style="red" if s.dull_seconds else "")
    table.add_row("xruns", f"{s.xruns + s.device_xruns}", style="red" if s.xruns + s.device_xruns else "")
    table.add_row("resyncs / bad chunks", f"{s.resyncs} / {s.bad_chunks}")
    if state.engine.stream.separate_clocks:
        # One row for both: there are 24.
        table.add_row("cutoff / drift", f"{state.engine.cutoff_hz:.0f} Hz / {s.drift_ppm:+.1f} ppm")
    else:
        table.add_row("cutoff", f"{state.engine.cutoff_hz:.0f} Hz")
    return table


def chain_table(stages: list[dict[str, Any]]) -> Table:
    """Every stage of a chain with its latency and the time that it takes."""
    table = Table("stage", "latency", "mean", "p99", "load", box=None, padding=(0, 1), header_style="dim")
    for stage in stages:
        notes = " (bypassed)" * stage["bypass"] + " (failing)" * stage["failing"]
        cost = f"{stage['mean_us']:.1f} µs", f"{stage['p99_us']:.1f} µs", f"{100 * stage['load']:.2f} %"
        table.add_row(f"{stage['name']}{notes}", f"{stage['latency_ms']:.2f} ms", *cost)
    return table


def _settings(s: Statistics) -> str:
    """What is set to something else than usual."""
    words = [("BYPASS", s.bypass), ("MUTED", s.muted), (f"{s.gain_db:+g} dB", s.gain_db != 0.0)]
    return "".join(f"{word}  " for word, holds in words if holds)


def _model(engine: Engine) -> str:
    return engine.inference.contract.name[:24] if engine.inference else "low band alone"


def render(state: ViewState) -> RenderableType:
    """One frame: 24 lines of 80 columns, what the smallest terminal shows."""
    header = Text.assemble(
        (" fullband ", "bold reverse"),
        (f" {state.statistics.seconds:.1f} s  ", "bold"),
        (_settings(state.statistics), "bold yellow"),
        state.title,
        no_wrap=True,
        overflow="ellipsis",
    )
    side = Table.grid(padding=(0, 2))
    hints = state.hints or (None, None)
    side.add_row(
        Panel(budget_table(state.budget), title="latency", title_align="left", subtitle=hints[0]),
        Panel(statistics_table(state), title=f"engine: {_model(state.engine)}", title_align="left", subtitle=hints[1]),
    )
    return Group(
        header,
        _spectrum("before", state.before, "cyan"),
        _spectrum("after", state.after, "green"),
        Text.assemble("  ", _axis(state.engine.cutoff_hz), ("  Ctrl-C ends", "dim")),
        side,
    )
