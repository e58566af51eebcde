"""Takes: before and after as two recordings of equal length, aligned, made while audio runs.

A thread of the control plane reads the rings; it has two seconds to spare, and nobody waits for it.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .audiofile import Writer, open_writer
from .engine import Engine
from .errors import FullbandError
from .native.ring import Ring
from .onnx.contract import RATE_HZ
from .taps import Tap

_LOOK_SECONDS = 0.1

#: Readings of two counters that a callback moves one after the other, some of them at rest.
_READINGS = 5


def offset_samples(engine: Engine) -> int:
    """By how much what is played now is ahead, as a position in ``engine.mix``, of the same voice in ``engine.low``.

    A callback moves its place in the low band first: read in between, the offset is too small.
    """
    found = []
    for _ in range(_READINGS):
        found.append(engine.mix.written - int(engine.playback["cursor"]))
        time.sleep(0.0005)
    return max(found)


def _names(folder: Path) -> tuple[Path, Path]:
    """Names of now that are not taken, for before and after."""
    stem = f"fullband-{datetime.now():%Y%m%d-%H%M%S}"
    for count in range(1, 100):
        tried = stem if count == 1 else f"{stem}-{count}"
        names = folder / f"{tried}-before.wav", folder / f"{tried}-after.wav"
        if not any(name.exists() for name in names):
            return names
    raise FullbandError(f"there are too many recordings named {stem} in {folder}")


class _Side:
    """One of both: what has come of a ring and is not written yet; what was missed is silence."""

    def __init__(self, ring: Ring, position: int, writer: Writer) -> None:
        self._tap = Tap(ring, position)
        self._writer = writer
        self._pending: NDArray[np.float32] = np.zeros((ring.lanes, 0), np.float32)

    @property
    def lost_samples(self) -> int:
        return self._tap.lost_samples

    @property
    def pending_samples(self) -> int:
        return self._pending.shape[1]

    def read(self) -> None:
        lost = self._tap.lost_samples
        heard = self._tap.read()
        missed = np.zeros((len(heard), self._tap.lost_samples - lost), np.float32)
        self._pending = np.concatenate([self._pending, missed, heard], axis=1)

    def write(self, samples: int) -> None:
        self._writer.write(self._pending[:, :samples])
        self._pending = self._pending[:, samples:]


class Take:
    """A recording of what *engine* hears and plays from now until :meth:`stop`, as two WAV files in *folder*.

    The two begin at the same moment of the voice. Raises :class:`FullbandError` where they cannot be made; what is
    wrong later, :attr:`failure` says, and what was written until then is kept.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.paths = _names(folder)
        self.failure: str | None = None
        self.lost_samples = 0
        self._samples = 0
        self._ending = threading.Event()
        self._files = ExitStack()
        writers = [
            self._files.enter_context(open_writer(path, RATE_HZ, engine.settings.lanes, keep_on_error=True))
            for path in self.paths
        ]
        position = engine.mix.written
        self._before = _Side(engine.low, position - offset_samples(engine), writers[0])
        self._after = _Side(engine.mix, position, writers[1])
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    @property
    def where(self) -> str:
        """The files, for people."""
        before, after = self.paths
        return (
            f"{before.name} and {after.name.removeprefix(before.name.removesuffix('-before.wav'))} in {before.parent}"
        )

    @property
    def seconds(self) -> float:
        """How much was written."""
        return self._samples / RATE_HZ

    def _run(self) -> None:
        try:
            with self._files:
                while not self._ending.wait(_LOOK_SECONDS):
                    self._write()
                self._write()
        except FullbandError as error:
            self.failure = str(error)

    def _write(self) -> None:
        # What is heard first is read last: it then reaches as far as what is played.
        self._after.read()
        self._before.read()
        samples = min(self._before.pending_samples, self._after.pending_samples)
        for side in (self._before, self._after):
            side.write(samples)
        self._samples += samples
        self.lost_samples = max(self._before.lost_samples, self._after.lost_samples)

    @property
    def running(self) -> bool:
        """Until the end, or until something went wrong."""
        return self._thread.is_alive()

    def stop(self) -> str:
        """End it; gives what to say of it."""
        self._ending.set()
        self._thread.join()
        if self.failure is not None:
            return f"the recording ended early: {self.failure}"
        lost = f", {self.lost_samples} samples lost" if self.lost_samples else ""
        return f"{self.seconds:.1f} s recorded{lost}: {self.where}"
