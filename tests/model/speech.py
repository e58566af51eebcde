"""Speech-like sound made on the spot: pulses through formants, hiss and pauses, up to 24 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

RATE_HZ = 48_000


def speech_like(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Voiced and unvoiced sounds of some 150 ms with pauses, peak 0.5, at 48 kHz."""
    generator = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    sounds: list[NDArray[np.float64]] = []
    while sum(len(sound) for sound in sounds) < count:
        length = int(generator.uniform(0.08, 0.22) * RATE_HZ)
        kind = generator.choice(["voiced", "hiss", "pause"], p=[0.6, 0.25, 0.15])
        if kind == "pause":
            sounds.append(1e-4 * generator.standard_normal(length))
            continue
        if kind == "voiced":
            source = np.zeros(length)
            source[:: int(RATE_HZ / generator.uniform(90.0, 240.0))] = 1.0
            source += 0.01 * generator.standard_normal(length)
        else:
            source = signal.lfilter([1.0, -0.95], [1.0], 0.1 * generator.standard_normal(length))
        for formant_hz in (generator.uniform(300, 800), generator.uniform(1_000, 2_500), 3_500.0, 7_000.0):
            section = signal.iirpeak(formant_hz, 4.0, fs=RATE_HZ)
            source = source + 3.0 * signal.lfilter(*section, source)
        sounds.append(source * np.hanning(length))
    samples = np.concatenate(sounds)[:count]
    return np.asarray(0.5 * samples / np.max(np.abs(samples)), dtype=np.float32)


def write_corpus(folder: Path, speakers: int = 2, clips: int = 2, seconds: float = 1.0) -> Path:
    """A folder of synthetic speakers as 16-bit WAV."""
    for speaker in range(speakers):
        (folder / f"s{speaker}").mkdir(parents=True)
        for clip in range(clips):
            path = folder / f"s{speaker}" / f"{clip}.wav"
            soundfile.write(path, speech_like(seconds, 10 * speaker + clip), RATE_HZ, subtype="PCM_16")
    return folder
