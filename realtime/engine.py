"""The engine: rings, resamplers, the network and its thread, put together for one pair of streams."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import in_range
from .inference import Inference
from .kernel import half_taps
from .latency import BlockPlan, LatencyBudget, least_delay_samples
from .native.callbacks import PORT, capture_callback, duplex_callback, playback_callback
from .native.capture import ARRIVAL_OFFSET, CAPTURE
from .native.capture import STRIDE_FRAMES as CAPTURE_STRIDE_FRAMES
from .native.drift import DRIFT, PROGRESS
from .native.memory import aligned_zeros
from .native.network import network_thread
from .native.playback import FADE_SAMPLES, INDEX_OFFSET, PLAYBACK
from .native.playback import STRIDE_FRAMES as PLAYBACK_STRIDE_FRAMES
from .native.ramp import Ramp
from .native.resampler import Resampler
from .native.ring import Ring
from .native.system import NativeThread, Semaphore
from .onnx.contract import RATE_HZ
from .onnx.session import SessionOptions
from .statistics import Statistics, collect

#: Long enough for a recorder or a meter to be away for two seconds.
RING_SAMPLES = 1 << 17

#: Hops that have to be in time before the high band fades in again after a dropout.
RECOVER_HOPS = 8

#: A capture device that is silent for so many blocks has stopped; until then it is taken to be on its way.
_LONGEST_WAIT_BLOCKS = 4

#: What the output gain can be set to. Louder than this is a mistake.
GAIN_RANGE_DB = (-60.0, 24.0)

#: What comes from a device that is back begins along a ramp of this length.
_FADE_IN_SECONDS = 0.01

#: Silence between two devices passes in pieces that the network can keep up with; it gets so long for each.
_SILENCE_SAMPLES = 960
_CATCH_UP_SECONDS = 0.05

#: How far the delay may be from its target while a drift of 300 ppm is being learnt, with room to spare.
_STEERING_SAMPLES = 12

#: Below the priorities of PipeWire (88, 83 for clients through rtkit 20) and JACK (70 and less), so that
#: the network never keeps the audio server from its own deadline.
ENGINE_PRIORITY = 15


@dataclass(frozen=True)
class StreamFormat:
    """What the devices at both ends run at. *block_frames* counts playback frames per callback."""

    capture_rate_hz: int
    playback_rate_hz: int
    block_frames: int
    capture_channels: int = 1
    playback_channels: int = 1
    separate_clocks: bool = False

    @property
    def block_samples(self) -> float:
        """A playback block in samples of the 48 kHz timeline."""
        return self.block_frames * RATE_HZ / self.playback_rate_hz


@dataclass(frozen=True)
class EngineSettings:
    """How the engine runs. *cutoff_hz* is the bandwidth of the voice; by default half the capture rate."""

    model: Path | None
    lanes: int = 1
    guard_ms: float = 0.0
    cutoff_hz: float | None = None
    realtime_priority: int = ENGINE_PRIORITY
    session: SessionOptions | None = None


class Engine:
    """Capture, network and playback around three rings, for devices of a given :class:`StreamFormat`.

    Without a model the voice passes unchanged. The callbacks of this engine are served by
    ``port_address`` as their user data. Nothing runs until :meth:`start`, or by :meth:`run_hops`.
    """

    def __init__(self, stream: StreamFormat, settings: EngineSettings) -> None:
        self.stream = stream
        self.settings = settings
        self.guard_ms = settings.guard_ms
        lanes = settings.lanes
        self.low = Ring(lanes, RING_SAMPLES)
        self.high = Ring(lanes, RING_SAMPLES)
        self.mix = Ring(lanes, RING_SAMPLES)
        self.semaphore = Semaphore()
        self.inference = (
            Inference(settings.model, lanes, self.low, self.high, settings.session) if settings.model else None
        )
        self.capture_resampler: Resampler | None = None
        self.playback_resampler: Resampler | None = None
        self._make_resamplers()
        self._memory: list[NDArray[Any]] = []
        self._capture = aligned_zeros(1, CAPTURE)
        self._playback = aligned_zeros(1, PLAYBACK)
        self._port = aligned_zeros(1, PORT)
        self._progress = aligned_zeros(1, PROGRESS)
        self._drift = aligned_zeros(1, DRIFT)
        self._gain = Ramp()
        self.gain_db = 0.0
        self.muted = False
        self.capture = self._capture[0]
        self.playback = self._playback[0]
        self.port_address = int(self._port.ctypes.data)
        self._port["capture"] = self._capture.ctypes.data
        self._port["playback"] = self._playback.ctypes.data
        self._thread: NativeThread | None = None
        #: Whether the engine thread was given its real-time priority.
        self.realtime_granted = False
        self.playback["enabled"] = 1
        self._bind_capture()
        self._bind_playback()
        self._bind_network()
        self.set_cutoff_hz(settings.cutoff_hz or stream.capture_rate_hz / 2)
        self.latency = self._budget()

    def _make_resamplers(self) -> None:
        stream, lanes = self.stream, self.settings.lanes
        self.capture_resampler = self.playback_resampler = None
        if stream.capture_rate_hz != RATE_HZ:
            self.capture_resampler = Resampler(stream.capture_rate_hz, RATE_HZ, lanes, CAPTURE_STRIDE_FRAMES)
        if stream.playback_rate_hz != RATE_HZ or stream.separate_clocks:
            self.playback_resampler = Resampler(RATE_HZ, stream.playback_rate_hz, lanes, self._most_played)

    @property
    def _most_played(self) -> int:
        """Samples at 48 kHz that a stride of playback may need: some more on its first call, and when steered."""
        stride = PLAYBACK_STRIDE_FRAMES * RATE_HZ / self.stream.playback_rate_hz
        return math.ceil(1.01 * stride) + 2 * half_taps(RATE_HZ, self.stream.playback_rate_hz)

    def _floats(self, samples: int) -> int:
        memory = aligned_zeros((self.settings.lanes, samples), np.float32)
        self._memory.append(memory)
        return int(memory.ctypes.data)

    def _bind_capture(self) -> None:
        record = self.capture
        resampler = self.capture_resampler
        most = math.ceil((CAPTURE_STRIDE_FRAMES + 64) * RATE_HZ / self.stream.capture_rate_hz)
        record["address"] = self._capture.ctypes.data
        record["low"] = self.low.address
        record["lanes"] = self.settings.lanes
        record["channels"] = self.stream.capture_channels
        record["resampler"] = resampler.address if resampler else 0
        record["frames"] = self._floats(CAPTURE_STRIDE_FRAMES)
        record["resampled"] = self._floats(most)
        record["resampled_capacity"] = most
        record["progress"] = self._progress.ctypes.data
        self._progress["address"] = self._progress.ctypes.data

    def _bind_playback(self) -> None:
        record = self.playback
        resampler = self.playback_resampler
        most = self._most_played
        record["address"] = self._playback.ctypes.data
        record["low"] = self.low.address
        record["mix"] = self.mix.address
        record["lanes"] = self.settings.lanes
        record["channels"] = self.stream.playback_channels
        record["resampler"] = resampler.address if resampler else 0
        record["dry"] = self._floats(most)
        record["wet"] = self._floats(most)
        record["device"] = self._floats(PLAYBACK_STRIDE_FRAMES)
        record["capacity"] = most
        record["dry_history"] = self._floats(FADE_SAMPLES)
        record["wet_history"] = self._floats(FADE_SAMPLES)
        record["history_position"] = record["dry_tail"] = record["wet_tail"] = 0
        record["gain"] = self._gain.address
        record["dry_gain"] = 1.0
        record["wet_gain"] = float(record["enabled"])
        record["first"] = self.low.written
        record["starved"] = 0
        record["moves_done"] = record["moves"]
        record["drift"] = record["progress"] = 0
        if self.stream.separate_clocks:
            self._drift[:] = 0
            self._progress["sequence"] = 0
            record["drift"] = self._drift.ctypes.data
            record["progress"] = self._progress.ctypes.data
            self._drift["capture_step"] = RATE_HZ / self.stream.capture_rate_hz
            self._drift["origin"] = self.low.written - int(self.capture["device_frames"]) * self._drift["capture_step"]
            self._drift["longest_wait"] = _LONGEST_WAIT_BLOCKS * self.stream.block_samples + RATE_HZ // 100
        self._set_delay()

    def _bind_network(self) -> None:
        if self.inference is None:
            return
        network = self.inference.record
        network["arrival"] = int(self._capture.ctypes.data) + ARRIVAL_OFFSET
        network["playback_index"] = int(self._playback.ctypes.data) + INDEX_OFFSET
        network["semaphore"] = self.semaphore.address
        contract = self.inference.contract
        record = self.playback
        record["high"] = self.high.address
        record["network"] = self.inference.address
        record["replace"] = int(contract.mode == "replace")
        record["recover_samples"] = RECOVER_HOPS * contract.hop_samples
        record["good_run"] = record["recover_samples"] + 1
        record["index"] = record["cursor"] + contract.latency_samples - contract.hop_samples

    def _delays(self) -> tuple[int, int, int, int, int]:
        """Samples of delay: capture resampler, network, block, guard, playback resampler."""
        stream = self.stream
        contract = self.inference.contract if self.inference else None
        resampler_in = self.capture_resampler.delay_out_samples if self.capture_resampler else 0
        resampler_out = self.playback_resampler.half_taps if self.playback_resampler else 0
        plan = BlockPlan(
            capture_rate_hz=stream.capture_rate_hz,
            playback_rate_hz=stream.playback_rate_hz,
            block_frames=stream.block_frames,
            capture_half_taps=self.capture_resampler.half_taps if self.capture_resampler else 0,
            playback_half_taps=resampler_out,
            hop_samples=contract.hop_samples if contract else 0,
            latency_samples=contract.latency_samples if contract else 0,
        )
        network = plan.latency_samples
        adaptation = least_delay_samples(plan) - resampler_in - network - resampler_out
        if stream.separate_clocks:
            # The two callbacks come at any distance from each other, and steering is never quite still.
            adaptation += math.ceil(stream.block_samples) + _STEERING_SAMPLES
        guard = round(self.guard_ms * RATE_HZ / 1000)
        return resampler_in, network, adaptation, guard, resampler_out

    def _set_delay(self) -> None:
        delay = sum(self._delays())
        block = math.ceil(self.stream.block_samples)
        self._delay_asked = delay
        self.playback["cursor"] = self.low.written - delay
        self.playback["delay"] = delay + block
        self.playback["max_excess"] = 2 * block + RATE_HZ // 100

    def _budget(self) -> LatencyBudget:
        resampler_in, network, block, guard, resampler_out = (1000.0 * d / RATE_HZ for d in self._delays())
        return LatencyBudget(0.0, resampler_in, network, block, guard, resampler_out, 0.0)

    @property
    def delay_samples(self) -> int:
        """Host latency in 48 kHz samples; exact on one clock, nominal on two."""
        return sum(self._delays())

    def set_clock(self, address: int) -> None:
        """Take the time of callbacks from *address* (int64, ns) instead of the machine's clock (0)."""
        self._port["clock"] = address

    @property
    def drift_ppm(self) -> float:
        """How much faster the capture clock runs than the playback clock, as steered; 0 on one clock."""
        return float(self._drift["ppm"][0])

    def set_enabled(self, enabled: bool) -> None:
        """Fade the network's signal in or out. Takes effect at the next block, without a click."""
        self.playback["enabled"] = int(enabled)

    def set_gain_db(self, gain_db: float) -> None:
        """Play louder or softer by *gain_db* (:data:`GAIN_RANGE_DB`), from the next block on, along a ramp of 10 ms."""
        self.gain_db = in_range("gain_db", gain_db, GAIN_RANGE_DB)
        self._set_gain()

    def set_muted(self, muted: bool) -> None:
        """Play silence, or the voice again, along a ramp of 10 ms; the gain is kept."""
        self.muted = muted
        self._set_gain()

    def _set_gain(self) -> None:
        self._gain.move_to(0.0 if self.muted else 10.0 ** (self.gain_db / 20.0))

    @property
    def faded_out(self) -> bool:
        """Whether a mute is complete: what is handed to the device is silence. What it holds is still to be heard."""
        return self.muted and self._gain.value == 0.0

    def set_guard_ms(self, guard_ms: float) -> None:
        """Hold another guard from the next block on, by a crossfade."""
        self.guard_ms = guard_ms
        self._move()

    def set_block_frames(self, block_frames: int) -> None:
        """Plan the delay for the blocks that the device really brings."""
        self.stream = replace(self.stream, block_frames=block_frames)
        self._move()

    def rebind(self, stream: StreamFormat) -> None:
        """Serve devices of the format *stream* from the next callback on; until :meth:`rebind` is over, none runs.

        Rings, model, taps, counters and settings go on. What the devices before have captured is not played any
        more: it lies behind silence. What the new ones capture fades in.
        """
        self.stream = stream
        in_use, self._memory = self._memory, []
        self._make_resamplers()
        contract = self.inference.contract if self.inference else None
        silence = self.delay_samples
        if contract is not None and self.inference is not None:
            # The network has then nothing else in its windows, and its hops lie as they were planned to.
            silence += contract.input_samples + contract.latency_samples
            silence += (int(self.inference.record["next_end"]) - self.low.written - silence) % contract.hop_samples
        self.pass_silence(silence)
        self._bind_capture()
        self._bind_playback()
        self._bind_network()
        self.capture["fade_frames"] = self.capture["fade_left"] = round(_FADE_IN_SECONDS * stream.capture_rate_hz)
        self.set_cutoff_hz(self.settings.cutoff_hz or stream.capture_rate_hz / 2)
        self.latency = self._budget()
        del in_use  # until here the callbacks were bound to it

    def pass_silence(self, samples: int) -> None:
        """While no callback runs: let time go on, silent, for the network and for all who follow the rings."""
        while samples > 0:
            block = np.zeros((self.settings.lanes, min(samples, _SILENCE_SAMPLES)), np.float32)
            self.low.append(block)
            self.mix.append(block)
            self.semaphore.post()
            self._await_network()
            samples -= block.shape[1]

    def _await_network(self) -> None:
        """Until the network has run all its hops; not for long, should it hang."""
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while self._thread is not None and self.inference is not None and time.monotonic() < deadline:
            if int(self.inference.record["next_end"]) > self.low.written:
                return
            time.sleep(0.001)

    def _move(self) -> None:
        """Ask playback for the delay of the present plan; what cannot be asked yet is asked with the next change."""
        playback = self.playback
        self.latency = self._budget()
        move = self.delay_samples - self._delay_asked
        if move == 0 or int(playback["moves"]) != int(playback["moves_done"]):
            return
        self._delay_asked += move
        playback["move_samples"] = move
        playback["moves"] += 1

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell the network where the voice's own band ends."""
        if self.inference is not None:
            self.inference.cutoff_hz[:] = cutoff_hz

    @property
    def cutoff_hz(self) -> float:
        """What the network is told of the voice's bandwidth."""
        return float(self.inference.cutoff_hz[0, 0]) if self.inference else self.stream.capture_rate_hz / 2

    @property
    def callbacks(self) -> dict[str, int]:
        """Addresses of the compiled stream callbacks: ``capture``, ``playback`` and ``duplex``."""
        return {
            "capture": capture_callback.address,
            "playback": playback_callback.address,
            "duplex": duplex_callback.address,
        }

    def start(self) -> None:
        """Start the engine thread; from now on a captured block wakes it."""
        if self.inference is None or self._thread is not None:
            return
        self.inference.record["stop"] = 0
        self.capture["semaphore"] = self.semaphore.address
        self._thread = NativeThread(network_thread.address, self.inference.address, self.settings.realtime_priority)
        self.realtime_granted = self._thread.realtime

    def run_hops(self) -> None:
        """Without a thread: run the hops that are complete, here and now."""
        if self.inference is not None:
            self.inference.run_hops()

    def statistics(self) -> Statistics:
        """A snapshot of all counters."""
        return collect(self)

    def stop(self) -> None:
        """Stop the engine thread. The devices have been stopped before."""
        if self._thread is None or self.inference is None:
            return
        self.inference.record["stop"] = 1
        self.semaphore.post()
        self._thread.join()
        self._thread = None
        self.capture["semaphore"] = 0

    def close(self) -> None:
        """Stop, and release the model."""
        self.stop()
        if self.inference is not None:
            self.inference.close()
            self.inference = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
