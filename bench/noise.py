"""What the host adds to noise without a voice, and what its guard against that costs a voice.

Noise and voices go through the engine as a recording would. What comes out less what went in is the high band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.backends.wavfile import FileStream
from realtime.engine import EngineSettings

Samples = NDArray[np.float32]
RATE_HZ = 48_000

#: The guard listens for two seconds and then takes 20 dB a second: what is added before, and what in the end.
_FIRST_SECONDS = (0.5, 2.0)
_LATER_SECONDS = (5.0, 7.0)

#: Where the high band counts: above the crossover, and where it can be heard.
_HIGHEST_HZ = 20_000.0
_CROSSOVER = 1.05

#: Low end of noises: a microphone's rumble would be all of their level.
_LOWEST_HZ = 100.0

COLOURS = ("white", "pink", "fan")
LEVELS_DBFS = (-70.0, -50.0, -30.0)
CUTOFFS_HZ = (4_000.0, 8_000.0)

#: Under voices: as loud as in a quiet room and in one that is not.
SNRS_DB = (None, 30.0, 15.0)
_LEAD_SECONDS = 4.0
_ALWAYS_SAMPLES = 1 << 60


@dataclass(frozen=True)
class NoiseGain:
    """One noise. Levels are in dBFS, densities in dB per Hz against each other.

    *full_band*: the noise does not end at the cutoff, as when a device's own hiss comes on top of a narrow voice.
    Then the gain is what the level above the cutoff grows by. The step compares the density of what is added with that
    of the noise in the octave third below the cutoff: far below 0 means hardly extended. Both are given for the first
    two seconds (*first*) and from the fifth on (*later*); -200 is nothing at all.
    """

    colour: str
    level_dbfs: float
    cutoff_hz: float
    full_band: bool
    first_gain_db: float | None
    first_step_db: float
    later_gain_db: float | None
    later_step_db: float


@dataclass(frozen=True)
class VoiceCost:
    """What the guard does to voices after and over noise (*snr_db*; None: none).

    Log-spectral distances are those to the full band from the first sound on, with the guard and without. *changed*
    counts recordings with a sample within the voice that differs at all.
    """

    snr_db: float | None
    cutoff_hz: float
    recordings: int
    lsd_guarded: float
    lsd_free: float
    changed: int


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


def added(model: Path, samples: Samples, cutoff_hz: float, guarded: bool = True) -> Samples:
    """What the host adds to *samples* [n] at 48 kHz; *guarded*: as it is, with its guard against noise."""
    stream = FileStream(1, RATE_HZ, EngineSettings(model, cutoff_hz=cutoff_hz))
    try:
        if not guarded and stream.engine.inference is not None:
            stream.engine.inference.record["steady_after"] = _ALWAYS_SAMPLES
        heard = np.concatenate([stream.push(samples[None]), stream.finish()], axis=1)[0]
    finally:
        stream.close()
    return heard - samples


def measure(model: Path, colour: str, level_dbfs: float, cutoff_hz: float, full_band: bool) -> NoiseGain:
    """Send one noise through *model* as the host runs it."""
    count = round((_LATER_SECONDS[1] + 0.1) * RATE_HZ)
    noise = stationary(colour, count, RATE_HZ / 2 if full_band else 0.97 * cutoff_hz)
    noise *= np.float32(10.0 ** (level_dbfs / 20.0))
    every = added(model, noise, cutoff_hz)
    first_hz = _CROSSOVER * cutoff_hz
    below_hz = (0.95 * cutoff_hz / 2 ** (1 / 3), 0.95 * cutoff_hz)
    found: list[tuple[float | None, float]] = []
    for span_s in (_FIRST_SECONDS, _LATER_SECONDS):
        span = slice(*(round(edge * RATE_HZ) for edge in span_s))
        high, low = every[span], noise[span]
        below = _power(low, *below_hz) / (below_hz[1] - below_hz[0])
        beyond = _power(high, first_hz, 2.0 ** (1 / 3) * first_hz) / ((2.0 ** (1 / 3) - 1.0) * first_hz)
        gain_db = None
        if full_band:
            gain_db = _decibels(_power(low + high, first_hz, _HIGHEST_HZ) / _power(low, first_hz, _HIGHEST_HZ))
        found.append((gain_db, max(_decibels(beyond / below), -200.0)))
    return NoiseGain(colour, level_dbfs, cutoff_hz, full_band, *found[0], *found[1])


def voice_cost(model: Path, voices: list[Samples], cutoff_hz: float, snr_db: float | None) -> VoiceCost:
    """Send *voices* [n], 48 kHz and full-band, through *model* behind a path that ends at *cutoff_hz*."""
    import soxr

    from model.metrics.spectral import log_spectral_distance, power_spectrum

    distances: list[tuple[float, float]] = []
    changed = 0
    lead = round(_LEAD_SECONDS * RATE_HZ)
    for k, voice in enumerate(voices):
        whole = np.concatenate([np.zeros(lead, np.float32), voice])
        if snr_db is not None:
            noise = stationary("pink", len(whole), RATE_HZ / 2, seed=k)
            whole = whole + noise * np.float32(np.sqrt(np.mean(voice**2)) * 10.0 ** (-snr_db / 20.0))
        narrow = soxr.resample(soxr.resample(whole, RATE_HZ, 2 * cutoff_hz), 2 * cutoff_hz, RATE_HZ)
        low = np.resize(narrow, len(whole)).astype(np.float32)
        # From the first sound on: before it there is only noise, which the guard is there for.
        begun = lead + int(np.flatnonzero(np.abs(voice) > 0.1 * np.abs(voice).max())[0]) + RATE_HZ // 50
        wanted = power_spectrum(whole[begun:])
        highs = [added(model, low, cutoff_hz, guarded) for guarded in (True, False)]
        spectra = [power_spectrum((low + high)[begun:]) for high in highs]
        distances.append((log_spectral_distance(spectra[0], wanted), log_spectral_distance(spectra[1], wanted)))
        changed += bool(np.any(highs[0][begun:] != highs[1][begun:]))
    guarded_lsd, free_lsd = (float(d) for d in np.mean(distances, axis=0))
    return VoiceCost(snr_db, cutoff_hz, len(voices), guarded_lsd, free_lsd, changed)


def run(model: Path, tell: Callable[[str], None]) -> list[NoiseGain]:
    """Every colour at every level and cutoff, ending there and full-band."""
    rows = []
    for cutoff_hz in CUTOFFS_HZ:
        for full_band in (False, True):
            for colour in COLOURS:
                tell(f"{colour} noise, cutoff {cutoff_hz:g} Hz")
                rows += [measure(model, colour, level_dbfs, cutoff_hz, full_band) for level_dbfs in LEVELS_DBFS]
    return rows


def run_voices(model: Path, data: Path, most: int, tell: Callable[[str], None]) -> list[VoiceCost]:
    """*most* recordings of the test split, spread over it, after and over each noise."""
    from model.data.corpus import find_clips, read_clip

    clips = [clip for clip in find_clips(data, "test") if clip.seconds >= 3.0]
    voices = [read_clip(clip)[0][: 8 * RATE_HZ] for clip in clips[:: max(len(clips) // most, 1)][:most]]
    rows = []
    for cutoff_hz in CUTOFFS_HZ:
        for snr_db in SNRS_DB:
            tell(f"voices, cutoff {cutoff_hz:g} Hz, " + ("clean" if snr_db is None else f"{snr_db:g} dB over noise"))
            rows.append(voice_cost(model, voices, cutoff_hz, snr_db))
    return rows
