"""A player and recorder of compiled callbacks, with the host between: what is played, heard, and given by the host.

The probe goes to the playback device. What the capture device hears of it goes to the host, and what the host would
have played is kept instead, sample by sample on the same clock. So one run tells the loop of the devices (played to
heard), the host (heard to given) and both, without a loop that feeds back.
"""

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, from_dtype, njit, types
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, StreamFormat
from realtime.native import COMPILE
from realtime.native.callbacks import PORT, SIGNATURE
from realtime.native.capture import CAPTURE, capture_block
from realtime.native.memory import aligned_zeros, float_pointer, floats_at, record_at
from realtime.native.playback import PLAYBACK, playback_block
from realtime.native.system import now_ns

LOOP = np.dtype(
    [
        (name, np.int64)
        for name in (
            "port",  # of the engine
            "probe",  # float32 [frames]: what is played
            "heard",  # float32 [frames]: what the capture device gives
            "given",  # float32 [frames]: what the host would play
            "frames",
            "channels",  # of the playback device
            "captured",
            "played",
            "longest_block",
            "flags",  # blocks that the device reported as over- or underflowed
        )
    ],
    align=True,
)

_ARGUMENTS = (*SIGNATURE.args[:-1], types.CPointer(from_dtype(LOOP)))
_SIGNATURE = types.int32(*_ARGUMENTS)


@njit(**COMPILE)
def _hear(loop, source, frames):  # type: ignore[no-untyped-def]
    now = now_ns()
    loop.longest_block = max(loop.longest_block, frames)
    heard = floats_at(loop.heard, loop.frames)
    given = carray(source, frames)
    for i in range(min(frames, loop.frames - loop.captured)):
        heard[loop.captured + i] = given[i]
    loop.captured += frames
    capture_block(record_at(record_at(loop.port, PORT).capture, CAPTURE), source, frames, now)


@njit(**COMPILE)
def _say(loop, target, frames):  # type: ignore[no-untyped-def]
    now = now_ns()
    probe = floats_at(loop.probe, loop.frames)
    out = carray(target, (frames, loop.channels))
    for i in range(frames):
        sample = probe[loop.played + i] if loop.played + i < loop.frames else np.float32(0.0)
        for channel in range(loop.channels):
            out[i, channel] = sample
    if loop.played + frames <= loop.frames:
        playback_block(
            record_at(record_at(loop.port, PORT).playback, PLAYBACK),
            float_pointer(loop.given + 4 * loop.played),
            frames,
            now,
        )
    loop.played += frames


@cfunc(_SIGNATURE, **COMPILE)
def loop_capture(source, target, frames, time_info, flags, user):  # type: ignore[no-untyped-def]
    """An input stream."""
    loop = carray(user, 1)[0]
    loop.flags += 1 if flags & 0x3 else 0
    _hear(loop, source, types.int64(frames))
    return types.int32(0)


@cfunc(_SIGNATURE, **COMPILE)
def loop_playback(source, target, frames, time_info, flags, user):  # type: ignore[no-untyped-def]
    """An output stream."""
    loop = carray(user, 1)[0]
    loop.flags += 1 if flags & 0xC else 0
    _say(loop, target, types.int64(frames))
    return types.int32(0)


@cfunc(_SIGNATURE, **COMPILE)
def loop_duplex(source, target, frames, time_info, flags, user):  # type: ignore[no-untyped-def]
    """A stream of both."""
    loop = carray(user, 1)[0]
    loop.flags += 1 if flags & 0xF else 0
    _hear(loop, source, types.int64(frames))
    _say(loop, target, types.int64(frames))
    return types.int32(0)


class Loop:
    """The memory of a run of *probe* [n] through *engine*; to a backend it is what an engine is."""

    def __init__(self, engine: Engine, probe: NDArray[np.float32], channels: int) -> None:
        self._probe = np.ascontiguousarray(probe, np.float32)
        # Full, not zeros: written to, so that no page has to be fetched while it runs.
        self.heard = np.full(len(probe), 0.0, np.float32)
        self.given = np.full(len(probe), 0.0, np.float32)
        self._record = aligned_zeros(1, LOOP)
        self.record = self._record[0]
        self.record["port"] = engine.port_address
        self.record["probe"] = self._probe.ctypes.data
        self.record["heard"] = self.heard.ctypes.data
        self.record["given"] = self.given.ctypes.data
        self.record["frames"] = len(probe)
        self.record["channels"] = channels

    @property
    def callbacks(self) -> dict[str, int]:
        """As :attr:`realtime.engine.Engine.callbacks`."""
        return {
            "capture": loop_capture.address,
            "playback": loop_playback.address,
            "duplex": loop_duplex.address,
        }

    @property
    def port_address(self) -> int:
        """What the callbacks get as their user data."""
        return int(self._record.ctypes.data)

    @property
    def done(self) -> bool:
        return min(int(self.record["captured"]), int(self.record["played"])) >= len(self._probe)


class Cable:
    """The simulated device with a cable from its output to its input that takes *delay_frames*: a known delay."""

    def __init__(self, delay_frames: int, seconds: float, block_frames: int, rate_hz: int = 48_000) -> None:
        frames = round(seconds * rate_hz)
        self._device = SimulatedDevice(
            np.zeros((1, frames), np.float32), rate_hz, playback_rate_hz=rate_hz, block_frames=block_frames
        )
        self.stream: StreamFormat = self._device.stream
        self.delay_frames = max(delay_frames, block_frames)
        # What the speaker gets lies so many frames after what the microphone hears, in one piece of memory.
        record = self._device.record
        total = int(record["sink_frames"])
        self._memory = np.full(self.delay_frames + total, 0.0, np.float32)
        record["source"] = self._memory.ctypes.data
        record["source_frames"] = len(self._memory)
        record["sink"] = self._memory.ctypes.data + 4 * self.delay_frames

    def start(self, loop: Loop) -> None:
        callbacks = loop.callbacks
        self._device.run_callbacks(callbacks["capture"], callbacks["playback"], loop.port_address)

    def stop(self) -> None:
        self._device.stop()

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]:
        return 0.0, 1000.0 * self.delay_frames / self.stream.playback_rate_hz

    def describe(self) -> str:
        return f"simulated device, a cable of {self.delay_frames} frames"

    @property
    def active(self) -> bool:
        return self._device.active
