"""The socket of a running host: it takes requests in the control plane's own loop, while that waits.

Nothing here has a thread or a lock. What clients can cost is bounded: a line's length, a client's unread answer,
the number of clients, and requests in a tenth of a second; and audio asks for nothing of all this.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import FullbandError
from . import protocol
from .places import peer, private_folder, socket_path

#: The name of a host that was not given one; the next ones are ``live-2`` and so on.
DEFAULT_NAME = "live"

MAX_CLIENTS = 16

#: Requests answered in a window, all clients together: 500 a second, some 5 % of a core.
_WINDOW_SECONDS = 0.1
_WINDOW_REQUESTS = 50

#: Two hosts that start at once take turns at looking for dead sockets.
_LOCK_SECONDS = 2.0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone in *folder*, among hosts."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise FullbandError(f"another process holds {folder} locked") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _lives(path: Path) -> bool:
    """Whether a process listens on the socket *path*."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    try:
        probe.connect(os.fspath(path))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except BlockingIOError:  # its backlog is full: it is busy, or stopped
        return True
    finally:
        probe.close()
    return True


def _listen(path: Path) -> socket.socket | None:
    """A listening socket at *path*, in the place of a dead process' one; None when a living one is there."""
    if os.path.lexists(path):
        if not path.is_socket():
            raise FullbandError(f"{path} is not a socket: remove it")
        if _lives(path):
            return None
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(os.fspath(path))
        path.chmod(0o600)  # before anybody can connect
        listener.listen(MAX_CLIENTS)
    except BaseException:
        listener.close()
        raise
    return listener


