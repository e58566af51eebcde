"""Uploaded recordings: taken up to a size, converted one at a time, kept for a while."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...wishes import Brightness
from .conversion import AFTER, BEFORE, SPECTRUM, UPLOADED
from .guard import Refused
from .settings import WebSettings

#: A page fetches the results at once; the oldest go when there are so many.
_KEPT = 8
_KEEP_S = 600.0

#: Waiting for their turn at most; the one that is converted among them.
_MOST_WAITING = 4

_START_S = 60.0
_FILES = {"before.wav": BEFORE, "after.wav": AFTER, "spectrum": SPECTRUM}


class Uploads:
    """Converts with the model of *settings*."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._root = Path(tempfile.mkdtemp(prefix="fullband-web-"))
        self._kept: OrderedDict[str, Path] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._running: asyncio.subprocess.Process | None = None
        self.conversions = 0

    async def convert(
        self, body: AsyncIterator[bytes], announced: int | None, band: str, brightness: Brightness
    ) -> dict[str, Any]:
        """Take *body*, limit it to *band*, convert it; gives name and figures. Raises :class:`Refused`."""
        if self._waiting >= _MOST_WAITING:
            raise Refused(503, f"{_MOST_WAITING} recordings wait already; try again later", Retry_After="10")
        self._waiting += 1
        name = secrets.token_urlsafe(18)
        folder = self._root / name
        try:
            folder.mkdir(mode=0o700)
            await self._take(body, announced, folder / UPLOADED)
            async with self._turn:
                figures = await self._run(folder, band, brightness)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise Refused(507, f"the recording cannot be kept: {error.strerror}") from None
            raise
        finally:
            self._waiting -= 1
        self.conversions += 1
        self._keep(name, folder)
        return {"id": name, **figures}

    async def _take(self, body: AsyncIterator[bytes], announced: int | None, target: Path) -> None:
        most = int(self._settings.max_upload_mb * 1e6)
        refused = Refused(413, f"recordings of up to {self._settings.max_upload_mb:g} MB are taken")
        if announced is not None and announced > most:
            raise refused
        size = 0
        with target.open("wb") as file:
            async for piece in body:
                size += len(piece)
                if size > most:
                    raise refused
                file.write(piece)
        if size == 0:
            raise Refused(400, "the request holds no recording")

    async def _run(self, folder: Path, band: str, brightness: Brightness) -> dict[str, Any]:
        model = self._settings.model
        if Path(model).is_file():
            model = str(Path(model).resolve())
        most_s = self._settings.max_upload_seconds
        process = self._running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # no module from the folder of an upload
            "-m",
            "realtime.voip.web.conversion",
            band,
            model,
            str(most_s),
            *map(str, brightness),
            str(self._settings.high_pivot_hz or 0.0),
            cwd=folder,
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), _START_S + 2.0 * most_s)
            result: dict[str, Any] = json.loads(out)
        except (TimeoutError, ValueError):
            raise Refused(422, "the recording could not be converted") from None
        finally:
            self._running = None
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if "error" in result:
            raise Refused(422, result["error"])
        return result

    def _keep(self, name: str, folder: Path) -> None:
        self._kept[name] = folder
        while len(self._kept) > _KEPT:
            self._drop(next(iter(self._kept)))
        asyncio.get_running_loop().call_later(_KEEP_S, self._drop, name)

    def _drop(self, name: str) -> None:
        folder = self._kept.pop(name, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def read(self, name: str, file: str) -> bytes:
        """A result. Raises :class:`Refused` with 404."""
        folder = self._kept.get(name)
        if folder is None or file not in _FILES:
            raise Refused(404, "there is no such recording, or it was kept long enough")
        return (folder / _FILES[file]).read_bytes()

    def close(self) -> None:
        """Nothing is left."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                self._running.kill()
        self._kept.clear()
        shutil.rmtree(self._root, ignore_errors=True)


def _environment() -> dict[str, str]:
    """Where this copy of fullband lies, and no secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "LD_LIBRARY_PATH", "TMPDIR")
    environment = {key: os.environ[key] for key in kept if key in os.environ}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    return environment
