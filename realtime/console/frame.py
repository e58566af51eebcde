"""One frame: every view in its area."""

from __future__ import annotations

from .canvas import Area, Canvas
from .layout import Page, plan
from .snapshot import Snapshot
from .styles import Look, Style
from .views import chain, counters, header, hops, keys, latency, meters, spectrogram, spectrum, words


def draw(
    snapshot: Snapshot, size: tuple[int, int], look: Look, *, page: Page = Page.ENGINE, showing_help: bool = False
) -> Canvas:
    """*snapshot* on a terminal of *size* (columns, rows)."""
    width, height = size
    canvas = Canvas(width, height)
    whole = Area(0, 0, height, width)
    if showing_help:
        keys.page(canvas, whole)
        return canvas
    layout = plan(width, height, len(snapshot.chain), page)
    areas = layout.areas
    if "words" in areas:
        words.draw(canvas, whole, snapshot, keys.words(width) if snapshot.has_keys else "")
        return canvas
    header.draw(canvas, areas["header"], snapshot)
    for name, short, sound in (("before", "in", snapshot.before), ("after", "out", snapshot.after)):
        meters.draw(canvas, areas[f"meter {name}"], short, sound)
        spectrum.draw(canvas, areas[f"spectrum {name}"], snapshot, name, sound)
        marks = snapshot.marks if name == "after" else ()
        spectrogram.draw(canvas, areas[f"spectrogram {name}"], name, sound, look.gradients, marks)
    if "strip" in areas:
        chain.strip(canvas, areas["strip"], snapshot)
    for name, view in (("latency", latency), ("hops", hops), ("counters", counters), ("chain", chain)):
        if name in areas:
            view.draw(canvas, areas[name], snapshot)
    _notices(canvas, areas["notices"], snapshot)
    keys.draw(canvas, areas["keys"], snapshot, layout.pages)
    return canvas


def _notices(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """The newest of them, or else the devices in full."""
    if not snapshot.notices:
        canvas.put(area.row, area.column, header.devices_line(snapshot), Style.DIM)
    for row, line in enumerate(snapshot.notices[-area.height :], area.row):
        text = line if len(line) <= area.width else f"{line[: area.width - 1]}…"
        canvas.put(row, area.column, text, Style.WARN)
