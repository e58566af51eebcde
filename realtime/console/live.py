"""The console of ``fullband live``: draws, takes keys, and gives the terminal back at every end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole

from ..control.desk import Desk
from ..control.keyboard import RESET
from ..errors import FullbandError
from ..keys import Keys
from ..presets import Presets
from ..recording import Take
from ..session import Session
from . import frame
from .layout import Page
from .observer import Observer
from .screen import Screen, look_of

#: Enough for meters to move smoothly; three times as often is hardly seen.
REFRESH_HZ = 12.0
REFRESH_RANGE_HZ = (1.0, 30.0)

_NOTICE_SECONDS = 10.0
_KEPT_NOTICES = 200


class LiveConsole:
    """Draws *session* on the terminal of *console* while entered; keys go to *desk*.

    *presets* are what it may be turned to. *say* prints a line where nothing is drawn; lines told while the console is
    drawn are printed after it, too. Recordings go to *folder*. Main thread only.
    """

    def __init__(
        self,
        session: Session,
        desk: Desk,
        console: RichConsole,
        say: Callable[[str], None],
        refresh_hz: float = REFRESH_HZ,
        presets: Presets | None = None,
        folder: Path | None = None,
    ) -> None:
        self._session = session
        self._desk = desk
        self._presets = presets
        self._say = say
        self._look = look_of(console)
        self._screen = Screen(console.file, self._look)
        self._keys = Keys(on_stop=self._screen.leave)
        self._observer = Observer(session)
        self._period_s = 1.0 / refresh_hz
        self._next_s = 0.0
        self._folder = folder or Path.cwd()
        self._notices: deque[tuple[float, str]] = deque(maxlen=_KEPT_NOTICES)
        self._unsaid: deque[str] = deque(maxlen=_KEPT_NOTICES)
        self._page = Page.ENGINE
        self._showing_help = False
        self._comparing: str | None = None
        self._take: Take | None = None
        self._cleanup = ExitStack()

    def tell(self, line: str) -> None:
        """Show *line* for a while."""
        if self._screen.entered:
            self._notices.append((time.monotonic(), line))
            self._unsaid.append(line)
        else:
            self._say(line)

    def update(self) -> float:
        """Obey keys, and draw where it is time; gives the seconds until it is time again."""
        for key in self._keys.read():
            self._press(key)
        now_s = time.monotonic()
        if now_s >= self._next_s:
            # In step, unless a frame was late by more than one.
            self._next_s = max(self._next_s + self._period_s, now_s)
            self._draw(now_s)
        return max(self._next_s - time.monotonic(), 0.0)

    def _draw(self, now_s: float) -> None:
        if self._take is not None and not self._take.running:
            self._end_take()
        snapshot = replace(
            self._observer.look(now_s),
            comparing=self._comparing,
            recording_seconds=self._take.seconds if self._take is not None else None,
            notices=tuple(line for told_s, line in self._notices if now_s - told_s < _NOTICE_SECONDS),
            has_keys=self._keys.file is not None,
        )
        size = self._screen.size
        self._screen.show(frame.draw(snapshot, size, self._look, page=self._page, showing_help=self._showing_help))

    def _press(self, key: str) -> None:
        match key:
            case "?" | "h":
                self._showing_help = not self._showing_help
            case "\t":
                self._page = Page.CHAIN if self._page is Page.ENGINE else Page.ENGINE
            case "\f":
                self._screen.forget()
            case "a":
                self._compare()
            case "p" if self._presets is not None:
                self.tell(self._presets.turn(self._session))
            case "r":
                self._toggle_take()
            case _:
                if key == "b":
                    self._comparing = None
                self._ask(key)
                if key == RESET:
                    self._observer.since = self._desk.since
        self._observer.refresh()
        self._next_s = 0.0

    def _ask(self, key: str) -> None:
        for line in self._desk.press(key):
            self.tell(line)

    def _compare(self) -> None:
        """The other side; A is full-band, B is bypass."""
        self._ask("b")
        self._comparing = "B" if self._session.settings.bypass else "A"
        self._observer.mark(self._comparing)

    def _toggle_take(self) -> None:
        if self._take is not None:
            self._end_take()
            return
        try:
            self._take = Take(self._session.engine, self._folder)
        except FullbandError as error:
            self.tell(str(error))
        else:
            self.tell(f"recording {self._take.where}")

    def _end_take(self) -> None:
        if self._take is not None:
            take, self._take = self._take, None
            self.tell(take.stop())

    def __enter__(self) -> LiveConsole:
        self._cleanup.enter_context(self._screen)
        self._cleanup.enter_context(self._keys)
        return self

    def __exit__(self, *error: Any) -> None:
        self._end_take()
        self._cleanup.__exit__(*error)
        for line in self._unsaid:
            self._say(line)
