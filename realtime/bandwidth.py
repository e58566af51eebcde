"""Where a voice's band really ends, whatever the sample rate says: found in its long-term spectrum.

A device at 48 kHz may carry a Bluetooth or telephone voice. Such a band ends in a cliff; natural speech falls
off gently. The detector keeps the loudest level of each band over the last seconds of speech and looks for
the cliff. Silence and steady noise are not looked at, so that they never change its mind.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000
_WINDOW_SAMPLES = 1024
_HOP_SAMPLES = 512
_BAND_HZ = 250.0
_BANDS = int(RATE_HZ / 2 / _BAND_HZ)

#: A cliff is this much between the bands below and all of those above. Natural speech has 10 to 15 dB at its steepest,
#: the weakest filter of a codec 25.
_CLIFF_DB = 20.0

#: The band that carries most of a voice; its level tells speech from silence.
_ACTIVE_HZ = (250.0, 3_000.0)
_ACTIVE_DBFS = -62.0

#: Speech rises and falls: a frame counts when it stands this far above a quieter one in the third of a second
#: before it, and above one in the third of a second after it. Noise that begins, lasts and ends does not.
_RISE_DB = 9.0
_NEIGHBOUR_FRAMES = 32

#: Peaks fall by this much for every frame of speech, so that a change of bandwidth is seen within seconds.
_FALL_DB = 0.12

#: Frames of speech before the first opinion, and for which a new one must stand before it counts: a quarter of a
#: second each.
_SETTLE_FRAMES = 24

#: Names of bands that are common; an estimate near one of them is that one.
_KNOWN_HZ = (3_400.0, 4_000.0, 5_500.0, 6_000.0, 7_000.0, 8_000.0, 11_025.0, 12_000.0, 16_000.0)
_SNAP = 0.07


class BandwidthDetector:
    """Feed it 48 kHz audio; :attr:`cutoff_hz` is where the voice's band ends (24000: full, or not yet known)."""

    def __init__(self) -> None:
        frequency = np.fft.rfftfreq(_WINDOW_SAMPLES, 1 / RATE_HZ)
        self._band_of_line = np.minimum((frequency / _BAND_HZ).astype(int), _BANDS - 1)
        self._lines = np.maximum(np.bincount(self._band_of_line, minlength=_BANDS), 1)
        self._window = np.hanning(_WINDOW_SAMPLES)
        self._waiting = np.zeros(0, np.float32)
        self._peaks_db = np.full(_BANDS, -140.0)
        self._recent: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=2 * _NEIGHBOUR_FRAMES + 1)
        self._frames = 0
        self._candidate_hz = RATE_HZ / 2
        self._candidate_frames = 0
        self.cutoff_hz = RATE_HZ / 2

    def push(self, samples: NDArray[np.float32]) -> float:
        """Take the next samples [n]; gives :attr:`cutoff_hz`."""
        self._waiting = np.concatenate([self._waiting, samples])
        while len(self._waiting) >= _WINDOW_SAMPLES:
            self._frame(self._waiting[:_WINDOW_SAMPLES])
            self._waiting = self._waiting[_HOP_SAMPLES:]
        return self.cutoff_hz

    def _frame(self, x: NDArray[np.float32]) -> None:
        power = (np.abs(np.fft.rfft(x * self._window)) * 2.0 / self._window.sum()) ** 2
        bands = np.bincount(self._band_of_line, power, _BANDS)
        low, high = (int(edge / _BAND_HZ) for edge in _ACTIVE_HZ)
        level_db = 10.0 * np.log10(bands[low:high].sum() + 1e-14)
        self._recent.append((level_db, 10.0 * np.log10(bands / self._lines + 1e-14)))
        if len(self._recent) <= _NEIGHBOUR_FRAMES:
            return
        levels_db = [level for level, _ in self._recent]
        level_db, bands_db = self._recent[-1 - _NEIGHBOUR_FRAMES]
        # What came before the first frame is silence.
        before_db = min(levels_db[: -1 - _NEIGHBOUR_FRAMES], default=-140.0)
        after_db = min(levels_db[-_NEIGHBOUR_FRAMES:])
        if level_db < max(_ACTIVE_DBFS, before_db + _RISE_DB, after_db + _RISE_DB):
            return
        self._peaks_db = np.maximum(bands_db, self._peaks_db - _FALL_DB)
        self._frames += 1
        if self._frames >= _SETTLE_FRAMES:
            self._decide(cliff_hz(self._peaks_db))

    def _decide(self, estimate_hz: float) -> None:
        """Change only after the same answer has stood for a while."""
        if abs(estimate_hz - self._candidate_hz) > _BAND_HZ:
            self._candidate_hz = estimate_hz
            self._candidate_frames = 0
        self._candidate_frames += 1
        if self._candidate_frames >= _SETTLE_FRAMES or self._frames == _SETTLE_FRAMES:
            self.cutoff_hz = self._candidate_hz


def cliff_hz(peaks_db: NDArray[np.float64]) -> float:
    """Frequency of the cliff in band levels of 250 Hz each; 24000 when there is none."""
    for edge in range(int(3_000 / _BAND_HZ), int(20_000 / _BAND_HZ)):
        below = peaks_db[edge - 4 : edge].max()
        above = peaks_db[edge + 2 :].max()
        if below - above >= _CLIFF_DB and peaks_db[edge - 1] - peaks_db[edge + 2] >= 0.6 * _CLIFF_DB:
            # The steepest place near here: the cliff itself.
            steps = peaks_db[edge - 1 : edge + 2] - peaks_db[edge + 1 : edge + 4]
            frequency_hz = (edge + int(np.argmax(steps)) + 0.5) * _BAND_HZ
            known_hz = min(_KNOWN_HZ, key=lambda hz: abs(hz - frequency_hz))
            return known_hz if abs(known_hz - frequency_hz) <= _SNAP * known_hz else frequency_hz
    return RATE_HZ / 2


#: A recording is judged by its beginning; a minute holds enough speech.
_JUDGED_SECONDS = 60


def recording_cutoff_hz(samples: NDArray[np.float32], rate_hz: int) -> float:
    """Where the band of a recording [samples] ends: half its rate, or the cliff below it."""
    import soxr

    detector = BandwidthDetector()
    detector.push(soxr.resample(samples[: _JUDGED_SECONDS * rate_hz], rate_hz, RATE_HZ).astype(np.float32))
    return min(detector.cutoff_hz, rate_hz / 2)
