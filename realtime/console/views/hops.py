"""How long after their last sample had come hops were done, as a histogram, and by when they had to be.

Both scales are logarithmic: one late hop of a thousand is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...native.histogram import Histogram, upper_edges_ns
from ..canvas import Area, Canvas
from ..glyphs import standing
from ..snapshot import Snapshot
from ..styles import Style
from . import title

#: Octaves of time that are shown.
LOWEST_MS, HIGHEST_MS = 0.125, 32.0
_OCTAVES = 8
_TICKS_MS = (0.125, 0.5, 2.0, 8.0)

_CENTRES_MS = upper_edges_ns() / 1e6 / 2.0 ** (0.5 / 16)


def column_of(milliseconds: float, columns: int) -> int:
    """The column that *milliseconds* fall in; what is beyond the scale in the first or the last."""
    octave = np.log2(max(milliseconds, 1e-6) / LOWEST_MS)
    return int(np.clip(octave / _OCTAVES * columns, 0, columns - 1))


def heights(histogram: Histogram, columns: int) -> NDArray[np.float64]:
    """A bar for each column, from 0 to 1, by the logarithm of the count; a single one is seen."""
    octaves = np.log2(_CENTRES_MS / LOWEST_MS)
    places = np.clip(octaves / _OCTAVES * columns, 0, columns - 1).astype(int)
    counts = np.bincount(places, histogram.counts, columns)
    most = max(float(counts.max()), 1.0)
    bars: NDArray[np.float64] = np.log1p(counts) / np.log1p(most)
    return bars


def _tick(milliseconds: float) -> str:
    return f"{milliseconds:g}".removeprefix("0")


def draw(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """Bars, red after the deadline, which is a line through them; an axis in ms; its figure below."""
    title.draw(canvas, area, "hop done after", "ms")
    rows = area.height - 2
    if rows < 1 or area.width < 8:
        return
    columns = area.width
    inner = Area(area.row + 1, area.column, rows, columns)
    chars = standing(heights(snapshot.statistics.response, columns), rows)
    styles = np.full((rows, columns), Style.BEFORE, np.uint16)
    axis = area.row + area.height - 1
    for tick in _TICKS_MS:
        canvas.put(axis, area.column + column_of(tick, columns), _tick(tick), Style.DIM, 4)
    deadline_ms = snapshot.deadline_ms
    if deadline_ms is not None:
        line = column_of(deadline_ms, columns)
        styles[:, line + 1 :] = Style.BAD
        chars[chars[:, line] == ord(" "), line] = ord("┃")
        styles[:, line] = Style.MARK
    canvas.fill(inner, chars, styles)
    if deadline_ms is not None:
        label = f"deadline {deadline_ms:.1f}"
        room = area.column + area.width
        start = min(area.column + column_of(deadline_ms, columns) + 2, room - len(label))
        beside = area.column + column_of(deadline_ms, columns) - len(label) - 1
        if start <= area.column + column_of(deadline_ms, columns):
            start = beside
        if start >= area.column:
            canvas.put(area.row + 1, start, label, Style.MARK)
