"""Where the sockets of running hosts lie, and who is at the other end of one.

Standard library only: ``fullband ctl`` has to be there at once.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import FullbandError

_FOLDER = "fullband"
_SUFFIX = ".sock"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")

#: ``sun_path`` holds 108 bytes on Linux, the closing zero included.
_LONGEST_PATH_BYTES = 107

_CREDENTIALS = struct.Struct("3i")


def check_name(name: str) -> str:
    """*name*, where it can be a host's: raises :class:`FullbandError` otherwise."""
    if _NAME.fullmatch(name) is None:
        allowed = "up to 40 letters, digits, '_', '.' and '-', the first no '.' or '-'"
        raise FullbandError(f"a host cannot be named {name!r}: {allowed}", exit_status=2)
    return name


def socket_path(folder: Path, name: str) -> Path:
    """The socket of the host *name* in *folder*."""
    path = folder / f"{check_name(name)}{_SUFFIX}"
    if len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
        raise FullbandError(f"the path {path} is too long for a socket: set XDG_RUNTIME_DIR to a shorter folder")
    return path


def _fallback() -> Path:
    return Path(tempfile.gettempdir()) / f"{_FOLDER}-{os.getuid()}"


def candidates() -> list[Path]:
    """Folders where hosts of this user may have put their sockets, best first; they need not exist.

    More than one, because a shell by ssh or cron may lack the XDG_RUNTIME_DIR that the host had.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path(runtime) / _FOLDER] if runtime else []
    return list(dict.fromkeys([*folders, Path(f"/run/user/{os.getuid()}") / _FOLDER, _fallback()]))


def is_private(folder: Path) -> bool:
    """Whether *folder* is a real folder of this user that nobody else can enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def private_folder() -> Path:
    """The folder for this user's sockets, made with mode 0700 where it is missing.

    ``$XDG_RUNTIME_DIR/fullband``, or one under the temporary folder where there is no such place. Raises
    :class:`FullbandError` when that belongs to somebody else or is open to others.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    wanted = [Path(runtime) / _FOLDER] if runtime and Path(runtime).is_dir() else []
    for folder in [*wanted, _fallback()]:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if is_private(folder):
            return folder
    raise FullbandError(f"{_fallback()} is not a folder that only you can enter: remove it, or set XDG_RUNTIME_DIR")


def sockets() -> Iterator[tuple[str, Path]]:
    """Name and path of every socket of this user; their hosts may be dead."""
    for folder in candidates():
        if is_private(folder):
            for path in sorted(folder.glob(f"*{_SUFFIX}")):
                yield path.stem, path


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user id at the other end, from the kernel (``SO_PEERCRED``, see unix(7)).

    For a connected client these are those of the process that listens.
    """
    record = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(record)
    return pid, uid
