"""Keys in a real pseudo-terminal: read one by one, and the terminal is put back whatever happens."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from realtime.control.keyboard import request_for
from realtime.keys import Keys
from realtime.settings.live import LiveSettings

_LFLAGS = 3

#: Tells each key, and does on 'x' and 'q' what a program may do.
_PROGRAM = """
import signal, sys, time
from realtime.keys import Keys
def interrupt(number, frame): raise KeyboardInterrupt
signal.signal(signal.SIGTERM, interrupt)
with Keys() as keys:
    print("ready", flush=True)
    while True:
        for key in keys.read():
            print("key", key, flush=True)
            if key == "x": raise RuntimeError("fault")
            if key == "q": sys.exit(0)
        time.sleep(0.01)
"""


class _Terminal:
    """A program as the foreground job of a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.before = self.flags()
        self.shown = ""

    def flags(self) -> int:
        return int(termios.tcgetattr(self.file)[_LFLAGS])

    @property
    def takes_lines(self) -> bool:
        return bool(self.flags() & termios.ICANON and self.flags() & termios.ECHO)

    def type(self, text: str) -> None:
        os.write(self.file, text.encode())

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.file], [], [], 0.1)[0]:
                self.shown += os.read(self.file, 4096).decode()

    def status(self) -> int:
        while True:  # what it still has to say must be read for it to end
            if select.select([self.file], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.file, 4096).decode()
                except OSError:
                    break
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal() -> _Terminal:
    started = _Terminal(sys.executable, "-c", _PROGRAM)
    started.wait_for("ready")
    return started


def test_keys_come_without_a_line_end_or_an_echo_and_arrows_are_none(terminal: _Terminal) -> None:
    assert not terminal.takes_lines
    terminal.type("b\x1b[A\x1bOq\x1b[1;5C+")
    terminal.wait_for("key +")
    terminal.type("q")
    assert terminal.status() == 0
    assert [line.split()[1] for line in terminal.shown.splitlines() if line.startswith("key")] == ["b", "+", "q"]


@pytest.mark.parametrize("end", ["q", "x", "\x03", "SIGTERM"])
def test_the_terminal_is_put_back_at_every_end(terminal: _Terminal, end: str) -> None:
    if end == "SIGTERM":
        os.kill(terminal.pid, signal.SIGTERM)
    else:
        terminal.type(end)
    terminal.status()
    assert terminal.takes_lines
    assert terminal.flags() == terminal.before


def test_ctrl_z_stops_it_with_the_terminal_put_back_and_fg_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    script = f'set -m; "{sys.executable}" "{program}"; echo stopped; read line; fg >/dev/null; echo "left $?"'
    terminal = _Terminal("bash", "-c", script)
    terminal.wait_for("ready")
    terminal.type("\x1a")
    terminal.wait_for("stopped")
    assert terminal.takes_lines
    terminal.type("go on\n")
    end = time.monotonic() + 60
    while terminal.takes_lines and time.monotonic() < end:
        time.sleep(0.01)
    terminal.type("q")
    terminal.wait_for("left 0")
    assert terminal.status() == 0
    assert "key q" in terminal.shown


def test_in_the_background_nothing_is_read_and_it_is_not_stopped(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    script = f'set -m; "{sys.executable}" "{program}" & sleep 1; read line; jobs -r | wc -l; kill $!; wait; echo over'
    terminal = _Terminal("bash", "-c", script)
    terminal.wait_for("ready")
    assert terminal.takes_lines
    terminal.type("bq\n")
    terminal.wait_for("over")
    assert "1\r\n" in terminal.shown
    assert not any(line.startswith("key ") for line in terminal.shown.splitlines())  # it may be named in a traceback
    terminal.status()


def test_nothing_is_read_where_there_is_no_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from realtime.keys import Keys\nwith Keys() as keys: print([keys.file, keys.read()])"],
        input="bq",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[None, '']"
    read, write = os.pipe()
    os.write(write, b"b")
    with Keys(read) as keys:
        assert keys.read() == ""
    assert os.read(read, 1) == b"b"
    os.close(read)
    os.close(write)


def test_each_hinted_key_asks_for_something_and_others_for_nothing() -> None:
    settings = LiveSettings(gain_db=23.5)
    told = {key: request_for(key, settings) for key in "bm+=-nsq"}
    assert {key: request.command for key, request in told.items() if request} == {
        "b": "bypass", "m": "mute", "+": "gain", "=": "gain", "-": "gain", "n": "model", "s": "save", "q": "stop",
    }  # fmt: skip
    assert told["+"] is not None and told["+"].model_dump()["db"] == 24.0
    assert told["-"] is not None and told["-"].model_dump()["db"] == 22.5
    assert all(request_for(key, settings) is None for key in "x \n\x00Q")
