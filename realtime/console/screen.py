"""The terminal: what has changed of a frame is written to it, and it is given back as it was.

Nothing is drawn while this process is not the terminal's foreground job, nor while the terminal takes nothing (Ctrl-S,
a connection that is slow): who draws has better to do than to wait for it.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.color import ColorSystem
from rich.console import Console as RichConsole

from .canvas import COVERED, Canvas
from .styles import Look

# Another screen, so that the one before comes back (xterm's 1049); no cursor; what is written in the last column of the
# last row does not move everything up.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
_LEAVE = b"\x1b[0m\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l"

_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.STANDARD,
}


def _takes_utf8(encoding: str) -> bool:
    """Whether the locale, and Python with it, writes UTF-8. Python does in the C locale, too; terminals may not."""
    locale = next((found for name in ("LC_ALL", "LC_CTYPE", "LANG") if (found := os.environ.get(name))), "utf-8")
    return "utf" in encoding.lower() and "utf" in locale.lower()


def look_of(console: RichConsole) -> Look:
    """What the terminal of *console* can show, by TERM, COLORTERM, NO_COLOR and the locale."""
    return Look(_takes_utf8(console.encoding), _SYSTEMS.get(console.color_system or ""), not console.no_color)


def can_draw(console: RichConsole) -> bool:
    """Whether *console* writes to a terminal that can move its cursor."""
    if console.is_dumb_terminal or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return False
    with suppress(OSError, ValueError, AttributeError):
        return os.isatty(console.file.fileno())
    return False


class Screen:
    """The terminal behind *file*; a context, within which :meth:`show` draws."""

    def __init__(self, file: IO[str], look: Look) -> None:
        self._file = file
        self._fd = file.fileno()
        self._look = look
        self._sequences = look.sequences()
        self._shown: Canvas | None = None
        self._on_continue: Any = None
        #: Whether the terminal shows frames at present, and what was there before is put away.
        self.entered = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        with suppress(OSError):
            size = os.get_terminal_size(self._fd)
            if size.columns and size.lines:
                return size.columns, size.lines
        return 80, 24

    @property
    def in_foreground(self) -> bool:
        """Whether drawing disturbs nobody."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # a terminal without jobs
            return True

    def forget(self) -> None:
        """Have the next frame drawn in full: others may have written on the screen."""
        self._shown = None

    def show(self, canvas: Canvas) -> bool:
        """Draw; says whether that could be done now."""
        if not self.in_foreground or not self._is_ready():
            return False
        if not self.entered:
            self._file.flush()
            self.entered = True
            self._shown = None
            self._write(_ENTER)
        self._write(self._look.encode(self._changes(canvas)))
        self._shown = canvas
        return True

    def leave(self) -> None:
        """Give the terminal back: its cursor, and what was on it."""
        if self.entered:
            self.entered = False
            self._write(_LEAVE)

    def _changes(self, canvas: Canvas) -> str:
        """What makes the screen show *canvas*."""
        shown = self._shown
        pieces = []
        if shown is None or shown.chars.shape != canvas.chars.shape:
            pieces.append("\x1b[0m\x1b[2J")
            shown = Canvas(canvas.width, canvas.height)
        changed = (canvas.chars != shown.chars) | (canvas.styles != shown.styles)
        for row in np.flatnonzero(changed.any(axis=1)):
            columns = np.flatnonzero(changed[row])
            first, end = int(columns[0]), int(columns[-1]) + 1
            while first > 0 and canvas.chars[row, first] == COVERED:
                first -= 1
            pieces.append(f"\x1b[{row + 1};{first + 1}H")
            pieces.append(self._drawn(canvas.chars[row, first:end], canvas.styles[row, first:end]))
        return "".join(pieces)

    def _drawn(self, codes: NDArray[np.uint32], styles: NDArray[np.uint16]) -> str:
        edges = [0, *(np.flatnonzero(styles[1:] != styles[:-1]) + 1).tolist(), len(styles)]
        wide = bool((codes == COVERED).any())
        text = codes.astype("<u4").tobytes().decode("utf-32-le")
        sequences, looks = self._sequences, styles.tolist()
        drawn = "".join([sequences[looks[a]] + text[a:b] for a, b in pairwise(edges)])
        return drawn.replace("\0", "") if wide else drawn

    def _is_ready(self) -> bool:
        try:
            return bool(select.select([], [self._fd], [], 0.0)[1])
        except (OSError, ValueError):
            return False

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # a terminal that is gone is no reason to end a call
            while data:
                data = data[os.write(self._fd, data) :]

    def __enter__(self) -> Screen:
        # Whoever had the terminal while this process stood still has written on it.
        self._on_continue = signal.signal(signal.SIGCONT, lambda number, frame: self.forget())
        return self

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGCONT, self._on_continue)
        self.leave()
