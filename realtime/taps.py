"""Readers of a running engine's rings for meters and recorders: they look on and never hold anything up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .native.ring import Ring

_PIECE_SAMPLES = 1 << 14


class Tap:
    """Follows one ring from now on. What it missed by being away too long is counted and left out."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._position = ring.written
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


class Meter:
    """Level and spectrum of the newest audio in a ring."""

    WINDOW_SAMPLES = 2048

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._window = np.hanning(self.WINDOW_SAMPLES).astype(np.float32)
        self._spectrum_db = np.full(self.WINDOW_SAMPLES // 2 + 1, -120.0)
        self.peak_dbfs = -120.0
        self.level_dbfs = -120.0

    def update(self) -> None:
        """Measure the newest 43 ms of the first lane. The spectrum falls slowly, so that the eye can follow."""
        block = self._ring.observe(self._ring.written - self.WINDOW_SAMPLES, self.WINDOW_SAMPLES)
        if block is None:
            return
        x = block[0]
        self.peak_dbfs = decibels(float(np.abs(x).max()))
        self.level_dbfs = decibels(float(np.sqrt(np.mean(x * x))))
        magnitude = np.abs(np.fft.rfft(x * self._window)) * 2.0 / self._window.sum()
        newest = 20.0 * np.log10(np.maximum(magnitude, 1e-6))
        self._spectrum_db = np.maximum(newest, self._spectrum_db - 4.0)

    def bands_db(self, edges_hz: NDArray[np.float64], rate_hz: int = 48_000) -> NDArray[np.float64]:
        """The loudest line between neighbouring *edges_hz*, in dBFS."""
        lines = np.clip(np.round(edges_hz * self.WINDOW_SAMPLES / rate_hz).astype(int), 0, len(self._spectrum_db) - 1)
        return np.array([self._spectrum_db[low : max(high, low + 1)].max() for low, high in pairwise(lines)])


def decibels(amplitude: float) -> float:
    """Amplitude (full scale: 1) in dBFS, not below -120."""
    return 20.0 * float(np.log10(max(amplitude, 1e-6)))
