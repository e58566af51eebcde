"""What the host adds to noise without a voice, and what its guard against that costs a voice.

Noise and voices go through the engine as a recording would. What comes out less what went in is the high band.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.backends.wavfile import FileStream, process
from realtime.engine import EngineSettings

Samples = NDArray[np.float32]
RATE_HZ = 48_000

#: Noise from the first sample on, after digital silence, and on and on: what is added at each.
_NOISE_SECONDS, _MUTED_SECONDS, _SPAN_SECONDS = 7.1, 2.0, 2.0
_STARTS_SECONDS = (0.0, _NOISE_SECONDS + _MUTED_SECONDS, 5.0)

#: What is added to noise may be so much below it, and it may grow by so much.
MOST_STEP_DB = -60.0
MOST_GAIN_DB = 0.1

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

#: How a voice may begin, and the part of it that may be lost of the high band of its first word.
BEGINNINGS = ("at the first sample", "after digital silence", "over noise of -30 dB", "unmuted within it")
_WORD_SECONDS = 0.3
_HEARD = 2 * RATE_HZ
_BEGUN = 0.03
MOST_LOST_PERCENT = 5.0
_ALWAYS_SAMPLES = 1 << 60


@dataclass(frozen=True)
class NoiseGain:
    """One noise. Levels are in dBFS, densities in dB per Hz against each other.

    *full_band*: the noise does not end at the cutoff, as when a device's own hiss comes on top of a narrow voice.
    Then the gain is what the level above the cutoff grows by. The step compares the density of what is added with that
    of the noise in the octave third below the cutoff: far below 0 means hardly extended. Both are given for the first
    two seconds (*first*), two seconds after digital silence (*again*) and from the fifth on (*later*); -200 is nothing
    at all.
    """

    colour: str
    level_dbfs: float
    cutoff_hz: float
    full_band: bool
    first_gain_db: float | None
    first_step_db: float
    again_gain_db: float | None
    again_step_db: float
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


@dataclass(frozen=True)
class VoiceStart:
    """What the guard takes from the first word of voices that begin in one way.

    *lost_percent*: of the energy of what would be added in the first 0.3 s, over all recordings. *whole_ms*: after so
    long nothing is taken any more.
    """

    beginning: str
    cutoff_hz: float
    recordings: int
    lost_percent: float
    median_whole_ms: float
    p90_whole_ms: float


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
    with closing(FileStream(1, RATE_HZ, EngineSettings(model, cutoff_hz=cutoff_hz))) as stream:
        if not guarded and stream.engine.inference is not None:
            stream.engine.inference.record["steady_after"] = _ALWAYS_SAMPLES
        heard = np.concatenate(list(process([samples[None]], stream)), axis=1)[0]
    return heard - samples


def measure(model: Path, colour: str, level_dbfs: float, cutoff_hz: float, full_band: bool) -> NoiseGain:
    """Send one noise through *model* as the host runs it."""
    count = round((_NOISE_SECONDS + _MUTED_SECONDS + _SPAN_SECONDS + 0.1) * RATE_HZ)
    noise = stationary(colour, count, RATE_HZ / 2 if full_band else 0.97 * cutoff_hz)
    noise *= np.float32(10.0 ** (level_dbfs / 20.0))
    noise[round(_NOISE_SECONDS * RATE_HZ) : round((_NOISE_SECONDS + _MUTED_SECONDS) * RATE_HZ)] = 0.0
    every = added(model, noise, cutoff_hz)
    first_hz = _CROSSOVER * cutoff_hz
    below_hz = (0.95 * cutoff_hz / 2 ** (1 / 3), 0.95 * cutoff_hz)
    found: list[tuple[float | None, float]] = []
    for start_s in _STARTS_SECONDS:
        span = slice(round(start_s * RATE_HZ), round((start_s + _SPAN_SECONDS) * RATE_HZ))
        high, low = every[span], noise[span]
        below = _power(low, *below_hz) / (below_hz[1] - below_hz[0])
        beyond = _power(high, first_hz, 2.0 ** (1 / 3) * first_hz) / ((2.0 ** (1 / 3) - 1.0) * first_hz)
        gain_db = None
        if full_band:
            gain_db = _decibels(_power(low + high, first_hz, _HIGHEST_HZ) / _power(low, first_hz, _HIGHEST_HZ))
        found.append((gain_db, max(_decibels(beyond / below), -200.0)))
    return NoiseGain(colour, level_dbfs, cutoff_hz, full_band, *found[0], *found[1], *found[2])


def _begun(voice: Samples) -> int:
    return int(np.flatnonzero(np.abs(voice) > _BEGUN * np.abs(voice).max())[0])


def _beginning(kind: str, voice: Samples, number: int) -> tuple[Samples, int]:
    """*voice* as it begins by *kind* of :data:`BEGINNINGS`, and where its first sound is."""
    muted = round(_MUTED_SECONDS * RATE_HZ)
    begun = _begun(voice)
    if kind == "at the first sample":
        return voice[begun : begun + _HEARD], 0
    if kind == "unmuted within it":
        # Anywhere: where it is loud enough to be within a word.
        loud = np.flatnonzero(np.abs(voice[:-RATE_HZ]) > 0.1 * np.abs(voice).max())
        cut = int(np.random.default_rng(number).choice(loud))
        return np.concatenate([np.zeros(muted, np.float32), voice[cut : cut + _HEARD]]), muted
    whole = np.concatenate([np.zeros(muted, np.float32), voice[: begun + _HEARD]])
    if kind == "over noise of -30 dB":
        noise = stationary("pink", len(whole), RATE_HZ / 2, seed=number)
        whole = whole + noise * np.float32(np.sqrt(np.mean(voice**2)) * 10.0 ** (-30.0 / 20.0))
    return whole, muted + begun


def voice_start(model: Path, voices: list[Samples], cutoff_hz: float, kind: str) -> VoiceStart:
    """Let *voices* [n], 48 kHz and full-band, begin by *kind* of :data:`BEGINNINGS` behind a path to *cutoff_hz*."""
    lost, free, whole_ms = 0.0, 0.0, []
    for number, voice in enumerate(voices):
        samples, begun = _beginning(kind, voice, number)
        low = _behind(samples, cutoff_hz)
        highs = [added(model, low, cutoff_hz, guarded)[begun:].astype(np.float64) for guarded in (True, False)]
        taken = highs[0] - highs[1]
        word = round(_WORD_SECONDS * RATE_HZ)
        lost += float(np.sum(taken[:word] ** 2))
        free += float(np.sum(highs[1][:word] ** 2))
        differs = np.flatnonzero(taken[:RATE_HZ])
        whole_ms.append(1000.0 * (int(differs[-1]) + 1 if len(differs) else 0) / RATE_HZ)
    median_ms, p90_ms = (float(t) for t in np.percentile(whole_ms, [50, 90]))
    return VoiceStart(kind, cutoff_hz, len(voices), 100.0 * lost / max(free, 1e-20), median_ms, p90_ms)


def _behind(whole: Samples, cutoff_hz: float) -> Samples:
    """What a path that ends at *cutoff_hz* leaves of *whole*."""
    import soxr

    narrow = soxr.resample(soxr.resample(whole, RATE_HZ, 2 * cutoff_hz), 2 * cutoff_hz, RATE_HZ)
    return np.resize(narrow, len(whole)).astype(np.float32)


def voice_cost(model: Path, voices: list[Samples], cutoff_hz: float, snr_db: float | None) -> VoiceCost:
    """Send *voices* [n], 48 kHz and full-band, through *model* behind a path that ends at *cutoff_hz*."""
    from model.metrics.spectral import log_spectral_distance, power_spectrum

    distances: list[tuple[float, float]] = []
    changed = 0
    lead = round(_LEAD_SECONDS * RATE_HZ)
    for k, voice in enumerate(voices):
        whole = np.concatenate([np.zeros(lead, np.float32), voice])
        if snr_db is not None:
            noise = stationary("pink", len(whole), RATE_HZ / 2, seed=k)
            whole = whole + noise * np.float32(np.sqrt(np.mean(voice**2)) * 10.0 ** (-snr_db / 20.0))
        low = _behind(whole, cutoff_hz)
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


def read_voices(data: Path, most: int) -> list[Samples]:
    """*most* recordings of the test split, spread over it."""
    from model.data.corpus import find_clips, read_clip

    clips = [clip for clip in find_clips(data, "test") if clip.seconds >= 3.0]
    return [read_clip(clip)[0][: 8 * RATE_HZ] for clip in clips[:: max(len(clips) // most, 1)][:most]]


def run_voices(
    model: Path, voices: list[Samples], tell: Callable[[str], None]
) -> tuple[list[VoiceCost], list[VoiceStart]]:
    """*voices* after and over each noise, and as they begin in each way."""
    costs, starts = [], []
    for cutoff_hz in CUTOFFS_HZ:
        for snr_db in SNRS_DB:
            tell(f"voices, cutoff {cutoff_hz:g} Hz, " + ("clean" if snr_db is None else f"{snr_db:g} dB over noise"))
            costs.append(voice_cost(model, voices, cutoff_hz, snr_db))
        for kind in BEGINNINGS:
            tell(f"voices, cutoff {cutoff_hz:g} Hz, {kind}")
            starts.append(voice_start(model, voices, cutoff_hz, kind))
    return costs, starts
