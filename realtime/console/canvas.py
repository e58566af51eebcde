"""A sheet of character cells that views draw on: text is cut at its edges, whatever is drawn."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from .styles import Style

#: In the cell to the right of a character that takes two.
COVERED = 0

_SPACE = ord(" ")

#: Most of what is written was written in the frame before, too.
_KEPT_TEXTS = 1024


@dataclass(frozen=True)
class Area:
    """A part of a canvas, in cells; empty where *height* or *width* is 0."""

    row: int
    column: int
    height: int
    width: int


class Canvas:
    """*height* rows of *width* cells: ``chars`` are code points, ``styles`` values of :class:`~.styles.Style`."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.chars: NDArray[np.uint32] = np.full((height, width), _SPACE, np.uint32)
        self.styles: NDArray[np.uint16] = np.zeros((height, width), np.uint16)

    def put(self, row: int, column: int, text: str, style: int = Style.PLAIN, most: int | None = None) -> int:
        """Write *text* from a cell on, in *most* cells at most; gives the column after it."""
        limit = self.width if most is None else min(self.width, column + most)
        if not 0 <= row < self.height or column >= limit:
            return column
        codes = _codes(text)
        if column < 0:
            codes, column = codes[-column:], 0
        codes = codes[: limit - column]
        end = column + len(codes)
        self.chars[row, column:end] = codes
        self.styles[row, column:end] = style
        return end

    def put_right(self, row: int, end: int, text: str, style: int = Style.PLAIN, most: int | None = None) -> None:
        """Write *text* so that it ends before the column *end*; one of more than *most* cells is cut at its end."""
        length = len(_codes(text))
        length = length if most is None else min(length, most)
        self.put(row, end - length, text, style, length)

    def fill(self, area: Area, chars: NDArray[np.uint32], styles: NDArray[np.uint16] | int) -> None:
        """Copy *chars* [height, width] (and styles of that shape, or one style) to *area*, which lies on the canvas."""
        place = slice(area.row, area.row + area.height), slice(area.column, area.column + area.width)
        self.chars[place] = chars
        self.styles[place] = styles

    def lines(self) -> list[str]:
        """The text of every row, without styles."""
        return [decode(row) for row in self.chars]


def decode(codes: NDArray[np.uint32]) -> str:
    """The text in a row of cells."""
    return codes.astype("<u4").tobytes().decode("utf-32-le").replace("\0", "")


def encode(text: str) -> NDArray[np.uint32]:
    """The code points of *text*, one for each character."""
    return np.frombuffer(text.encode("utf-32-le", "replace"), "<u4").astype(np.uint32)


@lru_cache(_KEPT_TEXTS)
def _codes(text: str) -> NDArray[np.uint32]:
    """Code points for cells, not to be changed.

    What takes no cell is left out, and what would move the cursor is a question mark.
    """
    if text.isascii() and text.isprintable():
        return np.frombuffer(text.encode(), np.uint8).astype(np.uint32)
    if text.isprintable() and cell_len(text) == len(text):
        return encode(text)
    codes: list[int] = []
    for letter in text:
        if not letter.isprintable():
            codes += [] if unicodedata.category(letter) == "Cf" else [ord("?")]
            continue
        cells = cell_len(letter)
        codes += [ord(letter), COVERED] if cells == 2 else [ord(letter)] * cells
    return np.array(codes, np.uint32)
