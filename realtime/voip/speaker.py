"""A playback device as the end of a call. Its clock is its own: an engine without a model keeps the two together."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import find, import_sounddevice
from ..engine import Engine, EngineSettings
from ..errors import FullbandError
from ..native.batch import give
from ..onnx.contract import RATE_HZ
from ..stream import StreamFormat
from .frames import FRAME_SAMPLES, Frame

_BLOCK_FRAMES = 256

#: The exchange's clock and the device's callback both may be late by so much.
_GUARD_MS = 10.0


class SpeakerSink:
    """Plays on the device whose name has *name* in it (None: the default one)."""

    bandwidth_hz = RATE_HZ / 2

    def __init__(self, name: str | None = None) -> None:
        sounddevice = import_sounddevice()
        device = find(name, "output")
        rate_hz = round(device.default_rate_hz)
        channels = min(2, device.max_output_channels)
        stream = StreamFormat(RATE_HZ, rate_hz, _BLOCK_FRAMES, 1, channels, separate_clocks=True)
        # Frames come ten milliseconds at a time, however small the device's blocks are.
        self._engine = Engine(stream, EngineSettings(None, guard_ms=_GUARD_MS + 1000.0 * FRAME_SAMPLES / RATE_HZ))
        self.label = device.label
        ffi = sounddevice._ffi
        try:
            self._stream: Any = sounddevice._StreamBase(
                kind="output",
                device=device.index,
                samplerate=rate_hz,
                channels=channels,
                blocksize=_BLOCK_FRAMES,
                dtype="float32",
                latency="low",
                callback=ffi.cast("PaStreamCallback*", self._engine.callbacks["playback"]),
                wrap_callback=None,
                userdata=ffi.cast("void*", self._engine.port_address),
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise FullbandError(f"cannot play on {device.label}: {error}; see 'fullband devices'") from None

    @property
    def delay_ms(self) -> float:
        """Between a frame given and the same frame handed to the device."""
        return 1000.0 * self._engine.delay_samples / RATE_HZ

    @property
    def active(self) -> bool:
        """False once the device has gone."""
        return bool(self._stream.active)

    def push(self, frame: Frame) -> None:
        give(self._engine.port_address, np.ascontiguousarray(frame, np.float32), FRAME_SAMPLES)

    def close(self) -> None:
        """Stop playing."""
        self._stream.close()
        self._engine.close()
