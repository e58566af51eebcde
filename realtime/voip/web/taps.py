"""What went into the network and what came out of it, for eyes and for files.

The exchange's thread gives frames; the loop's takes spectra and recordings. All arrays are there before they are used.
"""

from __future__ import annotations

import io
import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from ...onnx.contract import RATE_HZ
from ..codecs import to_int16
from ..frames import FRAME_SAMPLES, Frame

#: One column of a spectrogram is of two frames, in bands of 200 Hz.
COLUMN_SAMPLES = 2 * FRAME_SAMPLES
BANDS = 120
_LINES_PER_BAND = COLUMN_SAMPLES // 2 // BANDS
BAND_HZ = RATE_HZ / 2 / BANDS

#: A byte is a level: 0 is the lower one of these, in dB of a full-scale sine, 255 the upper one.
RANGE_DB = (-110.0, -20.0)

#: What counts as the high band of a telephone's voice. Its own filter has ended by there.
_HIGH_FROM = math.ceil(4_400.0 / BAND_HZ)

#: A page that is not drawn, as one in the background, loses columns and nothing else: two seconds wait.
_MOST_WAITING = 200

_WINDOW = np.hanning(COLUMN_SAMPLES + 1)[:-1].astype(np.float32)
_SCALE = 2.0 / float(_WINDOW.sum())


def column(samples: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float]:
    """The spectrum of *samples* [960] as bytes [120], and the power above 4.4 kHz."""
    power = (np.abs(np.fft.rfft(samples * _WINDOW)[:-1]) * _SCALE) ** 2
    bands = power.reshape(BANDS, _LINES_PER_BAND).sum(axis=1)
    low_db, high_db = RANGE_DB
    levels = (10.0 * np.log10(bands + 1e-12) - low_db) * (255.0 / (high_db - low_db))
    return np.clip(levels, 0.0, 255.0).astype(np.uint8), float(bands[_HIGH_FROM:].sum())


class SpectrumTap:
    """A sink that keeps what is to be drawn."""

    bandwidth_hz = RATE_HZ / 2

    def __init__(self) -> None:
        self._waiting: deque[Frame] = deque(maxlen=_MOST_WAITING)
        self._high = 0.0

    def push(self, frame: Frame) -> None:
        self._waiting.append(frame.copy())

    @property
    def columns(self) -> int:
        """How many :meth:`take` could give."""
        return len(self._waiting) // 2

    def take(self, count: int) -> NDArray[np.uint8]:
        """The oldest *count* columns [count, 120]."""
        out = np.zeros((count, BANDS), np.uint8)
        for k in range(count):
            pair = np.concatenate([self._waiting.popleft(), self._waiting.popleft()])
            out[k], high = column(pair)
            # A second's average.
            self._high += (high - self._high) * COLUMN_SAMPLES / RATE_HZ
        return out

    @property
    def high_dbfs(self) -> float:
        """The level above 4.4 kHz in the last second or so, in dB of a full-scale sine."""
        return round(10.0 * math.log10(self._high + 1e-12), 1)


class Take:
    """One recording of both sides, *delay_samples* apart, until it is full."""

    def __init__(self, seconds: float, delay_samples: int) -> None:
        size = int(seconds * RATE_HZ)
        self._delay = delay_samples
        self._before = np.zeros(size, np.int16)
        self._after = np.zeros(size + delay_samples, np.int16)
        self._filled = [0, 0]
        self.running = True

    def push_before(self, frame: Frame) -> None:
        """What the network hears."""
        self._filled[0] = self._append(self._before, self._filled[0], frame)

    def push_after(self, frame: Frame) -> None:
        """What it gives."""
        self._filled[1] = self._append(self._after, self._filled[1], frame)

    def _append(self, kept: NDArray[np.int16], filled: int, frame: Frame) -> int:
        if not self.running:
            return filled
        piece = to_int16(frame[: len(kept) - filled])
        kept[filled : filled + len(piece)] = piece
        return filled + len(piece)

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return self._filled[0] == len(self._before)

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(min(self._filled[0], self._filled[1] - self._delay), 0) / RATE_HZ

    def wav(self, side: str) -> bytes:
        """``before`` or ``after`` as a WAV file; both are as long, and aligned."""
        count = round(self.seconds * RATE_HZ)
        samples = self._before[:count] if side == "before" else self._after[self._delay : self._delay + count]
        return as_wav(samples)


def as_wav(samples: NDArray[np.int16]) -> bytes:
    """A WAV file of *samples* [n] at 48 kHz."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, subtype="PCM_16", format="WAV")
    return file.getvalue()
