"""The chain: what every stage costs, as a table, or in one line."""

from __future__ import annotations

from typing import Any

from ..canvas import Area, Canvas
from ..glyphs import lying
from ..snapshot import Snapshot
from ..styles import Style
from . import title

#: Of a stage's name at the least; then mean and p99 in µs, its share of the hop, and its latency.
_NAME = 12
_COLUMNS = " {mean:>8} {p99:>8} {load:>7} {latency:>6}"
_HEAD = _COLUMNS.format(mean="mean µs", p99="p99 µs", load="% hop", latency="ms")


def _note(stage: dict[str, Any]) -> tuple[str, int]:
    if stage["bypass"]:
        return " (bypassed)", Style.DIM
    return (" (failing)", Style.BAD) if stage["failing"] else ("", Style.PLAIN)


def draw(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """A row for every stage; a bar for its share of the hop where there is room."""
    stages = snapshot.chain
    total = sum(stage["load"] for stage in stages)
    title.draw(canvas, area, "chain", f"{100.0 * total:.1f} % of a hop", Style.BOLD)
    rows = area.height - 1
    if rows < 2:
        return
    names = max(area.width - len(_HEAD) - 12, _NAME) if area.width > 60 else max(area.width - len(_HEAD), _NAME)
    names = min(names, max([_NAME, *(len(stage["name"]) + 11 for stage in stages)]))
    bar = area.width - names - len(_HEAD) - 1
    canvas.put(area.row + 1, area.column, "stage", Style.DIM)
    canvas.put(area.row + 1, area.column + names, _HEAD, Style.DIM, area.width - names)
    shown = stages[: rows - 1] if len(stages) < rows else stages[: rows - 2]
    for row, stage in enumerate(shown, area.row + 2):
        note, style = _note(stage)
        canvas.put(row, area.column, stage["name"][: max(names - len(note), 1)] + note, style, names)
        figures = _COLUMNS.format(
            mean=f"{stage['mean_us']:.1f}",
            p99=f"{stage['p99_us']:.1f}",
            load=f"{100.0 * stage['load']:.2f}",
            latency=f"{stage['latency_ms']:.2f}",
        )
        end = canvas.put(row, area.column + names, figures, style, area.width - names)
        if bar >= 4:
            canvas.put(row, end + 1, lying(stage["load"], bar), Style.AFTER, bar)
    if len(shown) < len(stages):
        canvas.put(area.row + area.height - 1, area.column, f"and {len(stages) - len(shown)} more", Style.DIM)


def strip(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """``chain  high-pass 3 µs 0.1 % → network 461 µs 11.5 %``, of a hop; what does not fit ends in an ellipsis."""
    column = canvas.put(area.row, area.column, "chain  ", Style.BOLD)
    end = area.column + area.width
    for index, stage in enumerate(snapshot.chain):
        text = f"{stage['name']} {stage['mean_us']:.0f} µs {100.0 * stage['load']:.1f} %"
        arrow = " → " if index else ""
        if column + len(arrow) + len(text) > end - (2 if index + 1 < len(snapshot.chain) else 0):
            canvas.put(area.row, column, " …", Style.DIM)
            return
        column = canvas.put(area.row, column, arrow, Style.DIM)
        column = canvas.put(area.row, column, text, _note(stage)[1])
