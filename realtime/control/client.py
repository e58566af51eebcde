"""The other end of a running host's socket. Standard library only, so that it starts at once.

>>> with connect() as host:
...     host.ask("gain", db=-3.0)
...     print(host.ask("stats")["deadline_misses"])
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FullbandError, suggest
from .places import peer, sockets

#: Commands wait for their turn in the host's loop; loading a model is the longest of them.
ANSWER_SECONDS = 20.0

_PIECE_BYTES = 1 << 16
_LONGEST_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Host:
    """A host that runs: its name, process and socket."""

    name: str
    pid: int
    path: Path

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


class Client:
    """A connection to *host*. Raises :class:`FullbandError` when it cannot be reached."""

    def __init__(self, host: Host, timeout_s: float = ANSWER_SECONDS) -> None:
        self.host = host
        self._buffer = bytearray()
        self._socket = _connected(host.path, timeout_s)
        if self._socket is None:
            raise FullbandError(f"{host} is gone")

    def ask(self, command: str, **values: Any) -> dict[str, Any]:
        """Have *command* executed and give its result. Raises :class:`FullbandError` with the host's own line."""
        assert self._socket is not None
        request = json.dumps({"command": command, **values}, allow_nan=False) + "\n"
        try:
            self._socket.sendall(request.encode())
            answer = json.loads(self._line())
        except TimeoutError:
            raise FullbandError(f"{self.host} does not answer: is it stopped?") from None
        except (OSError, ValueError):
            raise FullbandError(f"{self.host} went away before it answered") from None
        if not answer.get("ok"):
            raise FullbandError(str(answer.get("error", "the host gave no reason")))
        result = answer.get("result")
        return result if isinstance(result, dict) else {}

    def _line(self) -> bytes:
        assert self._socket is not None
        while (end := self._buffer.find(b"\n")) < 0:
            piece = self._socket.recv(_PIECE_BYTES)
            if not piece or len(self._buffer) > _LONGEST_ANSWER_BYTES:
                raise ConnectionError
            self._buffer += piece
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def wait_for_end(self) -> None:
        """Until the host has closed its socket, as it does when it ends."""
        assert self._socket is not None
        try:
            while self._socket.recv(_PIECE_BYTES):
                pass
        except TimeoutError:
            raise FullbandError(f"{self.host} was told to stop and has not ended") from None
        except OSError:
            pass

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _connected(path: Path, timeout_s: float) -> socket.socket | None:
    """A socket connected to *path*; None when nobody of this user listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    end_s = time.monotonic() + timeout_s
    try:
        while True:
            try:
                connection.connect(os.fspath(path))
                break
            except BlockingIOError:  # too many are in front of us
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.01)
        if peer(connection)[1] == os.getuid():
            return connection
    except OSError:
        pass
    connection.close()
    return None


def running() -> list[Host]:
    """The hosts of this user that run now."""
    found = []
    for name, path in sockets():
        connection = _connected(path, 1.0)
        if connection is not None:
            found.append(Host(name, peer(connection)[0], path))
            connection.close()
    return found


def find(to: str | None = None) -> Host:
    """The host named *to* (or of that process id), or the only one that runs.

    Raises :class:`FullbandError`: none runs, several do and *to* does not say which, or there is no such one.
    """
    hosts = running()
    if not hosts:
        raise FullbandError("no fullband is running here: start one with 'fullband live'")
    if to is None:
        if len(hosts) > 1:
            raise FullbandError(f"several are running: {_listed(hosts)}; choose one with --to NAME", exit_status=2)
        return hosts[0]
    for host in hosts:
        if to in (host.name, str(host.pid)):
            return host
    raise FullbandError(f"no host '{to}' is running; {suggest(to, [host.name for host in hosts], 'running')}")


def _listed(hosts: list[Host]) -> str:
    return ", ".join(map(str, hosts))


def connect(to: str | None = None, timeout_s: float = ANSWER_SECONDS) -> Client:
    """A client of the host that :func:`find` finds."""
    return Client(find(to), timeout_s)
