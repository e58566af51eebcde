"""The program on a real terminal, tmux's: looked at, typed to, resized, stopped, ended. Needs ``tmux``.

What is seen at 80×24 and 160×48 is kept as text in ``tests/artefacts``; a copy of an earlier run that people can look
at is in ``docs/``, and has to show the same things. It is drawn without colour (NO_COLOR), so that the text is all.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[3]
ARTEFACTS = ROOT / "tests" / "artefacts"

CHAIN = """
[[chain]]
plugin = "high-pass"
[[chain]]
plugin = "network"
[[chain]]
plugin = "limiter"
"""

#: What is there at any size that has pictures, whatever was measured.
ALWAYS = (
    " fullband ", "chain of 3", "simulated device, 16", "before ──", "band ends at", "after ──", "limiter",
    "in  ", "out ", " pk ", "kHz", " 24k", "▲", "latency ──", "in resampler     1.50", "chain step       4.00",
    "guard ", "hop done after ──", "deadline", "┃", "engine ──", "hop p50/99 ms", "load", "deadline misses", "dull",
    "xruns", "drift         one clock", "b bypass", "a A/B", "n model", "+ - gain", "m mute", "r record", "? help",
    "q quit",
)  # fmt: skip
SMALL = (*ALWAYS, "chain  high-pass ", " → network ", " → limiter ", "Tab chain")
LARGE = (*ALWAYS, "chain ──", "% of a hop", "mean µs", "p99 µs", "high-pass  ", "network  ", "limiter  ", "s save",
         "resyncs", "bad chunks")  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Tmux:
    """A shell on a terminal of its own."""

    def __init__(self, folder: Path, columns: int, rows: int, **env: str) -> None:
        self._socket = folder / "tmux"
        self.folder = folder
        shell = ["env", "PS1=READY> ", "bash", "--norc", "--noprofile"]
        self._env = {**os.environ, "TERM": "xterm-256color", "XDG_CONFIG_HOME": str(folder), **env}
        self._env.pop("TMUX", None)
        size = ["-x", str(columns), "-y", str(rows)]
        self._do("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), shlex.join(shell))
        self.wait("READY>")

    def _do(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-S", str(self._socket), *arguments]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout

    def type(self, *keys: str) -> None:
        self._do("send-keys", "-t", "0", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._do("resize-window", "-t", "0", "-x", str(columns), "-y", str(rows))

    @property
    def shown(self) -> str:
        return self._do("capture-pane", "-p", "-t", "0")

    @property
    def drawn_on(self) -> tuple[bool, bool]:
        """Whether the other screen is shown, and whether there is a cursor."""
        alternate, cursor = self._do("display", "-p", "-t", "0", "#{alternate_on} #{cursor_flag}").split()
        return alternate == "1", cursor == "1"

    def wait(self, *words: str, until: Callable[[], bool] | None = None, seconds: float = 180.0) -> str:
        """What is shown once all *words* are, and *until* holds."""
        end = time.monotonic() + seconds
        while True:
            shown = self.shown
            missing = [word for word in words if word not in shown]
            if not missing and (until is None or until()):
                return shown
            assert time.monotonic() < end, f"missing: {missing}\n{shown}"
            time.sleep(0.1)

    def start(self, *arguments: str, prefix: str = "") -> None:
        program = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--backend", "simulated"]
        self.type("-l", f"{prefix} {shlex.join([*program, '--force', *arguments])}")
        self.type("Enter")

    def given_back(self) -> None:
        """The terminal is as it was: its screen, its cursor, lines and echo."""
        self.wait("READY>", until=lambda: self.drawn_on == (False, True))
        self.type("-l", "stty -a | tr ' ' '\\n' | grep -xc -e icanon -e echo | sed s/^/modes:/")
        self.type("Enter")
        self.wait("modes:2")

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Tmux]:
    (tmp_path / "chain.toml").write_text(CHAIN)
    made = Tmux(tmp_path, 80, 24, NO_COLOR="1", PYTHONPATH=str(ROOT))
    yield made
    made.close()


def _keep(name: str, shown: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    (ARTEFACTS / name).write_text(shown)


def _check(shown: str, wanted: tuple[str, ...], columns: int, rows: int, source: str) -> None:
    lines = shown.rstrip("\n").splitlines()
    assert len(lines) == rows, source
    assert max(map(len, lines)) <= columns, source
    for words in wanted:
        assert words in shown, f"{words!r} is missing from {source}:\n{shown}"


def _marks(shown: str) -> str:
    """The letters in the first rows of the spectrograms, where it is seen when something was flipped."""
    rows = [line for line in shown.splitlines() if " 24k" in line]
    return "".join(letter for row in rows for letter in row if letter in "AB")


def test_the_console_at_80_by_24_and_160_by_48_and_its_keys(terminal: Tmux) -> None:
    terminal.start("--config", "chain.toml")
    terminal.wait("0:03", "band ends at 8.0 kHz")
    terminal.type("r")
    terminal.wait("● REC 0:01")
    terminal.type("a")
    terminal.wait("A/B: B as it came")
    terminal.wait(until=lambda: _marks(terminal.shown) == "B")
    terminal.type("a")
    terminal.wait("A/B: A full-band")
    terminal.wait(until=lambda: _marks(terminal.shown) == "BA")
    small = terminal.wait("REC 0:02")
    _keep("console-80x24.txt", small)
    terminal.resize(160, 48)
    large = terminal.wait("mean µs", "REC")
    _keep("console-160x48.txt", large)
    for name, shown, wanted, size in (
        ("console-80x24.txt", small, SMALL, (80, 24)), ("console-160x48.txt", large, LARGE, (160, 48)),
    ):  # fmt: skip
        _check(shown, wanted, *size, source="the terminal")
        _check((ROOT / "docs" / name).read_text(), wanted, *size, source=f"docs/{name}")
    assert _marks(large) == "BA", "the flips are marked"
    terminal.type("r")
    terminal.wait("s recorded: fullband-")
    takes = sorted(terminal.folder.glob("fullband-*.wav"))
    frames = [soundfile.info(take).frames for take in takes if take.stem != "fullband-live"]
    assert len(frames) == 2 and frames[0] == frames[1] > 48_000
    terminal.type("b")
    terminal.wait("BYPASS")
    terminal.type("+", "+", "m")
    terminal.wait("+2 dB", "MUTED")
    terminal.type("s")
    terminal.wait("saved to ")
    assert "gain_db = 2.0" in (terminal.folder / "fullband" / "saved.toml").read_text()
    terminal.resize(80, 24)
    terminal.type("Tab")
    terminal.wait("mean µs", "chain ──")
    terminal.type("?")
    terminal.wait("compare: A as it is set")
    terminal.type("?", "p")
    terminal.wait("preset '")
    terminal.resize(40, 10)
    shown = terminal.wait("misses", "q quit")
    assert max(map(len, shown.splitlines())) <= 40
    terminal.type("q")
    terminal.given_back()
    assert "first audio" in terminal.shown


def test_ctrl_z_gives_the_terminal_back_and_fg_draws_again(terminal: Tmux) -> None:
    terminal.start()
    terminal.wait("0:01", until=lambda: terminal.drawn_on == (True, False))
    terminal.type("C-z")
    terminal.wait("Stopped")
    terminal.given_back()
    terminal.type("-l", "bg >/dev/null; clear; sleep 1; echo in the background")
    terminal.type("Enter")
    terminal.wait("in the background\nREADY>")
    assert terminal.drawn_on == (False, True), "nothing is drawn over the shell"
    terminal.type("-l", "fg")
    terminal.type("Enter")
    terminal.wait("latency ──", "q quit", until=lambda: terminal.drawn_on == (True, False))
    terminal.type("C-c")
    terminal.given_back()


def test_sigterm_gives_the_terminal_back_and_ascii_is_enough(terminal: Tmux) -> None:
    terminal.start("--refresh", "30", prefix="LC_ALL=C")
    shown = terminal.wait("0:02", "latency --", "q quit")
    assert shown.isascii()
    pids = subprocess.run(["pgrep", "-g", _foreground(terminal)], capture_output=True, text=True, check=True).stdout
    for pid in pids.split():
        os.kill(int(pid), signal.SIGTERM)
    terminal.given_back()
    assert "first audio" in terminal.shown


def _foreground(terminal: Tmux) -> str:
    """The process group that the terminal belongs to."""
    name = terminal._do("display", "-p", "-t", "0", "#{pane_tty}").strip()
    found = subprocess.run(["ps", "-o", "tpgid=", "-t", name.removeprefix("/dev/")], capture_output=True, text=True)
    return found.stdout.split()[0]
