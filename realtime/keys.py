"""Single keys from the terminal while the console is drawn; afterwards the terminal is as it was.

Nothing is read, and no setting of the terminal touched, while this process is not its foreground job: that would
stop it. So ``fullband live &``, Ctrl-Z, ``bg`` and ``fg`` behave as for any program.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

_PIECE_BYTES = 256

# What arrow and function keys send (ECMA-48, 5.4: control sequences; SS3 and a letter): none of it is a key of ours.
_SEQUENCE = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)

_INDICATOR_LFLAGS = 3


class Keys:
    """The keys pressed on *file*, by default standard input; use as a context, on the main thread.

    Lines, echo and line ends are the terminal's own again when the context is left, for whatever reason, and while
    the process is stopped by Ctrl-Z, before which *on_stop* is called. Where *file* is no terminal nothing is ever
    read (:attr:`file` is None).
    """

    def __init__(self, file: int | None = None, on_stop: Callable[[], None] | None = None) -> None:
        self._on_stop = on_stop
        wanted = _standard_input() if file is None else file
        self.file = wanted if wanted is not None and os.isatty(wanted) else None
        self._before: list[Any] | None = None
        self._handler_before: Any = None
        self._stopping = False

    def __enter__(self) -> Keys:
        self._handler_before = signal.signal(signal.SIGTSTP, self._stop)
        self.settle()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, self._handler_before)

    def settle(self) -> bool:
        """Take keys one by one if this is the foreground job; says whether it is. To be called now and then."""
        if self.file is None or not self._in_foreground():
            return False
        with suppress(termios.error, OSError):
            now = termios.tcgetattr(self.file)
            if now[_INDICATOR_LFLAGS] & termios.ICANON:
                # The shell may have set it anew while this process was stopped or in the background.
                self._before = [*now[:6], list(now[6])]
                now[_INDICATOR_LFLAGS] &= ~(termios.ICANON | termios.ECHO)
                now[6][termios.VMIN], now[6][termios.VTIME] = 0, 0
                termios.tcsetattr(self.file, termios.TCSANOW, now)
        return True

    def read(self) -> str:
        """The keys since the last call, without waiting; arrow and function keys are left out."""
        if self._stopping:
            self._stand_still()
        if self.file is None or not self.settle():
            return ""
        try:
            typed = os.read(self.file, _PIECE_BYTES)
        except OSError:  # the terminal is gone
            return ""
        return _SEQUENCE.sub(b"", typed).decode("ascii", "ignore")

    def _in_foreground(self) -> bool:
        try:
            assert self.file is not None
            return os.tcgetpgrp(self.file) == os.getpgrp()
        except OSError:  # it is not the terminal of this session, or gone
            return False

    def _give_back(self) -> None:
        if self._before is None or self.file is None or not self._in_foreground():
            return
        with suppress(termios.error, OSError):
            termios.tcsetattr(self.file, termios.TCSANOW, self._before)
        self._before = None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: between two looks, so that nothing is cut in half; at once where it was wished for before."""
        if self._stopping:
            self._stand_still()
        self._stopping = True

    def _stand_still(self) -> None:
        """Stop as if no handler were there, and go on from here when continued."""
        self._stopping = False
        self._give_back()
        if self._on_stop is not None:
            self._on_stop()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        # Here it stands still until SIGCONT.
        signal.signal(signal.SIGTSTP, self._stop)
        self.settle()


def _standard_input() -> int | None:
    """None where it has been closed."""
    with suppress(AttributeError, OSError, ValueError):
        return sys.stdin.fileno()
    return None
