"""What a sound server would have its clients know, told by processes of their own: none can keep the host waiting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

_JACK_WATCH = Path(__file__).with_name("jack_watch.py")

_PIECE_BYTES = 65_536
_ANSWER_SECONDS = 2.0


class Child:
    """A process that writes a line for whatever changes; :meth:`lines` never waits."""

    def __init__(self, command: Sequence[str]) -> None:
        self._rest = b""
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._file = self._process.stdout
        os.set_blocking(self._file.fileno(), False)

    def lines(self) -> list[str]:
        """The whole lines since the last call."""
        with suppress(BlockingIOError):
            self._rest += os.read(self._file.fileno(), _PIECE_BYTES)
        *whole, self._rest = self._rest.split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._file.close()


class JackWatch:
    """Watches the JACK server for the devices *names*; asked now and then, as long as they are open."""

    def __init__(self, names: Sequence[str]) -> None:
        self._child = Child([sys.executable, "-I", "-S", str(_JACK_WATCH), *names])
        #: The server's rate, None until it is known.
        self.rate_hz: int | None = None
        #: The devices that are not there.
        self.missing: list[str] = []

    def poll(self) -> None:
        """Take what has come."""
        for line in self._child.lines():
            told = json.loads(line)
            self.rate_hz, self.missing = told["rate_hz"], told["missing"]

    def close(self) -> None:
        self._child.close()


class DefaultWatch:
    """Tells when PipeWire's default devices may have changed; without its tools, never."""

    def __init__(self) -> None:
        self._child = None
        if shutil.which("pw-metadata") is not None:
            # It writes to a pipe in large pieces unless told otherwise.
            line_by_line = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
            self._child = Child([*line_by_line, "pw-metadata", "--monitor", "0"])

    def changed(self) -> bool:
        """Whether something was said of them since the last call."""
        return self._child is not None and any("'default.audio." in line for line in self._child.lines())

    def close(self) -> None:
        if self._child is not None:
            self._child.close()


def pipewire_default(kind: Literal["input", "output"]) -> set[str]:
    """What PipeWire's default device of *kind* may be called as a JACK device; empty where that is not to be known."""
    try:
        dump = subprocess.run(["pw-dump"], capture_output=True, timeout=_ANSWER_SECONDS, check=True).stdout
        objects = json.loads(dump)
    except (OSError, subprocess.SubprocessError, ValueError):
        return set()
    key = "default.audio.source" if kind == "input" else "default.audio.sink"
    wanted = {
        entry["value"]["name"]
        for found in objects
        if found.get("type") == "PipeWire:Interface:Metadata"
        for entry in found.get("metadata", [])
        if entry.get("key") == key and isinstance(entry.get("value"), dict) and "name" in entry["value"]
    }
    nodes = [_properties(found) for found in objects if found.get("type") == "PipeWire:Interface:Node"]
    return {
        str(node[name])
        for node in nodes
        if node.get("node.name") in wanted
        for name in ("node.description", "node.nick", "node.name")
        if name in node
    }


def _properties(found: dict[str, Any]) -> dict[str, Any]:
    return (found.get("info") or {}).get("props") or {}
