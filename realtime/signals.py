"""Signals as wishes: the loop of a running host sees them between two looks, so that nothing is cut in half."""

from __future__ import annotations

import signal
from typing import Any

_END = (signal.SIGINT, signal.SIGTERM)
_RELOAD = signal.SIGHUP


class Signals:
    """While entered, Ctrl-C and SIGTERM ask for the end and SIGHUP for the configuration anew. Main thread only.

    A second Ctrl-C interrupts at once (KeyboardInterrupt).
    """

    def __init__(self) -> None:
        #: Whether the end was asked for.
        self.ending = False
        self._reload = False
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
        self._reload = True

    def __enter__(self) -> Signals:
        for number in _END:
            self._before[number] = signal.signal(number, self._end)
        self._before[_RELOAD] = signal.signal(_RELOAD, self._hang_up)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
