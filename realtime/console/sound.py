"""What one ring sounds like: level and peak, spectrum, and the spectra that scroll by. All that is played is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..native.ring import Ring
from ..onnx.contract import RATE_HZ
from ..taps import Tap, decibels
from .snapshot import FLOOR_DBFS, Sound

_WINDOW_SAMPLES = 2048
_HOP_SAMPLES = 1024
_LINES = _WINDOW_SAMPLES // 2

#: A column of the spectrogram is the loudest of so many hops: 85 ms.
_HOPS_PER_COLUMN = 4
COLUMN_SECONDS = _HOPS_PER_COLUMN * _HOP_SAMPLES / RATE_HZ

#: Columns kept, for the widest of terminals; bands of 250 Hz.
_COLUMNS = 512
_BANDS = 96

#: A peak stays for so long, and then falls; so does the spectrum at once, that the eye can follow.
HOLD_SECONDS = 1.5
_PEAK_FALL_DB_PER_S = 20.0
_SPECTRUM_FALL_DB_PER_S = 40.0


class PeakHold:
    """The highest level of late: held for a while, then it falls."""

    def __init__(self) -> None:
        self.dbfs = FLOOR_DBFS
        self._held_until_s = 0.0

    def see(self, dbfs: float, now_s: float, passed_s: float) -> float:
        """Take *dbfs* in, *passed_s* after the last time; gives the peak to show."""
        if dbfs >= self.dbfs:
            self.dbfs, self._held_until_s = dbfs, now_s + HOLD_SECONDS
        elif now_s > self._held_until_s:
            falling_s = min(passed_s, now_s - self._held_until_s)
            self.dbfs = max(self.dbfs - _PEAK_FALL_DB_PER_S * falling_s, dbfs, FLOOR_DBFS)
        return self.dbfs


class SoundWatch:
    """Follows the first lane of *ring* from now on."""

    def __init__(self, ring: Ring) -> None:
        self._tap = Tap(ring)
        self._window = np.hanning(_WINDOW_SAMPLES).astype(np.float32)
        self._scale = 2.0 / float(self._window.sum())
        self._pending = np.zeros(_WINDOW_SAMPLES - _HOP_SAMPLES, np.float32)
        self._spectrum = np.full(_LINES, FLOOR_DBFS, np.float32)
        self._column = np.full(_BANDS, FLOOR_DBFS, np.float32)
        self._hops = 0
        #: Every column twice, side by side, so that the newest ones always lie in a row.
        self._columns = np.full((2 * _COLUMNS, _BANDS), FLOOR_DBFS, np.float32)
        self._column_count = 0
        self._hold = PeakHold()
        self._seen_s: float | None = None
        self._level = self._peak = FLOOR_DBFS

    def look(self, now_s: float) -> None:
        """Take in what has come since the last look."""
        passed_s = 0.0 if self._seen_s is None else now_s - self._seen_s
        self._seen_s = now_s
        heard = self._tap.read()[0]
        if len(heard):
            self._peak = decibels(float(max(heard.max(), -heard.min())))
            self._level = decibels(float(np.sqrt(np.dot(heard, heard) / len(heard))))
        self._held = self._hold.see(self._peak, now_s, passed_s)
        self._spectrum -= np.float32(_SPECTRUM_FALL_DB_PER_S * passed_s)
        self._transform(heard)

    def _transform(self, heard: NDArray[np.float32]) -> None:
        samples = np.concatenate([self._pending, heard])
        count = max((len(samples) - _WINDOW_SAMPLES) // _HOP_SAMPLES + 1, 0)
        self._pending = samples[count * _HOP_SAMPLES :]
        if count == 0:
            return
        frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)[::_HOP_SAMPLES][:count]
        magnitude = np.abs(np.fft.rfft(frames * self._window, axis=1)[:, :_LINES]) * self._scale
        levels = (20.0 * np.log10(np.maximum(magnitude, 1e-6))).astype(np.float32)
        np.maximum(self._spectrum, levels.max(axis=0), out=self._spectrum)
        bands = np.maximum.reduceat(levels, _BAND_STARTS, axis=1)
        for band in bands:
            np.maximum(self._column, band, out=self._column)
            self._hops += 1
            if self._hops == _HOPS_PER_COLUMN:
                self._add_column()

    def _add_column(self) -> None:
        place = self._column_count % _COLUMNS
        self._columns[place] = self._columns[place + _COLUMNS] = self._column
        self._column_count += 1
        self._column[:] = FLOOR_DBFS
        self._hops = 0

    def sound(self) -> Sound:
        """What there is to see now. It is not to be kept: the next look changes it."""
        place = self._column_count % _COLUMNS
        columns = self._columns[place : place + _COLUMNS]
        return Sound(self._level, self._peak, self._hold.dbfs, self._spectrum, columns, self._column_count)


_BAND_STARTS = np.arange(_BANDS) * _LINES // _BANDS
