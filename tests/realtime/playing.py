"""An engine driven block by block by the test itself: no clock, no thread, every run the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realtime.engine import Engine
from realtime.native.offline import run_blocks

RATE_HZ = 48_000
TONE_HZ = 300.0


def tone(seconds: float, level: float = 0.3, hz: float = TONE_HZ) -> NDArray[np.float32]:
    """A sine [n] at 48 kHz."""
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def play(engine: Engine, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put *x* [n] (one channel, at 48 kHz) through *engine* as whole blocks; gives what is heard, as long."""
    block = engine.stream.block_frames
    blocks = len(x) // block
    heard = np.zeros(blocks * block, np.float32)
    run_blocks(
        engine.port_address, engine.worker.address, np.ascontiguousarray(x), np.full(blocks, block), heard, block
    )
    return heard


def bend(x: NDArray[np.float32]) -> float:
    """The largest second difference: for a sine that grows and falls along a ramp little more than its own."""
    return float(np.abs(np.diff(x.astype(np.float64), n=2)).max())
