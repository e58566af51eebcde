"""The presets that ship: they can be had, and do what their comments say."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.backends.wavfile import FileStream, process
from realtime.engine import EngineSettings
from realtime.paths import VOICE_CLIP, find_model
from realtime.settings.live import load_live_settings, shipped_presets
from realtime.stages import specs_of

RATE_HZ = 48_000


def test_every_preset_that_ships_can_be_had() -> None:
    assert {"default", "headset", "voip", "podcast", "low-latency", "broadcast"} <= set(shipped_presets())
    for name in shipped_presets():
        settings = load_live_settings(name, {})
        specs_of(settings)
        assert find_model(settings.model) is not None
        assert settings.fallback_model == "light"


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    """Eight seconds of speech at 48 kHz, its peak at full scale."""
    clip, rate_hz = soundfile.read(VOICE_CLIP, dtype="float32")
    clip = soxr.resample(clip, rate_hz, RATE_HZ, "VHQ")[: 8 * RATE_HZ]
    return (clip / np.abs(clip).max()).astype(np.float32)


def _through(preset: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the chain of *preset* makes of a full-band voice; its first second, in which levels are found, left out."""
    chain = specs_of(load_live_settings(preset, {}))
    stream = FileStream(1, RATE_HZ, EngineSettings(find_model("light"), chain=chain, cutoff_hz=24_000.0))
    y = np.concatenate(list(process([x[None]], stream)), axis=1)[0]
    stream.close()
    return y[RATE_HZ:]


def _rms_db(x: NDArray[np.float32]) -> float:
    return float(10.0 * np.log10(np.mean(x.astype(np.float64) ** 2)))


def test_broadcast_makes_voices_of_any_level_alike_and_none_too_loud(voice: NDArray[np.float32]) -> None:
    levels_db = []
    for gain_db in (-14.0, -7.0, 0.0):
        y = _through("broadcast", np.float32(10.0 ** (gain_db / 20.0)) * voice)
        assert np.abs(y).max() <= 10.0 ** (-2.0 / 20.0) + 1e-4
        levels_db.append(_rms_db(y))
    assert levels_db == sorted(levels_db)
    assert levels_db[2] - levels_db[0] < 14.0 / 3.0


def test_podcast_leaves_a_full_band_voice_as_it_is_and_its_pauses_quieter(voice: NDArray[np.float32]) -> None:
    x = 0.5 * voice
    y = _through("podcast", x)
    assert _rms_db(y) == pytest.approx(_rms_db(x[RATE_HZ:]), abs=0.3)
    room = (1e-3 * np.random.default_rng(0).standard_normal(3 * RATE_HZ)).astype(np.float32)
    assert _rms_db(_through("podcast", room)) == pytest.approx(_rms_db(room) - 12.0, abs=1.5)
