"""Reading and writing recordings with libsndfile: clear refusals, and never a file half written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from .errors import FullbandError

#: Written where nothing else is asked for: 24 bits hold more than any converter, and every player reads them.
_DEFAULT_SUBTYPE = {"WAV": "PCM_24", "FLAC": "PCM_24", "AIFF": "PCM_24", "W64": "PCM_24", "RF64": "PCM_24"}


@dataclass(frozen=True)
class Audio:
    """A recording: *samples* float32 [channels, samples], full scale 1. *cleaned_samples* were NaN or infinite."""

    samples: NDArray[np.float32]
    rate_hz: int
    cleaned_samples: int


def read(path: Path) -> Audio:
    """Read a whole recording of any format libsndfile knows.

    Samples that are not finite become silence and are counted. Raises :class:`FullbandError` for a file that
    is missing, is no audio, or holds none.
    """
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise FullbandError(f"{path} cannot be read: {error.strerror}") from None
    if not exists:
        raise FullbandError(f"no such file: {path}")
    if is_folder:
        raise FullbandError(f"{path} is a folder, not a recording")
    try:
        data, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise FullbandError(f"{path} cannot be read as audio: {reason.rstrip('.')}") from None
    if len(data) == 0:
        raise FullbandError(f"{path} has no samples")
    samples = np.ascontiguousarray(data.T)
    bad = ~np.isfinite(samples)
    samples[bad] = 0.0
    return Audio(samples, int(rate_hz), int(bad.sum()))


def find_audio(folder: Path) -> list[Path]:
    """All recordings below *folder*, by the extensions of libsndfile's formats, sorted."""
    extensions = {f".{name.lower()}" for name in soundfile.available_formats()} | {".mp3", ".aif", ".oga", ".opus"}
    extensions.discard(".raw")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in extensions and path.is_file())


class Writer:
    """Takes blocks float32 [channels, n] of one recording."""

    def __init__(self, sound: soundfile.SoundFile, target: Path) -> None:
        self._sound = sound
        self._target = target

    def write(self, block: NDArray[np.float32]) -> None:
        """Append *block*. Raises :class:`FullbandError` when the disk is full."""
        try:
            self._sound.write(block.T)
            self._sound.flush()
        except (soundfile.LibsndfileError, OSError) as error:
            raise FullbandError(f"cannot write {self._target}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    if "System error" in text or "write failed" in text.lower():
        return "the disk is full or a size limit was reached"
    return text.rstrip(".")


def _format(target: Path, subtype: str | None) -> tuple[str, str]:
    """libsndfile's container and sample format for *target*."""
    container = {"AIF": "AIFF", "OGA": "OGG", "OPUS": "OGG"}.get(target.suffix[1:].upper(), target.suffix[1:].upper())
    if container not in soundfile.available_formats() or container == "RAW":
        raise FullbandError(f"cannot tell a format from '{target.name}': end it in .wav, .flac or .ogg")
    if subtype is None and target.suffix.lower() == ".opus":
        subtype = "OPUS"
    chosen = (subtype or _DEFAULT_SUBTYPE.get(container) or soundfile.default_subtype(container)).upper()
    if not soundfile.check_format(container, chosen):
        known = ", ".join(soundfile.available_subtypes(container))
        raise FullbandError(f"{container} files do not hold {chosen}; they hold: {known}")
    return container, chosen


@contextmanager
def open_writer(
    target: Path,
    rate_hz: int,
    channels: int,
    *,
    subtype: str | None = None,
    force: bool = False,
    keep_on_error: bool = False,
) -> Iterator[Writer]:
    """Write a recording block by block, under a temporary name until it is complete.

    An existing *target* is refused unless *force*. When the block of code fails, nothing is left behind; with
    *keep_on_error* (a live recording) what was written so far is kept.
    """
    container, chosen = _format(target, subtype)
    try:
        exists, is_folder = target.exists(), target.is_dir()
    except OSError as error:
        raise FullbandError(f"cannot write {target}: {error.strerror}") from None
    if is_folder:
        raise FullbandError(f"{target} is a folder: give the name of a file")
    if exists and not force:
        raise FullbandError(f"{target} exists: choose another name, or overwrite it with --force")
    if not target.parent.is_dir():
        raise FullbandError(f"cannot write {target}: there is no folder {target.parent}")
    try:
        # Short whatever the target's name: one that just fits must not fail for its temporary name.
        handle, name = tempfile.mkstemp(prefix=".fullband-", suffix=".part", dir=target.parent)
        os.close(handle)
        # mkstemp makes files that only their owner can read; a recording gets what any new file gets.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
    except OSError as error:
        raise FullbandError(f"cannot write in {target.parent}: {error.strerror}") from None
    part = Path(name)
    finished = False
    try:
        try:
            sound = soundfile.SoundFile(part, "w", rate_hz, channels, chosen, format=container)
        except (soundfile.LibsndfileError, OSError) as error:
            raise FullbandError(f"cannot write {target}: {_reason(error)}") from None
        try:
            with sound:
                yield Writer(sound, target)
            finished = True
        except BaseException:
            finished = keep_on_error
            raise
    finally:
        if finished:
            part.replace(target)
        else:
            with suppress(OSError):
                part.unlink()
