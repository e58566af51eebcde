"""How bright a microphone is, which no low band tells: level and tilt of the high band, by full-band recordings of it.

The mean over speech of the difference in dB between bands, theirs and what a model makes of their low band, is a curve
over frequency. Most of what a microphone, a room and a distance do to it is a straight line over octaves, the same
whoever speaks: what a listener would wish for. Levels of bands, not bins, are compared: noise that scatters less than a
voice would seem too loud by the mean of its logarithm. And sound by sound, as in a mean of powers a few sibilants are
all that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from .backends.wavfile import FileStream, process
from .bandwidth import FULL_BAND_HZ
from .engine import EngineSettings
from .errors import FullbandError
from .onnx.contract import RATE_HZ
from .wishes import AS_IT_IS, HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB, Brightness

#: A recording that reaches less far above the cutoff says too little of the slope; one with less speech, of anything.
LEAST_OCTAVES = 0.5
LEAST_SPEECH_S = 1.0

_WINDOW_SAMPLES = 2_048
_HOP_SAMPLES = 1_024

#: Bands are so many bins wide: 375 Hz.
_BAND_BINS = 16

#: Sounds of speech, soft fricatives too, are less than this below its mean power; noise in pauses mostly is more.
_SPEECH_DB = 45.0

#: Power in a bin of what rounding to 16 bit leaves, which is in both.
_ROUNDING_POWER = float(np.sum(np.hanning(_WINDOW_SAMPLES) ** 2)) / (12.0 * 32_768.0**2)


@dataclass(frozen=True)
class Difference:
    """Of one recording: by how much what is *wanted_db* [bands] is above what is given, at *octaves* [bands]."""

    octaves: NDArray[np.float64]
    wanted_db: NDArray[np.float64]
    speech_s: float

    def left_db(self, wish: Brightness) -> float:
        """Root mean square of what *wish* leaves of it."""
        left = self.wanted_db - wish.level_db - wish.tilt_db * self.octaves
        return float(np.sqrt(np.mean(left**2)))


def _powers(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    padded = np.pad(samples.astype(np.float64), (0, max(_WINDOW_SAMPLES - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW_SAMPLES))) ** 2)


def difference(
    given: NDArray[np.float32], wanted: NDArray[np.float32], cutoff_hz: float, end_hz: float = FULL_BAND_HZ
) -> Difference:
    """What *wanted* has above *cutoff_hz*, up to *end_hz*, that *given* has not; both [samples] at 48 kHz, aligned."""
    powers = [_powers(given), _powers(wanted)]
    loudness = powers[1].sum(axis=1)
    speech = loudness > loudness.mean() * 10.0 ** (-_SPEECH_DB / 10.0)
    bin_hz = RATE_HZ / _WINDOW_SAMPLES
    first = int(cutoff_hz / bin_hz) + 1
    edges = np.arange(first, int(min(end_hz, FULL_BAND_HZ) / bin_hz) - _BAND_BINS + 2, _BAND_BINS)
    bins = edges[:, None] + np.arange(_BAND_BINS)
    given_db, wanted_db = (10.0 * np.log10(power[speech][:, bins].mean(-1) + _ROUNDING_POWER) for power in powers)
    octaves = np.log2((edges + 0.5 * (_BAND_BINS - 1)) * bin_hz / cutoff_hz)
    frames = np.count_nonzero(speech)
    return Difference(octaves, (wanted_db - given_db).sum(axis=0) / max(frames, 1), frames * _HOP_SAMPLES / RATE_HZ)


def fit(differences: Sequence[Difference]) -> Brightness:
    """The level and tilt, within what can be wished for, that leave least of *differences*, each counting alike.

    Those that reach less than :data:`LEAST_OCTAVES` above the cutoff are left out; without any it is :data:`AS_IT_IS`.
    """
    # The middle of the highest band lies a little below the end.
    telling = [one for one in differences if len(one.octaves) and one.octaves[-1] >= 0.9 * LEAST_OCTAVES]
    if not telling:
        return AS_IT_IS
    normal, wanted = np.zeros((2, 2)), np.zeros(2)
    for one in telling:
        line = np.stack([np.ones_like(one.octaves), one.octaves])
        normal += line @ line.T / len(one.octaves)
        wanted += line @ one.wanted_db / len(one.octaves)
    tilt_db = float(np.clip(np.linalg.solve(normal, wanted)[1], *HIGH_TILT_RANGE_DB))
    # A slope that had to be cut short has another best level.
    level_db = float(np.clip((wanted[0] - normal[0, 1] * tilt_db) / normal[0, 0], *HIGH_LEVEL_RANGE_DB))
    return Brightness(level_db, tilt_db)


def compare(wanted: NDArray[np.float32], end_hz: float, model: Path, cutoff_hz: float) -> Difference:
    """Full-band speech *wanted* [samples] at 48 kHz against what *model* makes of its band below *cutoff_hz*.

    *end_hz* is where its own band ends. Raises :class:`FullbandError` where it tells nothing of what is above.
    """
    if end_hz < cutoff_hz * 2.0**LEAST_OCTAVES:
        raise FullbandError(
            f"its band ends at {end_hz:.0f} Hz, too low to tell what is above {cutoff_hz:.0f} Hz: "
            "give a recording with all of the voice, or a lower --cutoff"
        )
    low = soxr.resample(soxr.resample(wanted, RATE_HZ, 2.0 * cutoff_hz), 2.0 * cutoff_hz, RATE_HZ).astype(np.float32)
    with closing(FileStream(1, RATE_HZ, EngineSettings(model, cutoff_hz=cutoff_hz))) as stream:
        if not stream.engine.wishes.takes_tilt:
            raise FullbandError(f"the model '{model.stem}' has no tilt: there is nothing to match with it")
        pieces = [low[None, start : start + RATE_HZ] for start in range(0, len(low), RATE_HZ)]
        heard = np.concatenate(list(process(pieces, stream)), axis=1)[0]
    samples = min(len(heard), len(wanted))
    found = difference(heard[:samples], wanted[:samples], cutoff_hz, end_hz)
    if found.speech_s < LEAST_SPEECH_S:
        raise FullbandError(f"{found.speech_s:.1f} s of speech are too little: {LEAST_SPEECH_S:g} s or more are needed")
    return found
