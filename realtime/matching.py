"""How bright a microphone is, which no low band tells: level and tilt of the high band, by full-band recordings of it.

What a model makes of their low band is to be as they are, but for a curve over frequency. Most of what a microphone, a
room and a distance do to it is a straight line over octaves, the same whoever speaks: what a listener would wish for.
Levels of bands, not bins, are compared: noise that scatters less than a voice would seem too loud by the mean of its
logarithm. And sound by sound, as in a mean of powers a few sibilants are all that counts. The noise of a place is no
brightness: it is taken off, and what it covers is left out.
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

#: Where noise covers more of the high band than all but this share, it tells of the noise.
LEAST_HEARD = 0.1

_WINDOW_SAMPLES = 2_048
_HOP_SAMPLES = 1_024

#: Bands are so many bins wide: 375 Hz.
_BAND_BINS = 16

#: Sounds of speech, soft fricatives too, are less than this below its mean power; noise in pauses mostly is more.
_SPEECH_DB = 45.0

#: Noise is what is there a tenth of the time, where there is any: what is softer than this is a gate's silence.
_SILENCE_DB = 80.0
_NOISE_QUANTILE = 0.1

#: What is so far above the noise counts in full, what is covered not at all, and as little as this is left of it.
_CLEAR_DB = 6.0
_COVERED = 0.25

#: Power in a bin of what rounding to 16 bit leaves, which is in both.
_ROUNDING_POWER = float(np.sum(np.hanning(_WINDOW_SAMPLES) ** 2)) / (12.0 * 32_768.0**2)

_NO_POWER = 1e-12

#: Steps of the fit, one of which does where there is no noise; it ends with one of less than 0.01 dB.
_MOST_STEPS, _SMALLEST_STEP_DB = 50, 0.01

#: A wish costs so much, beside a recording without noise: what tells nothing of it leaves it at none.
_COST_OF_WISH = 1e-3


@dataclass(frozen=True)
class Difference:
    """Of one recording: *given* and *wanted* powers [sounds, bands], at *octaves* [bands] above the cutoff.

    *noise* [bands] is what the wanted one falls to between sounds.
    """

    octaves: NDArray[np.float64]
    given: NDArray[np.float32]
    wanted: NDArray[np.float32]
    noise: NDArray[np.float64]

    @property
    def speech_s(self) -> float:
        """How long the sounds are together."""
        return len(self.wanted) * _HOP_SAMPLES / RATE_HZ

    @property
    def heard(self) -> float:
        """Share (0..1) of the high band that noise does not cover."""
        return float(self.beside(AS_IT_IS)[0].mean()) if self.wanted.size else 0.0

    def beside(self, wish: Brightness) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """With *wish*, both [sounds, bands]: how well (0..1) the voice is heard, and how many dB more are wanted.

        Heard is what both are together: by one of them alone, what is too loud in it would be chosen.
        """
        least = _COVERED * self.noise
        wanted = np.maximum(self.wanted - self.noise, least)
        given = np.maximum(self.given * 10.0 ** (0.1 * (wish.level_db + wish.tilt_db * self.octaves)), least)
        above_db = 5.0 * np.log10(wanted * given / self.noise**2)
        return np.clip(above_db / _CLEAR_DB, 0.0, 1.0), 10.0 * np.log10(wanted / given)

    def left_db(self, wish: Brightness) -> float:
        """Root mean square over bands of what *wish* leaves of the voice's difference."""
        heard, more_db = self.beside(wish)
        left_db = np.sum(heard * more_db, axis=0) / (np.sum(heard, axis=0) + 1e-9)
        return float(np.sqrt(np.mean(left_db**2)))


def _powers(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    padded = np.pad(samples.astype(np.float64), (0, max(_WINDOW_SAMPLES - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW_SAMPLES))) ** 2)


def difference(
    given: NDArray[np.float32], wanted: NDArray[np.float32], cutoff_hz: float, end_hz: float = FULL_BAND_HZ
) -> Difference:
    """What *wanted* has above *cutoff_hz*, up to *end_hz*, beside *given*; both [samples] at 48 kHz, aligned."""
    spectra = [_powers(given), _powers(wanted)]
    loudness = spectra[1].sum(axis=1)
    speech, sound = (loudness > loudness.mean() * 10.0 ** (-0.1 * below_db) for below_db in (_SPEECH_DB, _SILENCE_DB))
    bin_hz = RATE_HZ / _WINDOW_SAMPLES
    first = int(cutoff_hz / bin_hz) + 1
    edges = np.arange(first, int(min(end_hz, FULL_BAND_HZ) / bin_hz) - _BAND_BINS + 2, _BAND_BINS)
    bins = edges[:, None] + np.arange(_BAND_BINS)
    given_power, wanted_power = (spectrum[:, bins].mean(axis=-1) + _ROUNDING_POWER for spectrum in spectra)
    octaves = np.log2((edges + 0.5 * (_BAND_BINS - 1)) * bin_hz / cutoff_hz)
    noise = np.full(len(edges), _NO_POWER)
    if sound.any():
        noise += np.quantile(wanted_power[sound], _NOISE_QUANTILE, axis=0) - _ROUNDING_POWER
    return Difference(octaves, given_power[speech].astype(np.float32), wanted_power[speech].astype(np.float32), noise)


def fit(differences: Sequence[Difference]) -> Brightness:
    """The level and tilt, within what can be wished for, that leave least of *differences*, each counting alike.

    Those that reach less than :data:`LEAST_OCTAVES` above the cutoff, or that noise covers, are left out; without any
    it is :data:`AS_IT_IS`. Least squares of dB, over and over, as what is heard of a voice depends on how loud it is.
    """
    # The middle of the highest band lies a little below the end.
    telling = [
        one
        for one in differences
        if len(one.octaves) and one.octaves[-1] >= 0.9 * LEAST_OCTAVES and one.heard >= LEAST_HEARD
    ]
    wish = AS_IT_IS
    for _ in range(_MOST_STEPS if telling else 0):
        normal = _COST_OF_WISH * len(telling) * np.eye(2)
        wanted = -normal @ np.array(wish)
        for one in telling:
            heard, more_db = one.beside(wish)
            line = np.stack([np.ones_like(one.octaves), one.octaves])
            normal += (line * heard.mean(axis=0)) @ line.T / len(one.octaves)
            wanted += line @ (heard * more_db).mean(axis=0) / len(one.octaves)
        before, step = wish, np.linalg.solve(normal, wanted)
        tilt_db = float(np.clip(before.tilt_db + step[1], *HIGH_TILT_RANGE_DB))
        # A slope that had to be cut short has another best level.
        level_db = before.level_db + (wanted[0] - normal[0, 1] * (tilt_db - before.tilt_db)) / normal[0, 0]
        wish = Brightness(float(np.clip(level_db, *HIGH_LEVEL_RANGE_DB)), tilt_db)
        if max(abs(now - then) for now, then in zip(wish, before, strict=True)) < _SMALLEST_STEP_DB:
            break
    return wish


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
    if found.heard < LEAST_HEARD:
        raise FullbandError("noise covers the voice's high band: record it where it is quieter, or from nearer")
    return found
