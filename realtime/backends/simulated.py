"""The simulated device: a recording as the microphone, memory as the speaker, a native thread as the clock."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import ENGINE_PRIORITY, Engine, StreamFormat
from ..errors import FullbandError
from ..native.device import CLOCK_OFFSET, DEVICE, device_thread
from ..native.histogram import new_cells
from ..native.memory import aligned_zeros
from ..native.system import NativeThread

#: Blocks a usual driver holds ready; it rides out a stall of as many.
BUFFERED_BLOCKS = 2

#: What is kept of an endless run.
KEPT_SECONDS = 10.0

#: Audio servers call back from a real-time thread, above the engine's; so does this one where it is allowed.
DEVICE_PRIORITY = ENGINE_PRIORITY + 5


class SimulatedDevice:
    """Plays *source* [channels, frames] (float32, at the capture rate) and records what is played.

    It runs for *seconds*, by default as long as the source lasts. With *freewheel* it goes as fast as the
    network allows and loses nothing; otherwise it keeps real time, and a stall of the machine longer than
    :data:`BUFFERED_BLOCKS` is an xrun, at which its clock stands still. *capture_ppm* gives capture a clock of
    its own that runs so much faster than playback's. With *repeat* the source begins again after its end, and only
    the newest :data:`KEPT_SECONDS` of what is played are kept.

    :meth:`stall`, :meth:`lose_capture` and :meth:`die` make it fail as real devices do.
    """

    name = "simulated"

    def __init__(
        self,
        source: NDArray[np.float32],
        capture_rate_hz: int,
        *,
        playback_rate_hz: int = 48_000,
        block_frames: int = 128,
        seconds: float | None = None,
        freewheel: bool = False,
        playback_channels: int = 1,
        capture_ppm: float | None = None,
        repeat: bool = False,
    ) -> None:
        channels, frames = source.shape
        self.stream = StreamFormat(
            capture_rate_hz,
            playback_rate_hz,
            block_frames,
            channels,
            playback_channels,
            separate_clocks=capture_ppm is not None,
        )
        wanted = frames / capture_rate_hz if seconds is None else seconds
        self.blocks = int(np.ceil(wanted * playback_rate_hz / block_frames - 1e-9))
        most = block_frames * capture_rate_hz // playback_rate_hz + 1
        # Padded by a block so that the last one, cut by the end of the source, is heard in full.
        self._source = np.zeros((frames + most, channels), np.float32)
        self._source[:frames] = source.T
        if repeat:
            self._source[frames:] = source.T[np.arange(most) % frames]
        self._silence = np.zeros((most, channels), np.float32)
        kept_blocks = min(self.blocks, int(KEPT_SECONDS * playback_rate_hz / block_frames)) if repeat else self.blocks
        # Written to, so that it is there: a page that has to be fetched first would keep the device waiting.
        self._sink = np.full((kept_blocks * block_frames, playback_channels), 0.0, np.float32)
        self.lateness_histogram = new_cells()
        self._record = aligned_zeros(1, DEVICE)
        self.record = self._record[0]
        self._thread: NativeThread | None = None
        self._plugged = True
        record = self.record
        record["address"] = self._record.ctypes.data
        record["capture_rate_hz"] = capture_rate_hz
        record["playback_rate_hz"] = playback_rate_hz
        record["block_frames"] = block_frames
        record["capture_bytes"] = 4 * channels
        record["playback_bytes"] = 4 * playback_channels
        record["source"] = self._source.ctypes.data
        record["source_frames"] = frames if repeat else len(self._source)
        record["repeat"] = int(repeat)
        record["limit_frames"] = self.blocks * block_frames
        record["silence"] = self._silence.ctypes.data
        record["sink"] = self._sink.ctypes.data
        record["sink_frames"] = len(self._sink)
        record["separate_clocks"] = int(self.stream.separate_clocks)
        record["capture_ppm"] = capture_ppm or 0.0
        record["capture_frames"] = max(block_frames * capture_rate_hz // playback_rate_hz, 1)
        record["freewheel"] = int(freewheel)
        record["buffered_blocks"] = BUFFERED_BLOCKS
        record["lateness_histogram"] = self.lateness_histogram.ctypes.data

    def stall(self, seconds: float, at_s: float = 0.0) -> None:
        """Let the device's thread stand still once for *seconds*, now or when the device has run for *at_s*."""
        self.record["stall_at_ns"] = int(1e9 * at_s)
        self.record["stall_ns"] = int(1e9 * seconds)

    def disturb(self, *, jitter_ms: float = 0.0, burst: int = 1, buffered_blocks: int = BUFFERED_BLOCKS) -> None:
        """Let callbacks come up to *jitter_ms* late, *burst* of them together, and ride out a stall of so many blocks.

        Only what two clocks are told of the time, and in which order blocks come, is disturbed: no frame is lost.
        """
        self.record["jitter_ns"] = int(1e6 * jitter_ms)
        self.record["burst"] = burst
        self.record["buffered_blocks"] = buffered_blocks

    def lose_capture(self, seconds: float, at_s: float) -> None:
        """Let no capture block through for *seconds* from *at_s* on; their frames are lost."""
        self.record["gap_at_ns"] = int(1e9 * at_s)
        self.record["gap_ns"] = int(1e9 * seconds)

    def start(self, engine: Engine) -> None:
        callbacks = engine.callbacks
        self.record["worker"] = engine.worker.address if engine.inference else 0
        engine.set_clock(self.clock_address if self.record["freewheel"] else 0)
        self.run_callbacks(callbacks["capture"], callbacks["playback"], engine.port_address)

    @property
    def address(self) -> int:
        """Of the :data:`DEVICE` record."""
        return int(self._record.ctypes.data)

    @property
    def clock_address(self) -> int:
        """Where the device's own time lies (int64, ns): what its callbacks see in freewheel."""
        return self.address + CLOCK_OFFSET

    def run_callbacks(self, capture: int, playback: int, user: int) -> None:
        """Run any pair of ``PaStreamCallback`` addresses (0: none), as benchmarks do."""
        self.record["capture_callback"] = capture
        self.record["playback_callback"] = playback
        self.record["user"] = user
        self.record["stop"] = 0
        self.record["done"] = 0
        self._thread = NativeThread(device_thread.address, int(self._record.ctypes.data), DEVICE_PRIORITY)

    def stop(self) -> None:
        self.record["stop"] = 1
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def die(self) -> None:
        """As if unplugged: no callback comes any more, and the device cannot be opened until :meth:`come_back`."""
        self._plugged = False
        self.record["stop"] = 1

    def come_back(self) -> None:
        """Plug it in again; what it hears and plays goes on where it broke off once it is opened."""
        self._plugged = True

    def reopen(self) -> None:
        if not self._plugged:
            raise FullbandError("the simulated device is unplugged")

    def wait(self) -> None:
        """Until the source has been played out."""
        while self.active:
            time.sleep(0.01)
        self.stop()

    @property
    def active(self) -> bool:
        return self._thread is not None and not int(self.record["done"])

    @property
    def ended(self) -> bool:
        return self.played_frames + int(self.record["block_frames"]) > int(self.record["limit_frames"])

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]:
        return 0.0, 0.0

    @property
    def xruns(self) -> int:
        """Times the machine kept the device's clock waiting for longer than its buffer."""
        return int(self.record["xruns"])

    @property
    def lost_seconds(self) -> float:
        """For how long its clock stood still in all: audio that a real device would have lost."""
        return float(self.record["lost_ns"]) / 1e9

    @property
    def played_frames(self) -> int:
        """How much the speaker has been given."""
        return int(self.record["played_frames"])

    @property
    def played(self) -> NDArray[np.float32]:
        """What the speaker has been given so far [channels, frames]; not for a device that repeats."""
        return self._sink[: self.played_frames].T

    def heard(self, first: int, last: int) -> NDArray[np.float32]:
        """A copy of the played frames [first, last), also where the device repeats and they are new enough."""
        return self._sink[np.arange(first, last) % len(self._sink)].T

    def describe(self) -> str:
        stream = self.stream
        return f"simulated device, {stream.capture_rate_hz} Hz in, {stream.playback_rate_hz} Hz out"

    def __enter__(self) -> SimulatedDevice:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
