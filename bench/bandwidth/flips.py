"""What the bandwidth detector makes of all that is no speech: nothing, if it is right.

A fresh detector hears noise, a voice, the same noise, another voice and the noise again. Every opinion that changes
while there is no voice is a false flip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cases import POLL_SAMPLES, RATE_HZ, Samples, opinions
from .noise import stationary

NOISES = ("white", "pink", "hiss", "fan", "hum", "room tone", "birds", "ambience", "silence")
LEVELS_DBFS = (-70.0, -50.0, -30.0)

_NOISE_SECONDS = 10.0
_VOICE_SECONDS = 5.0
_VOICE_RATES_HZ = (8_000, 16_000, 48_000)

#: A voice is judged so much later than it is heard.
_LATE_SECONDS = 0.5

_HUM_HZ = 50.0
_HISS_HZ = (2_000.0, 7_000.0)


@dataclass(frozen=True)
class NoiseRow:
    """One noise at one level: minutes without a voice, and changes of mind in them, of any size.

    *own*: it is the device's own and has all the band, whatever the voice's path is. Else it comes by that path, too.
    """

    noise: str
    level_dbfs: float
    own: bool
    minutes: float
    flips: int


def _hum(count: int) -> NDArray[np.float64]:
    """Mains with its harmonics, 6 dB down an octave."""
    time_s = np.arange(count) / RATE_HZ
    return np.asarray(sum(np.sin(2.0 * np.pi * k * _HUM_HZ * time_s + k * k) / k for k in range(1, 25)))


def _hiss(count: int) -> Samples:
    """Noise of a narrow device's amplifier: it ends as a voice there does."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1.0 / RATE_HZ)
    spectrum[(frequency_hz < _HISS_HZ[0]) | (frequency_hz > _HISS_HZ[1])] = 0.0
    return np.fft.irfft(spectrum, count).astype(np.float32)


def _room_tone(count: int) -> NDArray[np.float64]:
    """Pink noise and hum whose level wanders by some dB within seconds."""
    wander_db = 2.0 * np.sin(2.0 * np.pi * 0.21 * np.arange(count) / RATE_HZ)
    noise = stationary("pink", count, RATE_HZ / 2) + 0.3 * _hum(count)
    return np.asarray(noise * 10.0 ** (0.05 * wander_db))


def _birds(count: int) -> NDArray[np.float64]:
    """Chirps of a tenth of a second, as loud at twice their pitch, four a second: they rise and fall as speech does."""
    rng = np.random.default_rng(1)
    length = RATE_HZ // 8
    song = np.zeros(count + length)
    for start in range(0, count, RATE_HZ // 4):
        first_hz, last_hz = rng.uniform(1_500.0, 3_000.0, 2)
        pitch_hz = np.linspace(first_hz, last_hz, length)
        phase = 2.0 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
        song[start : start + length] += np.hanning(length) * (np.sin(phase) + np.sin(2.0 * phase))
    return np.asarray(song[:count] + 0.01 * stationary("pink", count, RATE_HZ / 2))


def noise_of(kind: str, count: int, level_dbfs: float, ambience: Samples) -> Samples:
    """*count* samples of a noise of :data:`NOISES` at *level_dbfs*; *ambience* is a recording."""
    if kind == "silence":
        return np.zeros(count, np.float32)
    makers: dict[str, Callable[[], NDArray[np.floating]]] = {
        "hiss": lambda: _hiss(count),
        "hum": lambda: _hum(count),
        "room tone": lambda: _room_tone(count),
        "birds": lambda: _birds(count),
        "ambience": lambda: np.resize(ambience, count),
    }
    made = makers[kind]() if kind in makers else stationary(kind, count, RATE_HZ / 2)
    scale = 10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(np.square(made, dtype=np.float64)) + 1e-20)
    return np.asarray(scale * made, np.float32)


def _narrow(samples: Samples, rate_hz: int) -> Samples:
    import soxr

    if rate_hz == RATE_HZ:
        return samples
    wide = soxr.resample(soxr.resample(samples, RATE_HZ, rate_hz), rate_hz, RATE_HZ)
    return np.asarray(wide[: len(samples)], np.float32)


def false_flips(voices: tuple[Samples, Samples], noise: Samples) -> tuple[float, int]:
    """Minutes of *noise* around two voices, and changes of mind in them."""
    parts = (noise, voices[0], noise, voices[1], noise)
    said_hz = opinions(np.concatenate(parts), RATE_HZ / 2)
    flips, minutes, start = 0, 0.0, 0
    for number, part in enumerate(parts):
        end = start + len(part)
        if number % 2 == 0:
            first = -(-start // POLL_SAMPLES) + (round(_LATE_SECONDS * RATE_HZ / POLL_SAMPLES) if number else 0)
            heard = said_hz[first : end // POLL_SAMPLES]
            flips += int(np.count_nonzero(np.diff(heard)))
            minutes += len(heard) * POLL_SAMPLES / RATE_HZ / 60.0
        start = end
    return minutes, flips


def run(data: Path, tell: Callable[[str], None]) -> list[NoiseRow]:
    """Every noise at every level, with voices of 4 and 8 kHz and of the whole band between; ambience as recorded in
    every place."""
    from model.data.corpus import find_clips, read_clip

    count = round(_VOICE_SECONDS * RATE_HZ)
    clips = [clip for clip in find_clips(data, "test") if clip.seconds >= _VOICE_SECONDS]
    voices = [read_clip(clip)[0][:count] for clip in clips]
    recordings = [read_clip(clip)[0] for clip in find_clips(data, "noise")]
    rows = []
    for own, kind in product((False, True), NOISES):
        for level_dbfs in LEVELS_DBFS[-1:] if kind == "silence" else LEVELS_DBFS:
            tell(f"{kind} at {level_dbfs:g} dBFS")
            minutes, flips = 0.0, 0
            for k in range(len(recordings) if kind == "ambience" else len(_VOICE_RATES_HZ)):
                rate_hz = _VOICE_RATES_HZ[k % len(_VOICE_RATES_HZ)]
                noise = noise_of(kind, round(_NOISE_SECONDS * RATE_HZ), level_dbfs, recordings[k % len(recordings)])
                pair = [_narrow(voices[(2 * k + j) % len(voices)], rate_hz) for j in (0, 1)]
                found = false_flips((pair[0], pair[1]), noise if own else _narrow(noise, rate_hz))
                minutes, flips = minutes + found[0], flips + found[1]
            rows.append(NoiseRow(kind, level_dbfs, own, minutes, flips))
    return rows
