"""The socket of a host: private, never stolen, and no client can hold up or grow the host."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from realtime.control import protocol
from realtime.control.client import Client, connect, find, running
from realtime.control.places import candidates, private_folder, socket_path
from realtime.control.server import MAX_CLIENTS, ControlServer
from realtime.errors import FullbandError


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, with a short name: paths of sockets are short."""
    folder = Path(tempfile.mkdtemp(prefix="fb"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def _echo(request: protocol.AnyRequest) -> dict[str, Any]:
    return request.model_dump(exclude={"id"})


@contextmanager
def _host(execute: Callable[[protocol.AnyRequest], dict[str, Any]] = _echo, name: str = "a") -> Iterator[ControlServer]:
    """A server whose loop runs."""
    over = threading.Event()

    def loop(server: ControlServer) -> None:
        while not over.is_set():
            server.serve(0.02)

    with ControlServer(execute, name) as server:
        thread = threading.Thread(target=loop, args=(server,))
        thread.start()
        try:
            yield server
        finally:
            over.set()
            thread.join()


def _raw(server: ControlServer) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(server.path))  # waits while too many are in front of it
    connection.settimeout(20.0)
    return connection


def _everything(connection: socket.socket) -> list[dict[str, Any]]:
    """All answers until the host hangs up."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    connection.close()
    return [json.loads(line) for line in received.splitlines()]


def test_a_request_is_answered_and_the_socket_is_private(home: Path) -> None:
    with _host() as server, connect() as client:
        assert client.ask("gain", db=-3.0) == {"command": "gain", "db": -3.0}
        assert client.host.pid == os.getpid()
        assert server.path == home / "fullband" / "a.sock"
        assert server.path.stat().st_mode & 0o777 == 0o600
        assert server.path.parent.stat().st_mode & 0o777 == 0o700
    assert list(server.path.parent.iterdir()) == []


def test_several_clients_get_their_own_answers() -> None:
    with _host(), connect() as first, connect() as second:
        for db in range(10):
            assert first.ask("gain", db=db)["db"] == db
            assert second.ask("gain", db=-db)["db"] == -db


def test_a_refusal_reaches_the_client_and_the_next_request_is_answered() -> None:
    def refuse(request: protocol.AnyRequest) -> dict[str, Any]:
        if isinstance(request, protocol.Guard):
            raise FullbandError("no such model")
        if isinstance(request, protocol.Reload):
            raise KeyError("a fault of the host")
        return {}

    with _host(refuse), connect() as client:
        for command, values, named in (
            ("guard", {"ms": 5}, "no such model"),
            ("reload", {}, "fault"),
            ("x", {}, "x"),
        ):
            with pytest.raises(FullbandError, match=named):
                client.ask(command, **values)
        assert client.ask("stats") == {}


def test_lines_sent_at_once_are_answered_in_order_and_the_last_one_needs_no_newline() -> None:
    with _host() as server:
        connection = _raw(server)
        lines = [json.dumps({"command": "stats", "id": k}) for k in range(100)]
        connection.sendall("\n".join(lines).encode())
        connection.shutdown(socket.SHUT_WR)
        assert [answer["id"] for answer in _everything(connection)] == list(range(100))


@pytest.mark.parametrize("piece", [b"x" * 1000, b'{"command": "stats", "id": 1'])
def test_a_line_without_end_is_refused_and_its_client_dropped(piece: bytes) -> None:
    with _host() as server:
        connection = _raw(server)
        with pytest.raises(OSError):
            for _ in range(100_000):
                connection.sendall(piece)
        connection.close()
        with connect() as client:
            assert client.ask("stats")["command"] == "stats"


def test_a_line_too_long_is_answered_by_its_limit() -> None:
    with _host() as server:
        connection = _raw(server)
        connection.sendall(b"x" * protocol.MAX_LINE_BYTES)
        (answer,) = _everything(connection)
        assert str(protocol.MAX_LINE_BYTES) in answer["error"]


def test_a_client_that_does_not_read_grows_nothing_and_holds_nobody_up() -> None:
    answer = {"text": "x" * 50_000}
    with _host(lambda request: answer) as server:
        deaf = _raw(server)
        deaf.setblocking(False)
        sent = 0
        try:
            while sent < 1 << 24:
                sent += deaf.send(b'{"command": "stats"}\n' * 1000)
        except BlockingIOError:
            pass
        with connect() as client:
            for _ in range(5):
                assert client.ask("stats") == answer
        held = [len(client.outgoing) + len(client.incoming) for client in server._clients.values()]
        assert sum(held) < 2 * 50_000 + 4 * protocol.MAX_LINE_BYTES
        deaf.close()


def test_half_open_and_silent_clients_hold_nobody_up() -> None:
    with _host() as server:
        silent = [_raw(server) for _ in range(5)]
        half = _raw(server)
        half.sendall(b'{"command": ')
        gone = _raw(server)
        gone.sendall(b'{"command": "stats"}\n' * 50)
        gone.close()
        with connect() as client:
            assert client.ask("stats")["command"] == "stats"
        for connection in [*silent, half]:
            connection.close()


def test_the_client_silent_longest_gives_way_to_a_new_one() -> None:
    with _host() as server, connect() as busy:
        silent = []
        for _ in range(12):
            silent += [_raw(server) for _ in range(MAX_CLIENTS // 4)]
            busy.ask("stats")
        with connect() as client:
            assert client.ask("stats")["command"] == "stats"
        assert len(server._clients) <= MAX_CLIENTS
        for connection in silent:
            connection.close()


def test_a_flood_of_requests_is_slowed_down_and_others_are_answered() -> None:
    executed: list[float] = []

    def count(request: protocol.AnyRequest) -> dict[str, Any]:
        executed.append(time.monotonic())
        return {}

    with _host(count) as server:
        flood = _raw(server)

        def read() -> None:
            with suppress(OSError):
                while flood.recv(1 << 16):
                    pass

        def write() -> None:
            with suppress(OSError):  # until it is shut down below
                while True:
                    flood.sendall(b'{"command": "stats"}\n' * 10)

        threads = [threading.Thread(target=read), threading.Thread(target=write)]
        for thread in threads:
            thread.start()
        with connect() as client:
            for _ in range(5):
                client.ask("status")
                time.sleep(0.1)
        flood.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        flood.close()
    # 50 in a tenth of a second, and what was left of the first and the last one.
    assert len(executed) <= 50 * ((executed[-1] - executed[0]) / 0.1 + 2)


def test_the_socket_of_a_dead_process_is_replaced() -> None:
    path = socket_path(private_folder(), "a")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    assert path.is_socket()
    assert running() == []
    with _host() as server, connect() as client:
        assert server.path == path
        assert client.ask("stats")["command"] == "stats"


def test_a_living_host_keeps_its_name_though_it_does_not_answer() -> None:
    path = socket_path(private_folder(), "live")
    stopped = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stopped.bind(str(path))
    stopped.listen(0)
    inode = path.stat().st_ino
    crowd = []
    for _ in range(3):  # its backlog is full
        crowd.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        crowd[-1].setblocking(False)
        crowd[-1].connect_ex(str(path))
    with pytest.raises(FullbandError, match="live"):
        ControlServer(_echo, "live")
    with ControlServer(_echo) as other:
        assert other.name == "live-2"
    assert path.stat().st_ino == inode
    for connection in [stopped, *crowd]:
        connection.close()


def test_hosts_that_start_at_once_never_share_a_socket() -> None:
    path = socket_path(private_folder(), "live")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    servers: list[ControlServer] = []
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait()
        servers.append(ControlServer(_echo))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(server.name for server in servers) == sorted(["live", *(f"live-{k}" for k in range(2, 9))])
    assert len(running()) == 8
    for server in servers:
        server.close()
    assert running() == []


def test_closing_leaves_the_socket_of_another_host_alone() -> None:
    first = ControlServer(_echo, "a")
    first.path.unlink()
    with _host() as second:
        first.close()
        with Client(find("a")) as client:
            assert client.ask("stats")["command"] == "stats"
        assert second.path.is_socket()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_somebody_else_is_not_answered_though_the_file_lets_them_in(home: Path) -> None:
    with _host() as server:
        for path in (home, server.path.parent, server.path):
            path.chmod(0o777)
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65_534)
                connection = _raw(server)
                connection.sendall(b'{"command": "stats"}\n')
                answered = bool(connection.recv(100))
            except OSError:
                answered = False
            os._exit(int(answered))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_that_others_can_enter_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    (home / "fullband").mkdir()
    (home / "fullband").chmod(0o777)
    fallback = home / f"fullband-{os.getuid()}"
    assert private_folder() == fallback
    assert fallback.stat().st_mode & 0o777 == 0o700
    assert fallback in candidates()
    fallback.rmdir()
    fallback.symlink_to("/tmp")
    with pytest.raises(FullbandError, match=fallback.name):
        private_folder()


def test_without_a_runtime_folder_hosts_are_found_in_the_temporary_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with _host(name="apart"), connect("apart") as client:
        assert client.ask("stats")["command"] == "stats"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "x" * 41, "ä"])
def test_a_name_that_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(FullbandError, match="named"):
        ControlServer(_echo, name)


def test_a_path_too_long_for_a_socket_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = home / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(FullbandError, match="XDG_RUNTIME_DIR"):
        ControlServer(_echo, "a")


def test_the_host_meant_is_found_or_the_choice_is_named() -> None:
    with pytest.raises(FullbandError, match="fullband live"):
        find()
    with _host(name="desk"), pytest.raises(FullbandError, match="did you mean 'desk'"):
        find("dask")
    with _host(name="desk"), _host(name="van") as van:
        with pytest.raises(FullbandError, match=r"desk \(pid \d+\), van .*--to") as caught:
            find()
        assert caught.value.exit_status == 2
        assert find("van").path == van.path
        assert find(str(os.getpid())).pid == os.getpid()


def test_a_host_that_leaves_is_not_found_and_its_end_is_noticed() -> None:
    server = ControlServer(_echo, "a")
    answers: list[dict[str, Any]] = []

    def end() -> None:
        with connect("a") as client:
            answers.append(client.ask("stop"))
            client.wait_for_end()
            answers.append({"ended": True})

    thread = threading.Thread(target=end)
    thread.start()
    while not answers:
        server.serve(0.01)
    server.leave()
    assert running() == []
    assert len(answers) == 1
    server.close()
    thread.join()
    assert answers[-1] == {"ended": True}
