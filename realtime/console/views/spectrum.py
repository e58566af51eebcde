"""A spectrum from 0 to 24 kHz as bars, with the frequencies below it and a mark where the voice's own band ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..canvas import Area, Canvas
from ..glyphs import standing
from ..snapshot import Snapshot, Sound
from ..styles import Style
from . import title

TOP_HZ = 24_000.0
_RANGE_DB = (-90.0, -10.0)
_TICKS_KHZ = (0, 4, 8, 12, 16, 20)


def bands(spectrum_db: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """The loudest line in each of *columns* bands of equal width."""
    starts = np.minimum(np.arange(columns) * len(spectrum_db) // columns, len(spectrum_db) - 1)
    loudest: NDArray[np.float32] = np.maximum.reduceat(spectrum_db, starts)
    return loudest


def column_of(frequency_hz: float, columns: int) -> int:
    """The column that has *frequency_hz* in it."""
    return min(max(int(frequency_hz / TOP_HZ * columns), 0), columns - 1)


def _axis(canvas: Canvas, area: Area, cutoff_hz: float) -> None:
    row = area.row + area.height - 1
    for khz in _TICKS_KHZ:
        canvas.put(row, area.column + column_of(1000.0 * khz, area.width), str(khz), Style.DIM)
    canvas.put_right(row, area.column + area.width, "kHz", Style.DIM, 3)
    canvas.put(row, area.column + column_of(cutoff_hz, area.width), "▲", Style.MARK)


def limiting(snapshot: Snapshot) -> tuple[str, int]:
    """What the limiter does, in words."""
    parts = [("high band", snapshot.limiting.high_db), ("all", snapshot.limiting.whole_db)]
    busy = [f"{name} {db:.1f}" for name, db in parts if db <= -0.05]
    return (f"limiter: {', '.join(busy)} dB", Style.WARN) if busy else ("limiter at rest", Style.DIM)


def draw(canvas: Canvas, area: Area, snapshot: Snapshot, name: str, sound: Sound) -> None:
    """Title, bars and axis; *name* is ``before`` or ``after``."""
    cutoff_hz = snapshot.statistics.cutoff_hz
    if name == "before":
        title.draw(canvas, area, name, f"band ends at {cutoff_hz / 1000.0:.1f} kHz", Style.MARK)
    else:
        title.draw(canvas, area, name, *limiting(snapshot))
    low, high = _RANGE_DB
    rows = area.height - 2
    heights = (bands(sound.spectrum_db, area.width).astype(np.float64) - low) / (high - low)
    inner = Area(area.row + 1, area.column, rows, area.width)
    canvas.fill(inner, standing(heights, rows), Style.BEFORE if name == "before" else Style.AFTER)
    _axis(canvas, area, cutoff_hz)
