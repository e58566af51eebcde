"""The screen on a real pseudo-terminal: only what has changed is written, and the terminal is given back."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.color import ColorSystem
from rich.console import Console

from realtime.console.canvas import Canvas
from realtime.console.screen import Screen, can_draw, look_of
from realtime.console.styles import Look, Style

LOOK = Look(utf8=True, system=ColorSystem.EIGHT_BIT, colour=True)


class _Terminal:
    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.file = os.fdopen(slave, "w")

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def written(self) -> str:
        """What was written since the last call."""
        found = b""
        while select.select([self.master], [], [], 0.05)[0]:
            found += os.read(self.master, 65_536)
        return found.decode()


@pytest.fixture
def terminal() -> Iterator[_Terminal]:
    made = _Terminal()
    yield made
    made.file.close()
    os.close(made.master)


def canvas(text: str, style: int = Style.PLAIN, size: tuple[int, int] = (20, 3)) -> Canvas:
    drawn = Canvas(*size)
    drawn.put(1, 2, text, style)
    return drawn


def test_only_what_has_changed_is_written(terminal: _Terminal) -> None:
    with Screen(terminal.file, LOOK) as screen:
        assert screen.show(canvas("abc"))
        first = terminal.written()
        assert "\x1b[?1049h" in first and "\x1b[?25l" in first
        assert "\x1b[2;3H\x1b[0mabc" in first
        screen.show(canvas("abc"))
        assert terminal.written() == ""
        screen.show(canvas("aXc"))
        assert terminal.written() == "\x1b[2;4H\x1b[0mX"
        screen.show(canvas("aXc", Style.BAD))
        assert terminal.written() == "\x1b[2;3H\x1b[0;1;31maXc"
        screen.forget()
        screen.show(canvas("aXc"))
        assert "\x1b[2J" in terminal.written()
        screen.show(canvas("aXc", size=(30, 4)))
        assert "\x1b[2J" in terminal.written(), "another size is another screen"


def test_half_of_a_wide_letter_is_never_written_alone(terminal: _Terminal) -> None:
    with Screen(terminal.file, LOOK) as screen:
        screen.show(canvas("a耳b"))
        terminal.written()
        screen.show(canvas("a机b"))
        assert terminal.written() == "\x1b[2;4H\x1b[0m机"
        screen.show(canvas("abcb"))
        assert terminal.written() == "\x1b[2;4H\x1b[0mbc"


@pytest.mark.parametrize("fault", [None, RuntimeError, KeyboardInterrupt])
def test_the_terminal_is_given_back_at_every_end(terminal: _Terminal, fault: type[BaseException] | None) -> None:
    def draw() -> None:
        with Screen(terminal.file, LOOK) as screen:
            screen.show(canvas("abc"))
            if fault is not None:
                raise fault

    if fault is None:
        draw()
    else:
        with pytest.raises(fault):
            draw()
    assert terminal.written().endswith("\x1b[0m\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l")


def test_a_terminal_that_was_stopped_is_not_waited_for(terminal: _Terminal) -> None:
    with Screen(terminal.file, LOOK) as screen:
        assert screen.show(canvas("abc"))
        termios.tcflow(terminal.file.fileno(), termios.TCOOFF)  # as Ctrl-S does
        assert not screen.show(canvas("xyz"))
        termios.tcflow(terminal.file.fileno(), termios.TCOON)
        assert screen.show(canvas("xyz"))
        assert "xyz" in terminal.written()


def test_the_size_is_followed(terminal: _Terminal) -> None:
    screen = Screen(terminal.file, LOOK)
    terminal.resize(101, 37)
    assert screen.size == (101, 37)
    terminal.resize(0, 0)
    assert screen.size == (80, 24), "what a terminal does not know is taken to be usual"


def test_what_a_terminal_can_show_is_found_in_the_environment(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "LC_ALL", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")

    def found() -> tuple[bool, Look]:
        console = Console(file=terminal.file)
        return can_draw(console), look_of(console)

    assert found() == (True, Look(True, ColorSystem.EIGHT_BIT, True))
    monkeypatch.setenv("NO_COLOR", "1")
    assert found() == (True, Look(True, ColorSystem.EIGHT_BIT, False))
    monkeypatch.setenv("LC_ALL", "C")
    assert found() == (True, Look(False, ColorSystem.EIGHT_BIT, False))
    for dumb in ("dumb", ""):
        monkeypatch.setenv("TERM", dumb)
        assert not found()[0]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not can_draw(Console(file=StringIO())), "a file is no terminal, whatever is forced"
