"""What all ends of a call agree on: mono float32 at 48 kHz in frames of 10 ms.

The exchange asks every source for a frame and gives every sink one, each 10 ms, on its own thread. Neither may wait for
anything: a source that has nothing conceals, a sink that cannot send drops.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FRAME_MS = 10
FRAME_SAMPLES = 480

Frame = NDArray[np.float32]


@runtime_checkable
class Source(Protocol):
    """Gives audio. *bandwidth_hz* is where the band of what it gives can end at most (4000 for G.711)."""

    @property
    def bandwidth_hz(self) -> float: ...

    def pull(self) -> Frame:
        """The next frame [480] within ±1, always: concealed where it is missing, silent before there is any."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Takes audio."""

    def push(self, frame: Frame) -> None:
        """Take the next frame [480]; it is the caller's again afterwards. Never blocks, never raises."""
        ...


def silence() -> Frame:
    """A frame of it."""
    return np.zeros(FRAME_SAMPLES, np.float32)


class Tee:
    """One sink that gives every frame to many, in order; others can be added and taken away while it runs."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = tuple(sinks)

    def add(self, sink: Sink) -> None:
        """From the next frame on."""
        self._sinks = (*self._sinks, sink)

    def remove(self, sink: Sink) -> None:
        """From the next frame on no more."""
        self._sinks = tuple(other for other in self._sinks if other is not sink)

    def push(self, frame: Frame) -> None:
        for sink in self._sinks:
            sink.push(frame)
