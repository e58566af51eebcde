"""Recorded speech in Debian packages: which there is, how it gets here, and the files that are somebody's voice."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO

from pydantic import Field

from realtime.errors import FullbandError
from realtime.settings.file import Settings, Several, read_toml

#: Told by what part of the whole something went on.
Advance = Callable[[float], None]

_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 60.0


class Package(Settings):
    """One package: where it lies, and which of its files are whose voice, as patterns of paths by speaker."""

    url: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    corpus: str
    licence: str
    voices: Annotated[dict[str, str], Field(min_length=1)]

    @property
    def file_name(self) -> str:
        """As the archive calls it."""
        return PurePosixPath(self.url).name


class Sources(Settings):
    """As `configs/data/*.toml` writes it."""

    package: Annotated[Several[Package], Field(min_length=1)]

    @classmethod
    def read(cls, path: Path) -> Sources:
        """Read TOML; unknown keys and values out of range are refused with the first one named."""
        return read_toml(cls, path)


@dataclass(frozen=True)
class Recording:
    """A file of a voice. *digest*: SHA-256 of its content; *share*: how far through its package it lies."""

    speaker: str
    name: str
    content: bytes
    digest: str
    share: float


def fetch(package: Package, into: Path, advance: Advance) -> Path:
    """The package's file under *into*, downloaded if it is not there.

    Raises :class:`FullbandError` if it cannot be had, or is not the file whose checksum is known; that is removed.
    """
    path = into / package.file_name
    if path.exists():
        advance(1.0)
    else:
        _download(package.url, path, advance)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != package.sha256:
            path.unlink()
            raise FullbandError(f"{path}: its checksum is not the known one, so it was removed; try again")
    return path


def _download(url: str, path: Path, advance: Advance) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, part.open("wb") as file:
            total = int(answer.headers.get("Content-Length", 0))
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                advance(len(block) / total if total else 0.0)
    except OSError as error:
        raise FullbandError(f"{url}: {error}; the file can also be put into {path.parent} by hand") from None
    part.replace(path)


def recordings(package: Package, path: Path) -> Iterator[Recording]:
    """All files of its voices in the package at *path*; what is there twice comes once."""
    seen: set[str] = set()
    with path.open("rb") as file:
        data = _installed(file)
    with tarfile.open(fileobj=data) as members:
        for member in members:
            speaker = next((name for name, pattern in package.voices.items() if fnmatch(member.name, pattern)), None)
            if speaker is None or (extracted := members.extractfile(member)) is None:
                continue
            content = extracted.read()
            digest = hashlib.sha256(content).hexdigest()
            if digest not in seen:
                seen.add(digest)
                share = data.tell() / len(data.getbuffer())
                yield Recording(speaker, member.name.removeprefix("./"), content, digest, share)


def _installed(file: BinaryIO) -> io.BytesIO:
    """The compressed tar of installed files in a .deb, which is an `ar` archive: deb(5)."""
    if file.read(8) == b"!<arch>\n":
        while header := file.read(60):
            size = int(header[48:58])
            if header.startswith(b"data.tar"):
                return io.BytesIO(file.read(size))
            file.seek(size + size % 2, io.SEEK_CUR)
    raise FullbandError(f"{file.name}: not a Debian package")
