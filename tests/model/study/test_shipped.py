"""The study's network that ships can be asked for by its name, and is worth hearing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from model.degrade.filters import sinc_decimate
from model.metrics.spectral import log_spectral_distance, power_spectrum
from model.study.contenders import Contender, on_recording
from realtime.paths import VOICE_CLIP, find_model, next_model, shipped_models

FACTOR = 4


def _voice() -> np.ndarray:
    samples = soundfile.read(VOICE_CLIP, dtype="float32")[0]
    return samples[: len(samples) - len(samples) % FACTOR]


def test_it_has_a_name_and_is_not_among_those_to_listen_to() -> None:
    path = find_model("study-unet")
    assert path is not None and path.parent.name == "study"
    name, seen = "default", set()
    for _ in shipped_models():
        seen.add(name := next_model(name))
    assert "study-unet" not in seen and "default" in seen


def test_it_adds_a_high_band_and_leaves_the_low_one_alone() -> None:
    voice = _voice()
    low = sinc_decimate(voice, 48_000 // FACTOR)
    path: Path | None = find_model("study-unet")
    made = on_recording(Contender("study-unet", path), low, FACTOR, None)[: len(voice)]
    whole = on_recording(Contender("sinc"), low, FACTOR, None)[: len(voice)]
    distances = [log_spectral_distance(power_spectrum(one), power_spectrum(voice)) for one in (made, whole)]
    assert distances[0] < 0.7 * distances[1]
    bins = slice(0, len(voice) * 5_000 // 48_000)  # below its crossover
    wanted, given = np.fft.rfft(whole)[bins], np.fft.rfft(made)[bins]
    assert 20.0 * np.log10(np.linalg.norm(wanted) / np.linalg.norm(given - wanted)) > 30.0
