"""Spectra of the last seconds, the newest at the right: two bands a row where there are colours, one where not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..canvas import Area, Canvas
from ..glyphs import HALF, shades
from ..snapshot import Mark, Sound
from ..styles import HEAT_LEVELS, Style, heat

_RANGE_DB = (-85.0, -25.0)
_LABELS = (" 24k", "   0")
LABEL_COLUMNS = 4


def levels(columns_db: NDArray[np.float32], columns: int, bands: int) -> NDArray[np.float64]:
    """The newest *columns* as [bands, columns] from 0 to 1, the highest band first."""
    newest = columns_db[-columns:]
    starts = np.arange(bands) * newest.shape[1] // bands
    low, high = _RANGE_DB
    grouped = (np.maximum.reduceat(newest, starts, axis=1).T[::-1] - low) / (high - low)
    placed = np.zeros((bands, columns))
    placed[:, columns - len(newest) :] = np.clip(grouped, 0.0, 1.0)
    return placed


def draw(canvas: Canvas, area: Area, name: str, sound: Sound, gradients: bool, marks: tuple[Mark, ...] = ()) -> None:
    """As many seconds as there are columns; *marks* are drawn in the first row, where they happened."""
    columns = area.width - LABEL_COLUMNS
    if area.height < 1 or columns < 1:
        return
    inner = Area(area.row, area.column + LABEL_COLUMNS, area.height, columns)
    canvas.put(area.row, area.column, _LABELS[0], Style.DIM)
    canvas.put(area.row + area.height - 1, area.column, _LABELS[1], Style.DIM)
    if gradients:
        found = levels(sound.columns_db, columns, 2 * area.height)
        steps = np.clip(found * HEAT_LEVELS, 0, HEAT_LEVELS - 1).astype(np.uint16)
        halves = np.full((area.height, columns), HALF, np.uint32)
        canvas.fill(inner, halves, heat(steps[0::2], steps[1::2]))
    else:
        found = levels(sound.columns_db, columns, area.height)
        canvas.fill(inner, shades(found), Style.BEFORE if name == "before" else Style.AFTER)
    for mark in marks:
        age = sound.column_count - 1 - mark.column
        if 0 <= age < columns:
            canvas.put(area.row, inner.column + columns - 1 - age, mark.letter, Style.BANNER)
