"""Noise alone is not extended; a voice is from its first sound, and no bit of its high band is changed meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from bench.bandwidth.noise import stationary
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.paths import VOICE_CLIP, find_model
from tests.realtime.playing import play

RATE_HZ = 48_000
STREAM = StreamFormat(RATE_HZ, RATE_HZ, 128)
CUTOFF_HZ = 8_000.0
NOISE_SECONDS = 6


def _high(x: NDArray[np.float32], guarded: bool = True) -> NDArray[np.float32]:
    """What the shipped network adds to *x*, at its place; *guarded*: as the host has it."""
    with Engine(STREAM, EngineSettings(find_model("default"), cutoff_hz=CUTOFF_HZ)) as engine:
        assert engine.inference is not None
        if not guarded:
            engine.inference.record["steady_after"] = 1 << 60
        heard = play(engine, x)
        delay = engine.delay_samples
    return heard[delay:] - x[: len(heard) - delay]


def _noise(colour: str, seconds: float, level_dbfs: float) -> NDArray[np.float32]:
    noise = stationary(colour, int(seconds * RATE_HZ), 0.97 * CUTOFF_HZ)
    return (10 ** (level_dbfs / 20) * noise).astype(np.float32)


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    samples, _ = soundfile.read(VOICE_CLIP, dtype="float32", stop=2 * RATE_HZ)
    return soxr.resample(soxr.resample(samples, RATE_HZ, 16_000), 16_000, RATE_HZ).astype(np.float32)


@pytest.mark.parametrize(("colour", "level_dbfs"), [("white", -30.0), ("pink", -50.0), ("fan", -50.0)])
def test_to_noise_alone_nothing_is_added_from_its_first_sample(colour: str, level_dbfs: float) -> None:
    x = _noise(colour, 3, level_dbfs)
    assert _high(x, guarded=False).any()
    assert not _high(x).any()


@pytest.mark.parametrize("colour", ["white", "fan"])
def test_noise_after_a_muted_stretch_is_no_voice(colour: str) -> None:
    x = _noise(colour, 3, -40.0)
    x[: RATE_HZ // 3] = x[RATE_HZ : 2 * RATE_HZ] = 0.0
    assert not _high(x).any()


def test_noise_that_grows_louder_is_a_voice_for_a_moment() -> None:
    x = _noise("pink", 4, -60.0)
    x[RATE_HZ:] *= 10.0
    high = _high(x)
    assert high[RATE_HZ : RATE_HZ + RATE_HZ // 4].any()
    assert not high[-RATE_HZ // 8 :].any()


@pytest.mark.parametrize("silence_seconds", [0, 1])
def test_a_voice_out_of_nothing_has_its_high_band_from_the_first_word(
    voice: NDArray[np.float32], silence_seconds: int
) -> None:
    """A voice that begins with its first sample, in the midst of a sound, and one that is unmuted so."""
    begun = int(np.flatnonzero(np.abs(voice) > 0.1 * np.abs(voice).max())[0])
    x = np.concatenate([np.zeros(silence_seconds * RATE_HZ, np.float32), voice[begun:]])
    guarded, free = (_high(x, guarded)[silence_seconds * RATE_HZ :] for guarded in (True, False))
    lost = (guarded - free).astype(float)
    word = slice(0, RATE_HZ // 3)
    assert np.sum(lost[word] ** 2) < 0.05 * np.sum(free[word].astype(float) ** 2)
    assert not lost[RATE_HZ // 8 :].any()


@pytest.mark.parametrize("snr_db", [20.0, 60.0])
def test_a_voice_after_long_noise_has_its_high_band_from_the_first_sound(
    voice: NDArray[np.float32], snr_db: float
) -> None:
    level_db = 20 * np.log10(voice.std())
    x = _noise("pink", NOISE_SECONDS + len(voice) / RATE_HZ, level_db - snr_db)
    x[NOISE_SECONDS * RATE_HZ :] += voice
    guarded, free = (_high(x, guarded)[NOISE_SECONDS * RATE_HZ :] for guarded in (True, False))
    lost = (guarded - free).astype(float)
    assert np.sum(lost**2) < 0.01 * np.sum(free.astype(float) ** 2)
    begun = int(np.flatnonzero(np.abs(voice) > 0.1 * np.abs(voice).max())[0])
    assert not lost[begun + RATE_HZ // 50 :].any(), "within the voice nothing is changed"


def test_a_held_note_is_no_noise() -> None:
    t = np.arange(5 * RATE_HZ) / RATE_HZ
    note = sum(np.exp(-(((k * 220 - 700) / 600) ** 2)) * np.sin(2 * np.pi * 220 * k * t) for k in range(1, 30))
    x = (0.05 * np.asarray(note)).astype(np.float32)
    begun = RATE_HZ // 20
    np.testing.assert_array_equal(_high(x)[begun:], _high(x, guarded=False)[begun:])
