"""Random chains from full-band speech to what arrives, drawn as plain records and then applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from .codecs import through
from .filters import (
    SAMPLE_RATE_HZ,
    Samples,
    decimate,
    fir_taps,
    iir_sections,
    tilt,
    upsample,
    zero_phase,
)

RATES_HZ = (8_000, 12_000, 16_000, 24_000)
FAMILIES = ("butter", "cheby", "ellip", "bessel")

#: Chances of the single events. Most speech arrives clean through a plain anti-alias filter.
IIR_CHANCE = 0.35
TELEPHONE_CHANCE = 0.15
NARROWER_CHANCE = 0.15
NOISE_CHANCE = 0.25
TILT_CHANCE = 0.4
SILENCE_CHANCE = 0.15
STEP_CHANCE = 0.6
CODEC_CHANCE = 0.25
HISS_CHANCE = 0.5
NOISE_ONLY_CHANCE = 0.04
ROOM_CHANCE = 0.15

#: What speech at a rate goes through before it arrives: calls, and Bluetooth headsets.
CODECS_OF_RATE = {
    8_000: ("pcmu", "pcma", "gsm", "amr-nb", "opus-6k", "opus-8k"),
    16_000: ("g722", "msbc", "opus-9k", "opus-12k"),
}

#: A step of level: someone turns to the microphone or away from it, or a gain control acts.
STEP_DB = (-24.0, 18.0)
_STEP_SAMPLES = 240

#: A room: seconds in which its sound falls by 60 dB, how much faster that is above 4 kHz (walls and air), how much
#: softer all of it is than the voice (a headset, or a table away), and when its first reflection comes.
ROOM_DECAY_S = (0.15, 0.7)
ROOM_DULLNESS = (1.0, 2.5)
ROOM_DB = (-20.0, 0.0)
ROOM_DELAY_MS = (1.0, 10.0)
_ROOM_SPLIT_HZ = 4_000.0

#: The steady hiss of a microphone and its amplifier, below the voice; it reaches through the whole band.
HISS_DB = (-75.0, -42.0)

#: Noise without a voice is hardly extended: its high band shall be this much lower.
NOISE_ONLY_DB = -20.0

#: From noise with some speech in it to noise one hardly hears.
NOISE_SNR_DB = (-5.0, 40.0)

#: A detector reads the bandwidth of the content with some error.
DETECTOR_ERROR = 0.03


@dataclass(frozen=True)
class Degradation:
    """One chain. *cutoff_hz* is what the network is told, *edge_hz* where the filter really falls."""

    rate_hz: int
    cutoff_hz: float
    edge_hz: float
    taps: int
    family: str | None
    order: int
    telephone: bool
    codec: str | None = None


@dataclass(frozen=True)
class Pair:
    """Input at 48 kHz and what the output shall be, sample for sample in line.

    *hiss_rms* is the level of steady noise in the target, 0 where none was added.
    """

    low: Samples
    target: Samples
    cutoff_hz: float
    hiss_rms: float


def draw(generator: np.random.Generator) -> Degradation:
    """A chain at random; every value is a function of *generator*."""
    rate_hz = int(generator.choice(RATES_HZ))
    cutoff_hz = rate_hz / 2
    edge_hz = cutoff_hz * generator.uniform(0.90, 0.99)
    telephone = rate_hz == 8_000 and generator.random() < TELEPHONE_CHANCE
    if telephone:
        edge_hz = 3_400.0
        cutoff_hz = generator.uniform(3_400.0, 4_000.0)
    elif generator.random() < NARROWER_CHANCE:
        # Content narrower than its container, as when a 16 kHz stream carries a telephone call.
        rate_hz = int(generator.choice([rate for rate in (*RATES_HZ, SAMPLE_RATE_HZ) if rate > rate_hz]))
        cutoff_hz = generator.uniform(3_600.0, min(0.47 * rate_hz, 15_000.0))
        edge_hz = cutoff_hz * generator.uniform(0.90, 0.99)
        cutoff_hz *= generator.uniform(1.0 - DETECTOR_ERROR, 1.0 + DETECTOR_ERROR)
    codecs = CODECS_OF_RATE.get(rate_hz, ())
    return Degradation(
        rate_hz=rate_hz,
        cutoff_hz=float(cutoff_hz),
        edge_hz=float(edge_hz),
        taps=2 * int(generator.integers(40, 150)) + 1,
        family=str(generator.choice(FAMILIES)) if generator.random() < IIR_CHANCE else None,
        order=int(generator.integers(3, 10)),
        telephone=telephone,
        codec=str(generator.choice(codecs)) if codecs and generator.random() < CODEC_CHANCE else None,
    )


def apply(samples: Samples, chain: Degradation) -> Samples:
    """Full-band samples at 48 kHz -> the low band, again at 48 kHz and in line."""
    ratio = SAMPLE_RATE_HZ // chain.rate_hz
    if chain.family is not None:
        samples = zero_phase(samples, iir_sections(chain.family, chain.order, chain.edge_hz))
    if chain.telephone:
        samples = zero_phase(samples, signal.butter(4, 300.0, "high", fs=SAMPLE_RATE_HZ, output="sos"))
    # After an analogue-like filter the sampler's own one sits at its usual place.
    edge_hz = chain.edge_hz if chain.family is None else 0.97 * chain.rate_hz / 2
    low = upsample(decimate(samples, fir_taps(chain.taps, edge_hz), ratio), chain.rate_hz)
    return low if chain.codec is None else through(chain.codec, low)


def _low_noise(generator: np.random.Generator, length: int, edge_hz: float) -> Samples:
    """Stationary noise of a random colour that ends below *edge_hz*: it must not be extended."""
    white = generator.standard_normal(length).astype(np.float32)
    coloured = tilt(white, generator.uniform(-15.0, 15.0, 8))
    return decimate(coloured, fir_taps(255, 0.8 * edge_hz), 1)


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


def _hiss(generator: np.random.Generator, length: int, rms: float) -> Samples:
    """Steady full-band noise; in many converters it rises towards the top."""
    white = generator.standard_normal(length).astype(np.float32)
    slope_db = generator.uniform(-6.0, 12.0) * np.linspace(0.0, 1.0, 8)
    coloured = tilt(white, generator.uniform(-8.0, 8.0, 8) + slope_db)
    return coloured * np.float32(rms / _rms(coloured))


def _step(samples: Samples, generator: np.random.Generator) -> Samples:
    """From somewhere on louder or softer, over a few ms; all of it as much softer as keeps it below full scale."""
    start = int(generator.integers(len(samples)))
    rise = np.clip((np.arange(len(samples)) - start) / _STEP_SAMPLES, 0.0, 1.0)
    stepped = samples * np.power(10.0, generator.uniform(*STEP_DB) / 20.0 * rise)
    return np.asarray(stepped / max(1.0, float(np.max(np.abs(stepped)))), dtype=np.float32)


def add_room(samples: Samples, generator: np.random.Generator) -> Samples:
    """*samples* as a microphone in a room hears them: the voice as it was, and a tail that loses its top first."""
    length = round(generator.uniform(*ROOM_DECAY_S) * SAMPLE_RATE_HZ)
    white = generator.standard_normal(length).astype(np.float32)
    dull = decimate(white, fir_taps(63, _ROOM_SPLIT_HZ), 1)
    fall = np.power(10.0, -3.0 * np.arange(length) / length)
    tail = dull * fall + (white - dull) * fall ** generator.uniform(*ROOM_DULLNESS)
    tail[: round(generator.uniform(*ROOM_DELAY_MS) * SAMPLE_RATE_HZ / 1000.0)] = 0.0
    tail *= 10.0 ** (generator.uniform(*ROOM_DB) / 20.0) / np.sqrt(np.sum(np.square(tail)))
    tail[0] = 1.0
    return np.asarray(signal.fftconvolve(samples, tail)[: len(samples)], dtype=np.float32)


def _noise_alone(samples: Samples, generator: np.random.Generator) -> Pair:
    """Steady noise as loud as *samples*, which is not to be extended."""
    noise = _hiss(generator, len(samples), _rms(samples) + 1e-4)
    chain = draw(generator)
    low = apply(noise, chain)
    target = low + np.float32(10.0 ** (NOISE_ONLY_DB / 20.0)) * (noise - low)
    return Pair(low, target, chain.cutoff_hz, _rms(noise))


def make_pair(samples: Samples, generator: np.random.Generator) -> Pair:
    """A training pair from full-band *samples*: recording, room, level, noise, silence, then a chain."""
    target = samples
    if generator.random() < TILT_CHANCE:
        target = tilt(target, generator.uniform(-6.0, 6.0, 6))
    if generator.random() < ROOM_CHANCE:
        target = add_room(target, generator)
    peak = float(np.max(np.abs(target))) + 1e-6
    target = target * np.float32(10.0 ** (generator.uniform(-40.0, 0.0) / 20.0) / peak)
    if generator.random() < NOISE_ONLY_CHANCE:
        return _noise_alone(target, generator)
    if generator.random() < STEP_CHANCE:
        target = _step(target, generator)
    chain = draw(generator)
    if generator.random() < SILENCE_CHANCE:
        start = generator.integers(len(target))
        target[start : start + generator.integers(len(target) // 2)] = 0.0
    hiss_rms = 0.0
    if generator.random() < HISS_CHANCE:
        hiss_rms = _rms(target) * float(10.0 ** (generator.uniform(*HISS_DB) / 20.0))
        target = target + _hiss(generator, len(target), hiss_rms)
    if generator.random() < NOISE_CHANCE:
        noise = _low_noise(generator, len(target), chain.edge_hz)
        snr_db = generator.uniform(*NOISE_SNR_DB)
        target = target + noise * np.float32(_rms(target) / _rms(noise) * 10.0 ** (-snr_db / 20.0))
    low = apply(target, chain)
    return Pair(low, np.asarray(target, dtype=np.float32), chain.cutoff_hz, hiss_rms)
