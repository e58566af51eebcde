"""Recordings as the ends of a call."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np

from ..audiofile import Writer, read
from ..onnx.contract import RATE_HZ
from .frames import FRAME_SAMPLES, Frame, silence

#: A disk that hangs for longer than this, in frames, costs recording, never audio: a minute.
_MOST_WAITING = 6_000


class FileSource:
    """A recording of any rate, mixed down, once; then silence. All of it is read at once."""

    def __init__(self, path: Path) -> None:
        import soxr

        audio = read(path)
        self._samples = soxr.resample(audio.samples.mean(axis=0), audio.rate_hz, RATE_HZ).astype(np.float32)
        self._position = 0
        self.bandwidth_hz = min(audio.rate_hz, RATE_HZ) / 2

    @property
    def ended(self) -> bool:
        """Whether all of it was given."""
        return self._position >= len(self._samples)

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self._samples) / RATE_HZ

    def pull(self) -> Frame:
        frame = silence()
        piece = self._samples[self._position : self._position + FRAME_SAMPLES]
        frame[: len(piece)] = piece
        self._position += FRAME_SAMPLES
        return frame


class FileSink:
    """Keeps frames until the control plane writes them with :meth:`flush`: the exchange never waits for a disk."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: deque[Frame] = deque(maxlen=_MOST_WAITING)
        self.frames = 0
        self.bandwidth_hz = RATE_HZ / 2

    def push(self, frame: Frame) -> None:
        self._waiting.append(frame.copy())
        self.frames += 1

    def flush(self) -> None:
        """Write what has come. Raises :class:`FullbandError` when the disk is full."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if waiting:
            self._writer.write(np.concatenate(waiting)[None])
