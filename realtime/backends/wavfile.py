"""A recording through the engine as fast as it goes, in blocks, its latency taken off.

Same engine, same compiled code as live; only the clock is missing. Memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..engine import Engine, EngineSettings, StreamFormat
from ..native.offline import run_blocks
from ..onnx.contract import RATE_HZ
from ..statistics import Statistics

#: 10 ms: large enough to cost nothing, small enough that a file follows a change of settings as live does.
BLOCK_FRAMES = 480

_BLOCKS_AT_ONCE = 200


def output_length(frames: int, rate_hz: int) -> int:
    """Samples at 48 kHz of *frames* at *rate_hz*; at least one."""
    return max((frames * RATE_HZ + rate_hz // 2) // rate_hz, 1)


class FileStream:
    """Feeds pieces of a recording [channels, n] to an engine and gives back aligned pieces at 48 kHz."""

    def __init__(self, channels: int, rate_hz: int, settings: EngineSettings, block_frames: int = BLOCK_FRAMES) -> None:
        self.stream = StreamFormat(rate_hz, RATE_HZ, block_frames, channels, channels)
        self.engine = Engine(self.stream, replace(settings, lanes=channels, guard_ms=0.0))
        self._waiting = np.zeros((0, channels), np.float32)
        self._received = 0
        self._blocks = 0
        self._skip = self.engine.delay_samples
        self._given = 0

    def _capture_frames(self, blocks: int) -> NDArray[np.int64]:
        edges = np.arange(self._blocks, self._blocks + blocks + 1) * self.stream.block_frames
        return np.diff(edges * self.stream.capture_rate_hz // RATE_HZ)

    def _run(self, blocks: int) -> NDArray[np.float32]:
        frames = self._capture_frames(blocks)
        count = int(frames.sum())
        source = np.ascontiguousarray(self._waiting[:count]).reshape(-1)
        self._waiting = self._waiting[count:]
        sink = np.empty((blocks * self.stream.block_frames, self.stream.playback_channels), np.float32)
        worker = self.engine.worker.address
        run_blocks(self.engine.port_address, worker, source, frames, sink.reshape(-1), self.stream.block_frames)
        self._blocks += blocks
        skip = min(self._skip, len(sink))
        self._skip -= skip
        self._given += len(sink) - skip
        return sink[skip:].T

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next piece [channels, n] at the file's rate; gives what is finished [channels, m] at 48 kHz."""
        self._received += samples.shape[1]
        self._waiting = np.concatenate([self._waiting, samples.T], axis=0)
        blocks = 0
        while int(self._capture_frames(blocks + 1).sum()) <= len(self._waiting):
            blocks += 1
        return self._run(blocks)

    def finish(self) -> NDArray[np.float32]:
        """The rest, so that the whole is as long as what came in, to the sample."""
        missing = output_length(self._received, self.stream.capture_rate_hz) - self._given
        blocks = -(-max(missing + self._skip, 0) // self.stream.block_frames)
        padding = int(self._capture_frames(blocks).sum()) - len(self._waiting)
        silence = np.zeros((max(padding, 0), self.stream.capture_channels), np.float32)
        self._waiting = np.concatenate([self._waiting, silence], axis=0)
        given = self._given
        rest = self._run(blocks)
        return rest[:, :missing] if self._given - given > missing else rest

    def statistics(self) -> Statistics:
        """Counters of the engine."""
        return self.engine.statistics()

    def close(self) -> None:
        """Release the model."""
        self.engine.close()


def process(pieces: Iterable[NDArray[np.float32]], stream: FileStream) -> Iterator[NDArray[np.float32]]:
    """All of a recording through *stream*, piece by piece."""
    for piece in pieces:
        yield stream.push(piece)
    yield stream.finish()
