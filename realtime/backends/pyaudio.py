"""PyAudio, for machines whose build of it has what PortAudio's usual one lacks (ASIO and the like).

PyAudio calls back into Python, so a busy interpreter makes audio late here, which it cannot in the other
backends; what the callback does is the same compiled code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import Engine, StreamFormat
from ..errors import FullbandError, nearest
from ..native.callbacks import serve_duplex
from .base import credible_latency_ms

#: A stream that closes at all does so within a few blocks. PortAudio's JACK part waits ten minutes for a server that is
#: gone, and PyAudio cannot be given another copy of the library, as :mod:`.library` does for sounddevice.
_CLOSE_SECONDS = 2.0


def _import_pyaudio() -> Any:
    try:
        import pyaudio
    except ImportError as error:
        raise FullbandError(f"PyAudio cannot be imported ({error}): pip install 'fullband[pyaudio]'") from None
    return pyaudio


class PyAudio:
    """One duplex stream at *rate_hz* on devices named by a part of their name (None: the default ones)."""

    name = "pyaudio"

    def __init__(
        self,
        capture: str | None = None,
        playback: str | None = None,
        *,
        rate_hz: int | None = None,
        block_frames: int = 128,
    ) -> None:
        self._pyaudio = _import_pyaudio()
        self._asked = (capture, playback, rate_hz, block_frames)
        self._audio: Any = None
        self._opened: Any = None
        self._engine: Engine | None = None
        self.reopen()

    def reopen(self) -> None:
        capture, playback, rate_hz, block_frames = self._asked
        # PyAudio's list of devices is made when it is.
        self.stop()
        self._audio = self._pyaudio.PyAudio()
        self._capture = self._find(capture, "input")
        self._playback = self._find(playback, "output")
        rate_hz = rate_hz or round(self._playback["defaultSampleRate"])
        self.stream = StreamFormat(rate_hz, rate_hz, block_frames, 1, 1)
        self._output = np.zeros((block_frames, self.stream.playback_channels), np.float32)

    def _find(self, name: str | None, kind: str) -> dict[str, Any]:
        key = f"max{kind.capitalize()}Channels"
        if name is None:
            try:
                return dict(getattr(self._audio, f"get_default_{kind}_device_info")())
            except OSError:
                raise FullbandError(f"PyAudio has no default {kind} device: name one with --{kind}") from None
        infos = [self._audio.get_device_info_by_index(i) for i in range(self._audio.get_device_count())]
        usable = [info for info in infos if info[key] > 0]
        words = name.lower().split()
        found = [info for info in usable if all(word in info["name"].lower() for word in words)]
        if not found:
            near = ", ".join(nearest(name, [info["name"] for info in usable])) or "none"
            raise FullbandError(f"PyAudio has no {kind} device '{name}'; the nearest: {near}")
        return dict(found[0])

    def _callback(self, data: bytes, frames: int, time_info: Any, status: int) -> tuple[bytes, int]:
        assert self._engine is not None
        if frames != len(self._output):
            self._output = np.zeros((frames, self.stream.playback_channels), np.float32)
        source = np.frombuffer(data, np.float32)
        serve_duplex(self._engine.port_address, source, self._output.reshape(-1), frames, status)
        return self._output.tobytes(), self._pyaudio.paContinue

    def start(self, engine: Engine) -> None:
        self._engine = engine
        self.open(self._callback)

    def open(self, callback: Callable[[bytes, int, Any, int], tuple[bytes, int]]) -> None:
        """Let *callback*, in PyAudio's way, serve the stream."""
        stream = self.stream
        try:
            # PyAudio takes one channel count for both directions of a stream.
            self._opened = self._audio.open(
                rate=stream.playback_rate_hz,
                channels=1,
                format=self._pyaudio.paFloat32,
                input=True,
                output=True,
                input_device_index=int(self._capture["index"]),
                output_device_index=int(self._playback["index"]),
                frames_per_buffer=stream.block_frames,
                stream_callback=callback,
            )
        except (OSError, ValueError) as error:
            raise FullbandError(f"PyAudio cannot open {self.describe()}: {error}") from None

    def stop(self) -> None:
        """Raises :class:`FullbandError` where the audio server has gone and PyAudio hangs in it."""
        audio, stream, self._audio, self._opened = self._audio, self._opened, None, None
        if stream is not None:
            closing = threading.Thread(target=stream.close, daemon=True)
            closing.start()
            closing.join(_CLOSE_SECONDS)
            if closing.is_alive():
                raise FullbandError(
                    f"{self.describe()} is gone, and PyAudio cannot let go of it: start again when it is back, or use "
                    "--backend portaudio, which goes on by itself"
                )
        if audio is not None:
            audio.terminate()

    @property
    def active(self) -> bool:
        return self._opened is not None and bool(self._opened.is_active())

    @property
    def ended(self) -> bool:
        return False

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]:
        if self._opened is None:
            return None, None
        opened = self._opened
        return credible_latency_ms(opened.get_input_latency()), credible_latency_ms(opened.get_output_latency())

    def describe(self) -> str:
        return f"{self._capture['name']} → {self._playback['name']} (PyAudio)"
