"""Levels in dBFS: a bar as long as the loudest sample is high, a mark where it was highest of late."""

from __future__ import annotations

from ..canvas import Area, Canvas
from ..glyphs import lying
from ..snapshot import Sound
from ..styles import Style

LOWEST_DBFS = -60.0

#: A voice is well set where its peaks are below the first; above the second it may clip.
_LOUD_DBFS, _HOT_DBFS = -9.0, -2.0

_NUMBERS = " -99.9 pk -99.9"


def position(dbfs: float, columns: int) -> int:
    """The column of a level on a bar."""
    return min(max(int((dbfs - LOWEST_DBFS) / -LOWEST_DBFS * columns), 0), columns - 1)


def shown(dbfs: float) -> str:
    """A level in five characters."""
    return f"{max(dbfs, -99.9):5.1f}"


def _style(dbfs: float) -> int:
    return Style.BAD if dbfs >= _HOT_DBFS else Style.WARN if dbfs >= _LOUD_DBFS else Style.GOOD


def draw(canvas: Canvas, area: Area, name: str, sound: Sound) -> None:
    """``in  ██████████   │    -23.1 pk -12.0``: rms and held peak in dBFS as numbers."""
    start = canvas.put(area.row, area.column, name.ljust(4), Style.BOLD)
    columns = area.width - 4 - len(_NUMBERS)
    if columns > 0:
        bar = lying(1.0 - sound.peak_dbfs / LOWEST_DBFS, columns)
        canvas.put(area.row, start, bar, _style(sound.peak_dbfs))
        if sound.held_dbfs > LOWEST_DBFS:
            canvas.put(area.row, start + position(sound.held_dbfs, columns), "│", _style(sound.held_dbfs))
    end = canvas.put(area.row, start + max(columns, 0), f" {shown(sound.level_dbfs)}")
    canvas.put(area.row, end, f" pk {shown(sound.held_dbfs)}", _style(sound.held_dbfs))
