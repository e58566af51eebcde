"""What the host adds to noise without a voice: a stationary noise must not be extended.

The noise goes through the engine as a recording would. What comes out less what went in is the high band.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.backends.wavfile import FileStream
from realtime.engine import EngineSettings

Samples = NDArray[np.float32]
RATE_HZ = 48_000

#: The network has found its level by then; what follows is measured.
_SETTLE_SECONDS = 3.0
_MEASURED_SECONDS = 4.0

#: Where the high band counts: above the crossover, and where it can be heard.
_HIGHEST_HZ = 20_000.0
_CROSSOVER = 1.05

#: Low end of noises: a microphone's rumble would be all of their level.
_LOWEST_HZ = 100.0

COLOURS = ("white", "pink", "fan")
LEVELS_DBFS = (-70.0, -50.0, -30.0)
CUTOFFS_HZ = (4_000.0, 8_000.0)


@dataclass(frozen=True)
class NoiseGain:
    """One noise. Levels are in dBFS, densities in dB per Hz against each other.

    *full_band*: the noise does not end at the cutoff, as when a device's own hiss comes on top of a narrow voice.
    Then *gain_db* is what the level above the cutoff has grown by. *step_db* compares the density of what was added
    with that of the noise in the octave third below the cutoff: far below 0 means hardly extended.
    """

    colour: str
    level_dbfs: float
    cutoff_hz: float
    full_band: bool
    high_dbfs: float
    gain_db: float | None
    step_db: float


def stationary(colour: str, samples: int, highest_hz: float, seed: int = 0) -> Samples:
    """Noise [samples] of unit level up to *highest_hz*: white, pink (-3 dB an octave) or a fan (-6 dB)."""
    slope = {"white": 0.0, "pink": 0.5, "fan": 1.0}[colour]
    frequency_hz = np.fft.rfftfreq(samples, 1.0 / RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum *= np.maximum(frequency_hz, _LOWEST_HZ) ** -slope
    spectrum[(frequency_hz < _LOWEST_HZ) | (frequency_hz > highest_hz)] = 0.0
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _power(samples: Samples, low_hz: float, high_hz: float) -> float:
    windowed = samples.astype(np.float64) * np.hanning(len(samples))
    power = np.abs(np.fft.rfft(windowed)) ** 2 / np.sum(np.hanning(len(samples)) ** 2) / (len(samples) / 2)
    frequency_hz = np.fft.rfftfreq(len(samples), 1.0 / RATE_HZ)
    return float(power[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum()) + 1e-20


def _decibels(power: float) -> float:
    return 10.0 * float(np.log10(power))


def added(model: Path, samples: Samples, cutoff_hz: float) -> Samples:
    """What the host adds to *samples* [n] at 48 kHz."""
    stream = FileStream(1, RATE_HZ, EngineSettings(model, cutoff_hz=cutoff_hz))
    try:
        heard = np.concatenate([stream.push(samples[None]), stream.finish()], axis=1)[0]
    finally:
        stream.close()
    return heard - samples


def measure(model: Path, colour: str, level_dbfs: float, cutoff_hz: float, full_band: bool) -> NoiseGain:
    """Send one noise through *model* as the host runs it."""
    count = round((_SETTLE_SECONDS + _MEASURED_SECONDS) * RATE_HZ)
    noise = stationary(colour, count, RATE_HZ / 2 if full_band else 0.97 * cutoff_hz)
    noise *= np.float32(10.0 ** (level_dbfs / 20.0))
    settled = slice(round(_SETTLE_SECONDS * RATE_HZ), -RATE_HZ // 10)
    high, low = added(model, noise, cutoff_hz)[settled], noise[settled]
    first_hz = _CROSSOVER * cutoff_hz
    below_hz = (0.95 * cutoff_hz / 2 ** (1 / 3), 0.95 * cutoff_hz)
    below = _power(low, *below_hz) / (below_hz[1] - below_hz[0])
    beyond = _power(high, first_hz, 2.0 ** (1 / 3) * first_hz) / ((2.0 ** (1 / 3) - 1.0) * first_hz)
    gain_db = None
    if full_band:
        gain_db = _decibels(_power(low + high, first_hz, _HIGHEST_HZ) / _power(low, first_hz, _HIGHEST_HZ))
    high_dbfs = _decibels(_power(high, 0.0, RATE_HZ / 2))
    return NoiseGain(colour, level_dbfs, cutoff_hz, full_band, high_dbfs, gain_db, _decibels(beyond / below))


def run(model: Path) -> list[NoiseGain]:
    """Every colour at every level and cutoff, ending there and full-band."""
    return [
        measure(model, colour, level_dbfs, cutoff_hz, full_band)
        for cutoff_hz in CUTOFFS_HZ
        for full_band in (False, True)
        for colour in COLOURS
        for level_dbfs in LEVELS_DBFS
    ]
