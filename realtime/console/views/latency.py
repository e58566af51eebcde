"""The delay part by part, each bar where the one above it ends."""

from __future__ import annotations

from ...latency import LatencyBudget
from ..canvas import Area, Canvas
from ..glyphs import span
from ..snapshot import Snapshot
from ..styles import Style
from . import title

_NUMBER = "  123.45"


def _short(name: str) -> str:
    return name.replace("capture", "in").replace("playback", "out")


def rows(budget: LatencyBudget, most: int) -> list[tuple[str, float | None]]:
    """Name and milliseconds of *most* parts at most: those of no length are left out first, the shortest joined."""
    parts = [(_short(name), value) for name, value in budget.parts().items()]
    while len(parts) > most and (empty := [part for part in parts if not part[1]]):
        parts.remove(empty[-1])
    if len(parts) <= most:
        return parts
    by_length = sorted(range(len(parts)), key=lambda index: -(parts[index][1] or 0.0))
    kept = sorted(by_length[: max(most - 1, 0)])
    joined = sum(parts[index][1] or 0.0 for index in by_length[max(most - 1, 0) :])
    return [*(parts[index] for index in kept), (f"{len(parts) - len(kept)} others", joined)]


def draw(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """A title with the sum; a row for every part."""
    budget = snapshot.budget
    title.draw(canvas, area, "latency", f"{budget.total_ms:.2f} ms", Style.BOLD)
    parts = rows(budget, area.height - 1)
    names = min(max((len(name) for name, _ in parts), default=0), max(area.width - len(_NUMBER), 0))
    columns = area.width - names - len(_NUMBER) - 1
    begun = 0.0
    total = budget.total_ms or 1.0
    for row, (name, value) in enumerate(parts, area.row + 1):
        canvas.put(row, area.column, name[:names], Style.PLAIN if value else Style.DIM)
        number = area.column + names + len(_NUMBER)
        if value is None:
            canvas.put_right(row, number, "unknown", Style.DIM, len(_NUMBER))
            continue
        canvas.put_right(row, number, f"{value:.2f}", Style.PLAIN if value else Style.DIM)
        if columns > 0:
            canvas.put(row, number + 1, span(begun / total, (begun + value) / total, columns), Style.AFTER)
        begun += value
