"""The records that the callbacks work on, bound to rings, resamplers and memory for devices of one format."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernel import half_taps
from .native.callbacks import PORT
from .native.capture import ARRIVAL_OFFSET, CAPTURE
from .native.capture import STRIDE_FRAMES as CAPTURE_STRIDE_FRAMES
from .native.continuation import FADE_SAMPLES, HISTORY_SAMPLES, WORK_DOUBLES
from .native.drift import DRIFT, PROGRESS
from .native.limiter import Limiter
from .native.memory import aligned_zeros
from .native.playback import CURSOR_OFFSET, HEARD_OFFSET, PLAYBACK, SOURCE_OFFSET
from .native.playback import STRIDE_FRAMES as PLAYBACK_STRIDE_FRAMES
from .native.resampler import Resampler
from .native.ring import Ring
from .onnx.contract import RATE_HZ
from .stream import StreamFormat
from .wishes import Wishes

#: A capture device that is silent for so many blocks has stopped; until then it is taken to be on its way.
_LONGEST_WAIT_BLOCKS = 4

#: What comes from a device that is back begins along a ramp of this length.
_FADE_IN_SECONDS = 0.01


class Binding:
    """One capture and one playback record for *lanes* streams, at addresses that stay, whatever the devices.

    :meth:`plan` takes a format, :meth:`bind` makes the records serve it. Both only while no callback runs.
    """

    def __init__(self, stream: StreamFormat, lanes: int, low: Ring, mix: Ring, wishes: Wishes) -> None:
        self._lanes = lanes
        self._low = low
        self._mix = mix
        self._wishes = wishes
        self._memory: list[NDArray[Any]] = []
        self._capture = aligned_zeros(1, CAPTURE)
        self._playback = aligned_zeros(1, PLAYBACK)
        self._port = aligned_zeros(1, PORT)
        self._progress = aligned_zeros(1, PROGRESS)
        self._drift = aligned_zeros(1, DRIFT)
        self._work = aligned_zeros(WORK_DOUBLES, np.float64)
        self._capture_work = aligned_zeros(WORK_DOUBLES, np.float64)
        self.limiter = Limiter(lanes)
        self.capture = self._capture[0]
        self.playback = self._playback[0]
        self.port_address = int(self._port.ctypes.data)
        self._port["capture"] = self._capture.ctypes.data
        self._port["playback"] = self._playback.ctypes.data
        self.capture_resampler: Resampler | None = None
        self.playback_resampler: Resampler | None = None
        self.plan(stream)

    @property
    def arrival_address(self) -> int:
        """Where the time of the newest captured block is written."""
        return int(self._capture.ctypes.data) + ARRIVAL_OFFSET

    @property
    def playback_addresses(self) -> tuple[int, int, int]:
        """Of what the engine thread follows in the playback record: the network wanted, the one heard, the cursor."""
        address = int(self._playback.ctypes.data)
        return address + SOURCE_OFFSET, address + HEARD_OFFSET, address + CURSOR_OFFSET

    @property
    def half_taps(self) -> tuple[int, int]:
        """Of the resamplers of capture and playback; 0 where there is none."""
        captured, played = self.capture_resampler, self.playback_resampler
        return captured.half_taps if captured else 0, played.half_taps if played else 0

    @property
    def drift_ppm(self) -> float:
        """How much faster the capture clock runs than the playback clock, as steered; 0 on one clock."""
        return float(self._drift["ppm"][0])

    def set_clock(self, address: int) -> None:
        """Take the time of callbacks from *address* (int64, ns) instead of the machine's clock (0)."""
        self._port["clock"] = address

    def plan(self, stream: StreamFormat) -> None:
        """Make the resamplers for devices of the format *stream*; the delay that :meth:`bind` takes depends on them."""
        self._stream = stream
        self.capture_resampler = self.playback_resampler = None
        if stream.capture_rate_hz != RATE_HZ:
            self.capture_resampler = Resampler(stream.capture_rate_hz, RATE_HZ, self._lanes, CAPTURE_STRIDE_FRAMES)
        if stream.playback_rate_hz != RATE_HZ or stream.separate_clocks:
            self.playback_resampler = Resampler(RATE_HZ, stream.playback_rate_hz, self._lanes, self._most_played)

    def bind(self, delay_samples: int) -> None:
        """Have the callbacks serve the planned format from now on, *delay_samples* behind what comes in."""
        in_use, self._memory = self._memory, []
        self._bind_capture()
        self._bind_playback(delay_samples)
        del in_use  # until here the callbacks were bound to it

    def fade_in(self) -> None:
        """Let what is captured from now on begin softly."""
        frames = round(_FADE_IN_SECONDS * self._stream.capture_rate_hz)
        self.capture["fade_frames"] = self.capture["fade_left"] = frames

    @property
    def _most_played(self) -> int:
        """Samples at 48 kHz that a stride of playback may need: some more on its first call, and when steered."""
        stride = PLAYBACK_STRIDE_FRAMES * RATE_HZ / self._stream.playback_rate_hz
        return math.ceil(1.01 * stride) + 2 * half_taps(RATE_HZ, self._stream.playback_rate_hz)

    def _floats(self, samples: int) -> int:
        memory = aligned_zeros((self._lanes, samples), np.float32)
        self._memory.append(memory)
        return int(memory.ctypes.data)

    def _bind_capture(self) -> None:
        record = self.capture
        resampler = self.capture_resampler
        most = math.ceil((CAPTURE_STRIDE_FRAMES + 64) * RATE_HZ / self._stream.capture_rate_hz)
        record["address"] = self._capture.ctypes.data
        record["low"] = self._low.address
        record["lanes"] = self._lanes
        record["channels"] = self._stream.capture_channels
        record["resampler"] = resampler.address if resampler else 0
        record["frames"] = self._floats(CAPTURE_STRIDE_FRAMES)
        record["resampled"] = self._floats(most)
        record["resampled_capacity"] = most
        record["history"] = self._floats(HISTORY_SAMPLES)
        record["ending"] = self._floats(FADE_SAMPLES)
        record["work"] = self._capture_work.ctypes.data
        record["join_frames"] = min(round(FADE_SAMPLES * self._stream.capture_rate_hz / RATE_HZ), FADE_SAMPLES)
        record["history_position"] = record["broke"] = record["join_left"] = 0
        record["progress"] = self._progress.ctypes.data
        self._progress["address"] = self._progress.ctypes.data

    def _bind_playback(self, delay_samples: int) -> None:
        record = self.playback
        resampler = self.playback_resampler
        most = self._most_played
        record["address"] = self._playback.ctypes.data
        record["low"] = self._low.address
        record["mix"] = self._mix.address
        record["lanes"] = self._lanes
        record["channels"] = self._stream.playback_channels
        record["resampler"] = resampler.address if resampler else 0
        record["dry"] = self._floats(most)
        record["wet"] = self._floats(most)
        record["device"] = self._floats(PLAYBACK_STRIDE_FRAMES)
        record["capacity"] = most
        record["dry_history"] = self._floats(HISTORY_SAMPLES)
        record["wet_history"] = self._floats(HISTORY_SAMPLES)
        record["dry_ending"] = self._floats(FADE_SAMPLES)
        record["wet_ending"] = self._floats(FADE_SAMPLES)
        record["work"] = self._work.ctypes.data
        record["history_position"] = record["dry_tail"] = record["wet_tail"] = 0
        record["gain"], record["level"], record["duck"] = self._wishes.addresses
        record["limiters"] = self.limiter.address
        self.limiter.reset()
        record["dry_gain"] = 1.0
        record["wet_gain"] = float(record["enabled"])
        record["good_run"] = 1 << 40  # the beginning of a stream is nothing to recover from
        record["first"] = self._low.written
        record["starved"] = 0
        record["drift"] = record["progress"] = 0
        if self._stream.separate_clocks:
            self._steer()
        block = math.ceil(self._stream.block_samples)
        record["delay_asked"] = record["delay_set"] = delay_samples
        record["cursor"] = self._low.written - delay_samples
        record["delay"] = delay_samples + block
        record["max_excess"] = 2 * block + RATE_HZ // 100

    def _steer(self) -> None:
        """Have playback follow the capture clock, from the beginning."""
        self._drift[:] = 0
        self._progress["sequence"] = 0
        self.playback["drift"] = self._drift.ctypes.data
        self.playback["progress"] = self._progress.ctypes.data
        self._drift["capture_step"] = RATE_HZ / self._stream.capture_rate_hz
        self._drift["origin"] = self._low.written - int(self.capture["device_frames"]) * self._drift["capture_step"]
        self._drift["longest_wait"] = _LONGEST_WAIT_BLOCKS * self._stream.block_samples + RATE_HZ // 100
