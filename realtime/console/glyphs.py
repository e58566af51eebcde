"""Quantities as characters: bars that stand, bars that lie, shades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import encode

Codes = NDArray[np.uint32]

_STANDING = encode(" ▁▂▃▄▅▆▇█")
_LYING = " ▏▎▍▌▋▊▉█"
_SHADES = encode(" ·░▒▓█")

#: In the upper half of a cell the one colour, in the lower the other.
HALF = ord("▀")


def standing(heights: NDArray[np.float64], rows: int) -> Codes:
    """Bars [rows, n] as high as *heights* [n] (0 to 1) of *rows* cells."""
    eighths = np.clip(heights, 0.0, 1.0) * rows * 8
    below = np.arange(rows - 1, -1, -1)[:, None] * 8
    codes: Codes = _STANDING[np.clip(eighths - below, 0, 8).astype(int)]
    return codes


def lying(length: float, columns: int) -> str:
    """A bar as long as *length* (0 to 1) of *columns* cells, with spaces after it."""
    eighths = round(min(max(length, 0.0), 1.0) * columns * 8)
    bar = "█" * (eighths // 8) + (_LYING[eighths % 8] if eighths % 8 else "")
    return bar.ljust(columns)


def span(start: float, end: float, columns: int) -> str:
    """A bar from *start* to *end* (0 to 1) of *columns* cells; whatever has a length is seen."""
    first, last = round(start * columns), round(end * columns)
    if last > first:
        bar = " " * first + "█" * (last - first)
    else:
        bar = " " * min(first, columns - 1) + ("▏" if end > start else "")
    return bar.ljust(columns)


def shades(levels: NDArray[np.float64]) -> Codes:
    """A character for each of *levels* (0 to 1), the darker the more."""
    codes: Codes = _SHADES[np.clip(levels * len(_SHADES), 0, len(_SHADES) - 1).astype(int)]
    return codes
