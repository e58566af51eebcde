"""What fits where: the parts of a frame on a terminal of any size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .canvas import Area

#: Below this a frame is some lines of words.
LEAST_WIDTH, LEAST_HEIGHT = 60, 16

#: From here on two parts stand beside each other that are shown in turn on smaller ones.
_WIDE = 130

_GAP = 2

#: Rows of the smallest frame, and where rows beyond it go first, up to these.
_SPECTRUM_ROWS, _PARTS_ROWS = 3, 6
_FULL_PARTS_ROWS = 8
_LEAST_SPECTROGRAM_ROWS = 3
_MOST_PARTS_ROWS, _MOST_SPECTRUM_ROWS = 14, 14

_COUNTERS_WIDTH = 23
_CHAIN_WIDTH, _MOST_CHAIN_WIDTH, _COMFORTABLE = 58, 72, 146
_HOPS_WIDTH = 20


class Page(Enum):
    """What the lower part shows where not all of it fits."""

    ENGINE = "engine"
    CHAIN = "chain"


@dataclass(frozen=True)
class Layout:
    """Areas by the names of what is drawn in them, with a row for the title of each that has one above it.

    *pages* says whether there is something to turn to.
    """

    areas: dict[str, Area]
    pages: bool = False


def _columns(row: int, height: int, widths: dict[str, int]) -> dict[str, Area]:
    """Areas side by side."""
    areas, column = {}, 0
    for name, width in widths.items():
        areas[name] = Area(row, column, height, width)
        column += width + _GAP
    return areas


def _halves(row: int, height: int, width: int, names: tuple[str, str]) -> dict[str, Area]:
    half = (width - _GAP) // 2
    return _columns(row, height, {names[0]: half, names[1]: width - _GAP - half})


def _parts(width: int, has_chain: bool, page: Page) -> dict[str, int]:
    """The lower parts and how wide they are."""
    if has_chain and width >= _WIDE:
        chain = min(max(width - _COMFORTABLE, 0) + _CHAIN_WIDTH, _MOST_CHAIN_WIDTH)
        rest = width - _COUNTERS_WIDTH - chain - 3 * _GAP
        return {
            "latency": rest - 2 * rest // 5,
            "hops": 2 * rest // 5,
            "counters": _COUNTERS_WIDTH,
            "chain": chain,
        }
    rest = width - _COUNTERS_WIDTH - _GAP
    if has_chain and page is Page.CHAIN:
        return {"chain": rest, "counters": _COUNTERS_WIDTH}
    if rest - _GAP - _HOPS_WIDTH < 30:
        return {"latency": rest, "counters": _COUNTERS_WIDTH}
    rest -= _GAP
    hops = max(2 * rest // 5, _HOPS_WIDTH)
    return {"latency": rest - hops, "hops": hops, "counters": _COUNTERS_WIDTH}


def plan(width: int, height: int, stages: int = 0, page: Page = Page.ENGINE) -> Layout:
    """The layout for a terminal of *width* columns and *height* rows, and a chain of so many *stages*."""
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return Layout({"words": Area(0, 0, height, width)})
    has_chain = stages > 0
    both = has_chain and width >= _WIDE
    strip = int(has_chain and not both)
    notice_rows = 1 if height < 32 else 3
    # Header, meters, title and axis of the spectra, title of the lower parts, keys.
    left = height - 6 - notice_rows - _SPECTRUM_ROWS - _PARTS_ROWS
    strip = min(strip, left)
    left -= strip
    parts_rows = _PARTS_ROWS + min(left, _FULL_PARTS_ROWS - _PARTS_ROWS)
    left -= parts_rows - _PARTS_ROWS
    spectrum_rows = _SPECTRUM_ROWS
    spectrogram_rows = left
    if left < _LEAST_SPECTROGRAM_ROWS:
        spectrum_rows, spectrogram_rows = spectrum_rows + left, 0
    elif left > 6:
        more = left - 6
        parts_rows = min(parts_rows + more // 5, max(_MOST_PARTS_ROWS, stages + 1))
        spectrum_rows = min(spectrum_rows + 3 * more // 10, _MOST_SPECTRUM_ROWS)
        spectrogram_rows = left - (parts_rows - _FULL_PARTS_ROWS) - (spectrum_rows - _SPECTRUM_ROWS)
    areas = {"header": Area(0, 0, 1, width)}
    areas |= _halves(1, 1, width, ("meter before", "meter after"))
    row = 2
    areas |= _halves(row, spectrum_rows + 2, width, ("spectrum before", "spectrum after"))
    row += spectrum_rows + 2
    areas |= _halves(row, spectrogram_rows, width, ("spectrogram before", "spectrogram after"))
    row += spectrogram_rows
    if strip:
        areas["strip"] = Area(row, 0, 1, width)
        row += 1
    areas |= _columns(row, parts_rows + 1, _parts(width, has_chain, page))
    row += parts_rows + 1
    areas["notices"] = Area(row, 0, notice_rows, width)
    areas["keys"] = Area(row + notice_rows, 0, 1, width)
    return Layout(areas, pages=has_chain and not both)
