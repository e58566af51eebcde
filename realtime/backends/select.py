"""Which backend serves the settings of ``fullband live``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import FullbandError
from ..onnx.contract import RATE_HZ
from ..paths import VOICE_CLIP
from ..settings.live import LiveSettings
from .base import Backend
from .simulated import SimulatedDevice

#: Where the device has no size of its own: 2.7 ms.
BLOCK_FRAMES = 128


def simulated_microphone(settings: LiveSettings) -> SimulatedDevice:
    """The recording of *settings* (by default the clip that ships) as a microphone of ``simulated_rate_hz``."""
    import soxr

    from ..audiofile import read

    audio = read(settings.source or VOICE_CLIP)
    voice = audio.samples.mean(axis=0)
    rate_hz = settings.rate_hz or settings.simulated_rate_hz
    narrow = soxr.resample(voice, audio.rate_hz, rate_hz).astype(np.float32)[None]
    return SimulatedDevice(
        narrow,
        rate_hz,
        playback_rate_hz=RATE_HZ,
        block_frames=settings.block_frames or BLOCK_FRAMES,
        seconds=settings.seconds,
    )


def _automatic(settings: LiveSettings, say: Callable[[str], None]) -> str:
    if settings.source is not None:
        return "simulated"
    if settings.input is not None or settings.output is not None:
        return "portaudio"
    from ..devices import list_devices

    try:
        devices = list_devices()
    except FullbandError as error:
        devices = []
        say(str(error))
    kinds = (any(d.max_input_channels for d in devices), any(d.max_output_channels for d in devices))
    if kinds == (True, True):
        return "portaudio"
    say("No sound device here: the simulated one plays the voice clip that ships with fullband.")
    return "simulated"


def open_backend(settings: LiveSettings, say: Callable[[str], None]) -> Backend:
    """The backend that *settings* name; ``auto`` is PortAudio, or the simulated one where there is no device.

    *say* gets the lines that explain the choice.
    """
    name = _automatic(settings, say) if settings.backend == "auto" else settings.backend
    if name == "simulated":
        return simulated_microphone(settings)
    rate_hz = settings.rate_hz
    if name == "pyaudio":
        from .pyaudio import PyAudio

        block_frames = settings.block_frames or BLOCK_FRAMES
        return PyAudio(settings.input, settings.output, rate_hz=rate_hz, block_frames=block_frames)
    from .portaudio import PortAudio

    return PortAudio(
        settings.input,
        settings.output,
        rate_hz=rate_hz,
        block_frames=settings.block_frames,
        latency=settings.device_latency,
    )
