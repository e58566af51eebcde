"""Signals as wishes: the loop of a running host sees them between two looks, so that nothing is cut in half."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

_END = (signal.SIGINT, signal.SIGTERM)
_RELOAD = signal.SIGHUP

_held: list[int] = []


def hold_reloads() -> None:
    """From now on SIGHUP does not end the process; the next :class:`Signals` knows of it. Main thread only."""
    signal.signal(_RELOAD, lambda number, frame: _held.append(number))


class Signals:
    """While entered, Ctrl-C and SIGTERM ask for the end and SIGHUP for the configuration anew. Main thread only.

    A SIGHUP because the terminal is gone asks for the end, too. A second Ctrl-C interrupts at once (KeyboardInterrupt).
    """

    def __init__(self) -> None:
        #: Whether the end was asked for.
        self.ending = False
        self._reload = False
        self._had_terminal = False
        self._before: dict[int, Any] = {}

    def take_reload(self) -> bool:
        """Whether SIGHUP has come since the last call."""
        wanted, self._reload = self._reload, False
        return wanted

    def _end(self, number: int, frame: Any) -> None:
        if self.ending:
            raise KeyboardInterrupt
        self.ending = True

    def _hang_up(self, number: int, frame: Any) -> None:
        if self._had_terminal and not _has_terminal():
            self.ending = True
        self._reload = True

    def __enter__(self) -> Signals:
        self._had_terminal = _has_terminal()
        for number in _END:
            self._before[number] = signal.signal(number, self._end)
        self._before[_RELOAD] = signal.signal(_RELOAD, self._hang_up)
        self._reload = bool(_held)
        _held.clear()
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    """Whether there is a terminal whose closing would end this process."""
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        return True
    return False
