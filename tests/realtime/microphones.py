"""Voices by microphones whose brightness is known: the model's own high band, with a wish."""

from __future__ import annotations

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.backends.wavfile import FileStream, process
from realtime.engine import EngineSettings
from realtime.paths import VOICE_CLIP, find_model
from realtime.wishes import Brightness

RATE_HZ = 48_000


def narrow(samples: NDArray[np.float32], cutoff_hz: float) -> NDArray[np.float32]:
    """*samples* [n] at 48 kHz without what is above *cutoff_hz*."""
    low = soxr.resample(soxr.resample(samples, RATE_HZ, 2 * cutoff_hz), 2 * cutoff_hz, RATE_HZ)
    return np.asarray(low[: len(samples)], np.float32)


def voice(seconds: float) -> NDArray[np.float32]:
    """The clip that ships, at 48 kHz."""
    samples, _ = soundfile.read(VOICE_CLIP, dtype="float32", frames=int(seconds * RATE_HZ))
    return np.asarray(samples, np.float32)


def recorded(brightness: Brightness, seconds: float, cutoff_hz: float = 8_000.0) -> NDArray[np.float32]:
    """The voice by a microphone that is so much brighter than the model would make it above *cutoff_hz*."""
    stream = FileStream(1, RATE_HZ, EngineSettings(find_model("default"), cutoff_hz=cutoff_hz))
    stream.engine.wishes.set_high_level_db(brightness.level_db)
    stream.engine.wishes.set_high_tilt_db(brightness.tilt_db)
    heard = np.concatenate(list(process([narrow(voice(seconds), cutoff_hz)[None]], stream)), axis=1)[0]
    stream.close()
    return heard