class _Client:
    """One connection: what it has sent and not been answered, what it has been answered and not read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.incoming = bytearray()
        self.outgoing = b""
        self.heard_s = time.monotonic()
        self.requests = 0
        self.ended = False

    def receive(self) -> None:
        """Take what has come. OSError: the peer is gone."""
        piece = self.connection.recv(protocol.MAX_LINE_BYTES)
        self.heard_s = time.monotonic()
        self.incoming += piece
        if not piece:
            self.ended = True
            if self.incoming:
                self.incoming += b"\n"  # whoever hangs up has finished the line

    def take_line(self) -> bytes | None:
        """The next whole line without its end; None when there is none yet."""
        end = self.incoming.find(b"\n")
        if end < 0:
            return None
        line = bytes(self.incoming[:end])
        del self.incoming[: end + 1]
        return line

    def send(self) -> None:
        """Give as much of the answer as the peer takes. OSError: it is gone."""
        with suppress(BlockingIOError):
            self.outgoing = self.outgoing[self.connection.send(self.outgoing) :]


class ControlServer:
    """Answers requests by *execute*, which gives a result or raises :class:`FullbandError`.

    Listens at once, in a private folder and with mode 0600. *name* None takes the first free of ``live``,
    ``live-2`` …; a given one that a living host has is refused. :meth:`serve` is the loop's place to wait.
    """

    def __init__(self, execute: Callable[[protocol.AnyRequest], dict[str, Any]], name: str | None = None) -> None:
        self._execute = execute
        self._clients: dict[int, _Client] = {}
        self._window_end_s = 0.0
        self._throttled = False
        self._accepted = 0
        self.name, self.path, self._listener = _open(name)
        self._inode = self.path.stat().st_ino
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def serve(self, seconds: float) -> None:
        """Wait for *seconds*, answering what comes; a command that takes longer makes it longer."""
        end_s = time.monotonic() + seconds
        while True:
            now_s = time.monotonic()
            if now_s >= self._window_end_s:
                self._next_window(now_s)
            until_s = min(end_s, self._window_end_s) if self._throttled else end_s
            for key, _ in self._selector.select(max(until_s - now_s, 0.0)):
                key.data()
            if time.monotonic() >= end_s:
                return

    def _next_window(self, now_s: float) -> None:
        self._window_end_s = now_s + _WINDOW_SECONDS
        if self._throttled and self._accepted:
            self._want(self._listener, selectors.EVENT_READ, self._accept)
        self._throttled = False
        self._accepted = 0
        for client in list(self._clients.values()):
            if client.requests:
                client.heard_s = now_s  # it may have more to say, and was not listened to
                client.requests = 0
            self._advance(client)

    def _want(self, connection: socket.socket, events: int, call: Callable[[], None]) -> None:
        """Be told of *events* of *connection*, of none where they are 0."""
        known = connection.fileno() in self._selector.get_map()
        if known and events:
            self._selector.modify(connection, events, call)
        elif events:
            self._selector.register(connection, events, call)
        elif known:
            self._selector.unregister(connection)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has hung up again, or there are no descriptors left
            return
        connection.setblocking(False)
        self._accepted += 1
        if self._accepted > _WINDOW_REQUESTS:
            self._throttled = True
            self._want(self._listener, 0, self._accept)
        if peer(connection)[1] != os.getuid():
            connection.close()
            return
        if len(self._clients) == MAX_CLIENTS:
            self._drop(min(self._clients.values(), key=lambda client: (client.requests > 0, client.heard_s)))
        client = _Client(connection)
        self._clients[connection.fileno()] = client
        self._advance(client)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        self._want(client.connection, 0, self._accept)
        client.connection.close()

    def _receive(self, client: _Client) -> None:
        try:
            client.receive()
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        self._advance(client)

    def _advance(self, client: _Client) -> None:
        """Answer what can be answered now, and wait for what is next."""
        while True:
            if client.outgoing:
                try:
                    client.send()
                except OSError:
                    self._drop(client)
                    return
            if client.outgoing:  # a client that does not read is not heard either
                self._want(client.connection, selectors.EVENT_WRITE, partial(self._advance, client))
                return
            if client.requests >= max(_WINDOW_REQUESTS // len(self._clients), 1):
                self._throttled = True
                self._want(client.connection, 0, self._accept)
                return
            line = client.take_line()
            if line is None:
                break
            client.requests += 1
            if line.strip():
                client.outgoing = self._answer(line)
        if len(client.incoming) >= protocol.MAX_LINE_BYTES:
            client.incoming.clear()
            client.ended = True
            client.outgoing = protocol.refusal(f"a request is one line of at most {protocol.MAX_LINE_BYTES} bytes")
            with suppress(OSError):
                client.send()
        if client.ended:
            self._drop(client)
            return
        self._want(client.connection, selectors.EVENT_READ, partial(self._receive, client))

    def _answer(self, line: bytes) -> bytes:
        try:
            request = protocol.parse(line)
        except FullbandError as error:
            return protocol.refusal(str(error), protocol.identity(line))
        try:
            return protocol.result(self._execute(request), request.id)
        except FullbandError as error:
            return protocol.refusal(str(error), request.id)
        except Exception as error:  # a fault of ours must not end a call that goes on well
            return protocol.refusal(f"a fault in fullband: {type(error).__name__}: {error}", request.id)

    def leave(self) -> None:
        """Remove the socket: nobody finds this host any more. Who is connected waits for its end."""
        if self._listener.fileno() < 0:
            return
        self._want(self._listener, 0, self._accept)
        with suppress(OSError, FullbandError), _locked(self.path.parent):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        self._listener.close()

    def close(self) -> None:
        """Remove the socket and hang up."""
        self.leave()
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _open(name: str | None) -> tuple[str, Path, socket.socket]:
    """Name, path and socket of a host."""
    folder = private_folder()
    try:
        with _locked(folder):
            for count in range(1, 100):
                tried = DEFAULT_NAME if count == 1 else f"{DEFAULT_NAME}-{count}"
                tried = tried if name is None else name
                path = socket_path(folder, tried)
                listener = _listen(path)
                if listener is not None:
                    return tried, path, listener
                if name is not None:
                    raise FullbandError(f"a host named '{name}' is running: choose another --name")
    except OSError as error:
        raise FullbandError(f"cannot make a socket in {folder}: {error.strerror}") from None
    raise FullbandError("a hundred hosts are running")
