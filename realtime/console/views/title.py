"""The line above a part: its name, and a fact at its end."""

from __future__ import annotations

from ..canvas import Area, Canvas
from ..styles import Style


def draw(canvas: Canvas, area: Area, name: str, fact: str = "", style: int = Style.DIM) -> None:
    """``name ─────── fact``, in the first row of *area*; *style* is the fact's."""
    end = area.column + area.width
    canvas.put(area.row, area.column, "─" * area.width, Style.DIM)
    after = canvas.put(area.row, area.column, f"{name} ", Style.BOLD, area.width)
    if fact:
        canvas.put_right(area.row, end, f" {fact}", style, max(end - after, 0))
