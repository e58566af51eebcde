"""The keys: in the last line, and one by one on a page of their own."""

from __future__ import annotations

from dataclasses import dataclass

from ..canvas import Area, Canvas
from ..snapshot import Snapshot
from ..styles import Style

_SHORT_WITHOUT = "Ctrl-C ends"


@dataclass(frozen=True)
class Key:
    """A key, a word for the last line (none: only on the page), and what it does."""

    key: str
    word: str
    does: str


KEYS = (
    Key("b", "bypass", "the voice as it came, or full-band again; without a click"),
    Key("a", "A/B", "compare: A as it is set, B as it came; marked in the spectrogram"),
    Key("n", "model", "the next model that ships; without a click"),
    Key("+ -", "gain", "louder or softer by 1 dB"),
    Key("m", "mute", "silence, or the voice again"),
    Key("r", "record", "begin or end a recording of both, before and after, as WAV"),
    Key("s", "save", "keep the settings of now as the preset 'saved'"),
    Key("p", "preset", "the next of your own and the shipped presets; what was typed at the start stays"),
    Key("Tab", "chain", "turn between the engine and the chain where not both fit"),
    Key("z", "", "count from now on"),
    Key("Ctrl-L", "", "draw everything anew"),
    Key("?", "help", "this page, and back"),
    Key("q", "quit", "end; so does Ctrl-C"),
)

#: Left out one after the other where the line is short; the page has them.
_EXPENDABLE = ("p", "s", "+ -", "n", "m", "Tab", "r", "a", "b")


def _line(width: int, pages: bool) -> list[Key]:
    shown = [key for key in KEYS if key.word and (pages or key.key != "Tab")]
    for expendable in _EXPENDABLE:
        if sum(len(f"{key.key} {key.word}  ") for key in shown) - 2 <= width:
            break
        shown = [key for key in shown if key.key != expendable]
    return shown


def words(width: int) -> str:
    """The same as plain text, for a terminal that is small."""
    return "  ".join(f"{key.key} {key.word}" for key in _line(width, pages=False))


def draw(canvas: Canvas, area: Area, snapshot: Snapshot, pages: bool) -> None:
    """One row: as many keys as fit, always the last two."""
    if not snapshot.has_keys:
        canvas.put(area.row, area.column, _SHORT_WITHOUT, Style.DIM)
        return
    column = area.column
    for key in _line(area.width, pages):
        column = canvas.put(area.row, column, key.key, Style.BOLD)
        column = canvas.put(area.row, column, f" {key.word}  ", Style.DIM)


def page(canvas: Canvas, area: Area) -> None:
    """All keys."""
    canvas.put(area.row, area.column, " fullband: keys ", Style.BANNER)
    for row, key in enumerate(KEYS, area.row + 2):
        canvas.put(row, area.column + 2, key.key.ljust(7), Style.BOLD)
        canvas.put(row, area.column + 10, key.does)
