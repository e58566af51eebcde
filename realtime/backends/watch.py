"""What a sound server would have its clients know, told by processes of their own: none can keep the host waiting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

_JACK_WATCH = Path(__file__).with_name("jack_watch.py")

_PIECE_BYTES = 65_536
_ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.1


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


def pipewire_objects() -> list[dict[str, Any]] | None:
    """All that PipeWire has, as ``pw-dump`` tells it; None where it does not answer, or has no such tool."""
    try:
        dump = subprocess.run(["pw-dump"], capture_output=True, timeout=_ANSWER_SECONDS, check=True).stdout.decode()
        # What changes while it looks follows in further lists; what has gone by then is told without its type.
        found = {one["id"]: one for objects in _documents(dump) for one in objects}
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        return None
    return [one for one in found.values() if "type" in one]


def _documents(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        yield document
        text = text[end:].lstrip()


def node_properties(found: dict[str, Any]) -> dict[str, Any]:
    """The properties of one of :func:`pipewire_objects`, none unless it is a node."""
    if found["type"] != "PipeWire:Interface:Node":
        return {}
    return (found.get("info") or {}).get("props") or {}


def pipewire_default(kind: Literal["input", "output"], patience_s: float = 0.0) -> set[str]:
    """What PipeWire's default device of *kind* may be called as a JACK device; empty where that is not to be known.

    A session that has just begun has none yet: it gets *patience_s* to choose one.
    """
    key = "default.audio.source" if kind == "input" else "default.audio.sink"
    deadline = time.monotonic() + patience_s
    while (objects := pipewire_objects()) is not None:
        wanted = {
            entry["value"]["name"]
            for found in objects
            if found["type"] == "PipeWire:Interface:Metadata"
            for entry in found.get("metadata", [])
            if entry.get("key") == key and isinstance(entry.get("value"), dict) and "name" in entry["value"]
        }
        nodes = [node for node in map(node_properties, objects) if node.get("node.name") in wanted]
        names = {
            str(node[name]) for node in nodes for name in ("node.description", "node.nick", "node.name") if name in node
        }
        if names or time.monotonic() > deadline:
            return names
        time.sleep(_POLL_SECONDS)
    return set()
