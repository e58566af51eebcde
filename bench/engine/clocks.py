"""What calls the callbacks of a path: the simulated device's thread, or real devices through PortAudio.

On real devices the input is heard and silence is played, so that nobody's ears, and no loop, are in danger.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.backends.portaudio import PortAudio
from realtime.backends.pyaudio import PyAudio
from realtime.backends.simulated import BUFFERED_BLOCKS, SimulatedDevice
from realtime.engine import StreamFormat
from realtime.errors import FullbandError
from realtime.onnx.contract import RATE_HZ

from .paths import EngineWork, Work, pyaudio_callback

_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
)


@dataclass(frozen=True)
class Served:
    """What became of the device's blocks. *lost_seconds* of audio could not be taken or given."""

    blocks: int
    blocks_due: int
    xruns: int
    lost_seconds: float
    longest_lost_seconds: float


class Clock(Protocol):
    """A device that runs one path at a time."""

    name: str
    stream: StreamFormat

    def run(self, path: str, work: Work) -> Any:
        """A context in which the callbacks of *work* come, as those of *path* do."""

    def served(self) -> Served:
        """Of the last run."""


def _voice(seconds: float) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(0).standard_normal((1, int(seconds * RATE_HZ)))).astype(np.float32)


class SimulatedClock:
    """The simulated device in real time, with a buffer of two blocks, as a usual driver has it."""

    name = "simulated device"

    def __init__(self, block_frames: int, seconds: float) -> None:
        self.stream = StreamFormat(RATE_HZ, RATE_HZ, block_frames)
        # Loads that hold the interpreter let a run end late.
        self._source = _voice(seconds + 2.0)
        self._block_frames = block_frames
        self._served = Served(0, 0, 0, 0.0, 0.0)

    @contextmanager
    def run(self, path: str, work: Work) -> Iterator[None]:
        with SimulatedDevice(self._source, RATE_HZ, block_frames=self._block_frames) as device:
            if path == "native":
                assert isinstance(work, EngineWork)
                device.start(work.engine)
            else:
                callback = _CALLBACK(self._function(path, work, device))
                device.run_callbacks(0, ctypes.cast(callback, ctypes.c_void_p).value or 0, 0)
            try:
                yield
            finally:
                device.stop()
                lost = device.lost_seconds
                due = int(device.record["blocks"]) + round(lost * RATE_HZ / self._block_frames)
                longest = float(device.record["longest_lost_ns"]) / 1e9
                self._served = Served(int(device.record["blocks"]), due, device.xruns, lost, longest)

    def _function(self, path: str, work: Work, device: SimulatedDevice) -> Any:
        """A function of Python that the device's thread calls, once for every block, for both directions."""
        source, block, record = self._source[0], self._block_frames, device.record

        def asked_ns() -> int:
            return int(record["clock"])

        through_bytes = pyaudio_callback(work, asked_ns)

        def sounddevice_like(_: int, target: int, frames: int, *rest: Any) -> int:
            first = int(record["blocks"]) * block
            played = np.ctypeslib.as_array((ctypes.c_float * frames).from_address(target))
            work.process(source[first : first + frames], played, asked_ns())
            return 0

        def pyaudio_like(_: int, target: int, frames: int, *rest: Any) -> int:
            first = int(record["blocks"]) * block
            given, proceed = through_bytes(source[first : first + frames].tobytes(), frames, {}, 0)
            ctypes.memmove(target, given, 4 * frames)
            return proceed

        return pyaudio_like if path == "pyaudio" else sounddevice_like

    def served(self) -> Served:
        return self._served


class DeviceClock:
    """Real devices, named as for ``fullband live``."""

    def __init__(self, capture: str | None, playback: str | None, block_frames: int) -> None:
        self._names = (capture, playback)
        self._block_frames = block_frames
        backend = PortAudio(capture, playback, rate_hz=RATE_HZ, block_frames=block_frames)
        if backend.stream.separate_clocks:
            raise FullbandError(
                f"{backend.describe()} run on two clocks, which only the path 'native' can serve: choose one device, "
                "or two of JACK"
            )
        self.name = backend.describe()
        self.stream = StreamFormat(RATE_HZ, RATE_HZ, block_frames)
        self._backend = backend
        self._frames = self._flags = 0
        self._served = Served(0, 0, 0, 0.0, 0.0)

    @contextmanager
    def run(self, path: str, work: Work) -> Iterator[None]:
        self._frames = self._flags = 0
        started = getattr(self, f"_{path}", self._python_callback)(work)
        began_s = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began_s
            frames = self._frames
            if isinstance(work, EngineWork) and path == "native":
                frames = int(work.engine.playback["played_samples"])
                self._flags = int(work.engine.capture["device_flags"]) + int(work.engine.playback["device_flags"])
            started()
            due = int(seconds * RATE_HZ / self._block_frames)
            # What the buffers of a server hold at the end is not lost.
            lost = max(due - frames // self._block_frames - BUFFERED_BLOCKS, 0)
            lost_s = lost * self._block_frames / RATE_HZ
            self._served = Served(frames // self._block_frames, due, self._flags, lost_s, lost_s)

    def _native(self, work: Work) -> Any:
        assert isinstance(work, EngineWork)
        work.engine.wishes.set_muted(True)
        self._backend.start(work.engine)
        return self._backend.stop

    def _python_callback(self, work: Work) -> Any:
        import sounddevice

        played = np.zeros(self._block_frames, np.float32)

        def callback(
            indata: NDArray[np.float32], outdata: NDArray[np.float32], frames: int, _: Any, flags: Any
        ) -> None:
            work.process(np.ascontiguousarray(indata[:, 0]), played[:frames], time.monotonic_ns())
            outdata[:] = 0.0
            self._frames += frames
            self._flags += bool(flags)

        stream = sounddevice.Stream(
            samplerate=RATE_HZ,
            blocksize=self._block_frames,
            device=(self._backend.capture_device.index, self._backend.playback_device.index),
            channels=1,
            dtype="float32",
            latency="low",
            callback=callback,
        )
        stream.start()
        return stream.close

    def _pyaudio(self, work: Work) -> Any:
        through_bytes = pyaudio_callback(work, time.monotonic_ns)
        silence = bytes(4 * self._block_frames)

        def callback(data: bytes, frames: int, time_info: dict[str, float], status: int) -> tuple[bytes, int]:
            _, proceed = through_bytes(data, frames, time_info, status)
            self._frames += frames
            self._flags += bool(status)
            return silence[: 4 * frames], proceed

        capture, playback = (device.name for device in (self._backend.capture_device, self._backend.playback_device))
        backend = PyAudio(capture, playback, rate_hz=RATE_HZ, block_frames=self._block_frames)
        backend.open(callback)
        return backend.stop

    def served(self) -> Served:
        return self._served
