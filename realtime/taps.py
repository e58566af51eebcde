"""Readers of a running engine's rings for meters and recorders: they look on and never hold anything up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .native.ring import Ring

_PIECE_SAMPLES = 1 << 14


class Tap:
    """Follows one ring from now on, or from *position*.

    What it missed by being away too long is counted and left out.
    """

    def __init__(self, ring: Ring, position: int | None = None) -> None:
        self._ring = ring
        self._position = ring.written if position is None else position
        self.lost_samples = 0

    def read(self) -> NDArray[np.float32]:
        """Everything [lanes, n] since the last call; n may be zero."""
        pieces = [np.zeros((self._ring.lanes, 0), np.float32)]
        while (count := min(self._ring.written - self._position, _PIECE_SAMPLES)) > 0:
            piece = self._ring.observe(self._position, count)
            if piece is None:
                behind = self._ring.written - self._ring.capacity // 2
                self.lost_samples += behind - self._position
                self._position = behind
                continue
            pieces.append(piece)
            self._position += count
        return np.concatenate(pieces, axis=1)


def decibels(amplitude: float) -> float:
    """Amplitude (full scale: 1) in dBFS, not below -120."""
    return 20.0 * float(np.log10(max(amplitude, 1e-6)))
