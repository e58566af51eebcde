"""A full-band voice cut to the band of a telephone, before the network hears it.

All bands are linear-phase filters of one length, run by overlap-save (Oppenheim and Schafer, "Discrete-Time Signal
Processing", section 8.7): the one that leaves all is a delay. So a change from one to another is a crossfade of signals
in phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...kernel import STOPBAND_DB, kaiser_beta
from ...onnx.contract import RATE_HZ
from ..frames import FRAME_SAMPLES, Frame

#: One more than a frame: the block of a frame and its past is then two frames, which is quick to transform.
_TAPS = FRAME_SAMPLES + 1

DELAY_SAMPLES = _TAPS // 2

#: The half power point, as a part of where the band is said to end: within what networks are trained with.
_EDGE = 0.94

_FADE = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FRAME_SAMPLES) + 0.5) / FRAME_SAMPLES)).astype(np.float32)


@dataclass(frozen=True)
class Band:
    """One choice. *cutoff_hz* is where it ends, as the network is told it; None: wherever the voice's own does."""

    name: str
    label: str
    cutoff_hz: float | None


BANDS = {
    band.name: band
    for band in (
        Band("telephone", "Telephone: 8 kHz, band to 4 kHz", 4_000.0),
        Band("wideband", "Wideband call: 16 kHz, band to 8 kHz", 8_000.0),
        Band("full", "As it is", None),
    )
}


@lru_cache(maxsize=8)
def _spectrum(cutoff_hz: float | None) -> NDArray[np.complex64]:
    n = np.arange(_TAPS) - DELAY_SAMPLES
    if cutoff_hz is None:
        taps = (n == 0).astype(np.float64)
    else:
        edge = 2.0 * _EDGE * cutoff_hz / RATE_HZ
        taps = edge * np.sinc(edge * n) * np.kaiser(_TAPS, kaiser_beta(STOPBAND_DB))
        taps /= taps.sum()
    return np.fft.rfft(taps, 2 * FRAME_SAMPLES).astype(np.complex64)


class BandLimiter:
    """Limits frames to :attr:`band`, which may be set at any time."""

    def __init__(self, band: Band) -> None:
        self.band = band
        self._used = band
        self._block = np.zeros(2 * FRAME_SAMPLES, np.float32)

    def limit(self, frame: Frame) -> Frame:
        """The frame [480] that is due, :data:`DELAY_SAMPLES` late."""
        block = self._block
        block[:FRAME_SAMPLES] = block[FRAME_SAMPLES:]
        block[FRAME_SAMPLES:] = frame
        spectrum = np.fft.rfft(block)
        before, self._used = self._used, self.band
        out = self._run(spectrum, self._used)
        if before is not self._used:
            old = self._run(spectrum, before)
            out = old + _FADE * (out - old)
        return out

    def _run(self, spectrum: NDArray[np.complex128], band: Band) -> Frame:
        limited: Frame = np.fft.irfft(spectrum * _spectrum(band.cutoff_hz))[FRAME_SAMPLES:].astype(np.float32)
        return limited
