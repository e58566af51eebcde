"""The engine: rings, resamplers, the network and its thread, put together for one pair of streams."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import in_range
from .inference import Inference
from .kernel import half_taps
from .latency import Delays, plan_delays
from .models import Models
from .native.callbacks import PORT, capture_callback, duplex_callback, playback_callback
from .native.capture import ARRIVAL_OFFSET, CAPTURE
from .native.capture import STRIDE_FRAMES as CAPTURE_STRIDE_FRAMES
from .native.drift import DRIFT, PROGRESS
from .native.limiter import Limiter
from .native.memory import aligned_zeros
from .native.playback import CURSOR_OFFSET, HEARD_OFFSET, HISTORY_SAMPLES, PLAYBACK, SOURCE_OFFSET
from .native.playback import STRIDE_FRAMES as PLAYBACK_STRIDE_FRAMES
from .native.ramp import Ramp
from .native.resampler import Resampler
from .native.ring import RING_SAMPLES, Ring
from .native.system import NativeThread, Semaphore
from .native.tally import Tally
from .native.worker import DENORMALS_FLUSHED, Worker, serve_at, worker_thread
from .onnx.contract import RATE_HZ
from .onnx.session import SessionOptions
from .statistics import Statistics, collect
from .stream import StreamFormat as StreamFormat

#: A capture device that is silent for so many blocks has stopped; until then it is taken to be on its way.
_LONGEST_WAIT_BLOCKS = 4

#: What the output gain can be set to. Louder than this is a mistake.
GAIN_RANGE_DB = (-60.0, 24.0)

#: The high band's own level, in dB, and its tilt, in dB for every octave above the cutoff.
HIGH_LEVEL_RANGE_DB = (-24.0, 12.0)
HIGH_TILT_RANGE_DB = (-12.0, 12.0)

#: What comes from a device that is back begins along a ramp of this length.
_FADE_IN_SECONDS = 0.01

#: Silence between two devices passes in pieces that the network can keep up with; it gets so long for each.
_SILENCE_SAMPLES = 960
_CATCH_UP_SECONDS = 0.05

#: Below the priorities of PipeWire (88, 83 for clients through rtkit 20) and JACK (70 and less), so that
#: the network never keeps the audio server from its own deadline.
ENGINE_PRIORITY = 15


@dataclass(frozen=True)
class EngineSettings:
    """How the engine runs. *cutoff_hz* is the bandwidth of the voice; by default half the capture rate.

    *fallback_model* is kept ready beside *model*; the delay suits both, so that a change between them moves nothing.
    """

    model: Path | None
    lanes: int = 1
    guard_ms: float = 0.0
    cutoff_hz: float | None = None
    realtime_priority: int = ENGINE_PRIORITY
    session: SessionOptions | None = None
    fallback_model: Path | None = None


class Engine:
    """Capture, network and playback around three rings, for devices of a given :class:`StreamFormat`.

    Without a model the voice passes unchanged. The callbacks of this engine are served by
    ``port_address`` as their user data. Nothing runs until :meth:`start`, or by :meth:`run_hops`. What can be set
    can be set from any thread of the control plane, while audio runs, and is never heard as a click.
    """

    def __init__(self, stream: StreamFormat, settings: EngineSettings) -> None:
        self.stream = stream
        self.settings = settings
        self.guard_ms = settings.guard_ms
        lanes = settings.lanes
        self.low = Ring(lanes, RING_SAMPLES)
        self.mix = Ring(lanes, RING_SAMPLES)
        self.tally = Tally()
        self.semaphore = Semaphore()
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
        self._level = Ramp()
        self._limiter = Limiter(lanes)
        self.gain_db = 0.0
        self.high_level_db = 0.0
        self.high_tilt_db = 0.0
        self.muted = False
        self.capture = self._capture[0]
        self.playback = self._playback[0]
        self.port_address = int(self._port.ctypes.data)
        self._port["capture"] = self._capture.ctypes.data
        self._port["playback"] = self._playback.ctypes.data
        self._thread: NativeThread | None = None
        #: Whether the engine thread was given its real-time priority.
        self.realtime_granted = False
        self._control = threading.RLock()
        self._cutoff_hz = settings.cutoff_hz or stream.capture_rate_hz / 2
        address = int(self._playback.ctypes.data)
        self.worker = Worker(
            self.low.address,
            self.semaphore.address,
            address + SOURCE_OFFSET,
            address + HEARD_OFFSET,
            address + CURSOR_OFFSET,
        )
        self.models = Models(
            self._load, self.worker, self._networks_in_playback, settings.model, settings.fallback_model
        )
        self.playback["enabled"] = 1
        self.playback["source"] = self.playback["network"] = self.models.address
        self.playback["expected"] = int(self.models.model is not None)
        self._bind_capture()
        self._bind_playback()
        self._connect()
        self.latency = self._delays().budget

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
        record["dry_history"] = self._floats(HISTORY_SAMPLES)
        record["wet_history"] = self._floats(HISTORY_SAMPLES)
        record["history_position"] = record["dry_tail"] = record["wet_tail"] = 0
        record["gain"] = self._gain.address
        record["level"] = self._level.address
        record["limiters"] = self._limiter.address
        self._limiter.reset()
        record["dry_gain"] = 1.0
        record["wet_gain"] = float(record["enabled"])
        record["good_run"] = 1 << 40  # the beginning of a stream is nothing to recover from
        record["first"] = self.low.written
        record["starved"] = 0
        record["drift"] = record["progress"] = 0
        if self.stream.separate_clocks:
            self._drift[:] = 0
            self._progress["sequence"] = 0
            record["drift"] = self._drift.ctypes.data
            record["progress"] = self._progress.ctypes.data
            self._drift["capture_step"] = RATE_HZ / self.stream.capture_rate_hz
            self._drift["origin"] = self.low.written - int(self.capture["device_frames"]) * self._drift["capture_step"]
            self._drift["longest_wait"] = _LONGEST_WAIT_BLOCKS * self.stream.block_samples + RATE_HZ // 100
        delay = self.delay_samples
        block = math.ceil(self.stream.block_samples)
        record["delay_asked"] = record["delay_set"] = delay
        record["cursor"] = self.low.written - delay
        record["delay"] = delay + block
        record["max_excess"] = 2 * block + RATE_HZ // 100

    def _load(self, path: Path) -> Inference:
        return Inference(path, self.settings.lanes, self.low, self.settings.session)

    def _networks_in_playback(self) -> tuple[int, int]:
        return int(self.playback["source"]), int(self.playback["network"])

    @property
    def inference(self) -> Inference | None:
        """The model in use; None for the low band alone. Its counters are the engine's: :attr:`tally`."""
        return self.models.active

    def _connect(self) -> None:
        """Tell the model in use what it has to know of this engine."""
        inference = self.models.active
        if inference is None:
            return
        inference.set_cutoff_hz(self._cutoff_hz)
        self._set_wishes()
        inference.hold(self.delay_samples)
        inference.connect(self.tally, int(self._capture.ctypes.data) + ARRIVAL_OFFSET)

    def switch_model(self, path: Path | None) -> None:
        """Have another model, or none, while audio runs: the old high band fades out and the new one in.

        The low band goes on untouched, unless the new model needs another delay than was planned. Returns when it is
        heard. Raises :class:`FullbandError` where *path* breaks the contract; the old one then goes on.
        """
        with self._control:
            if path == self.models.path:
                return
            incoming = self.models.get(path)
            self.models.choose(path, incoming)
            self.playback["expected"] = int(self.models.model is not None and path is not None)
            longer = self.delay_samples > int(self.playback["delay_asked"])
            if longer:
                self._move()
            if incoming is not None:
                incoming.set_cutoff_hz(self._cutoff_hz)
                incoming.set_wishes(self.high_level_db, self.high_tilt_db)
                incoming.catch_up(int(self.playback["first"]))
                self._connect()
            self.models.hand_over()
            if self._thread is not None:
                self.models.wait(self.semaphore.post)
            self._move()

    def _delays(self) -> Delays:
        half_taps_in = self.capture_resampler.half_taps if self.capture_resampler else 0
        half_taps_out = self.playback_resampler.half_taps if self.playback_resampler else 0
        active = self.models.active.contract if self.models.active else None
        guard = round(self.guard_ms * RATE_HZ / 1000)
        return plan_delays(self.stream, half_taps_in, half_taps_out, active, self.models.contracts, guard)

    @property
    def delay_samples(self) -> int:
        """Host latency in 48 kHz samples; exact on one clock, nominal on two."""
        return self._delays().total

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

    def set_high_level_db(self, level_db: float) -> None:
        """Make the high band louder or softer (:data:`HIGH_LEVEL_RANGE_DB`), against the voice as it came."""
        self.high_level_db = in_range("high_level_db", level_db, HIGH_LEVEL_RANGE_DB)
        self._set_wishes()

    def set_high_tilt_db(self, tilt_db: float) -> None:
        """Tilt the high band, per octave above the cutoff (:data:`HIGH_TILT_RANGE_DB`), with a model that can."""
        self.high_tilt_db = in_range("high_tilt_db", tilt_db, HIGH_TILT_RANGE_DB)
        self._set_wishes()

    @property
    def takes_tilt(self) -> bool:
        """Whether the model in use can tilt its high band."""
        return self.models.active is not None and "tilt_db" in self.models.active.contract.controls

    def _set_wishes(self) -> None:
        """Level and tilt to the model in use; a model that takes no level has it applied to what it gives."""
        with self._control:
            active = self.models.active
            in_model = active is not None and "level_db" in active.contract.controls
            whole = active is not None and active.contract.mode == "replace"
            self._level.move_to(1.0 if in_model or whole else 10.0 ** (self.high_level_db / 20.0))
            if active is not None:
                active.set_wishes(self.high_level_db, self.high_tilt_db)

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
        with self._control:
            self.guard_ms = guard_ms
            self._move()

    def set_block_frames(self, block_frames: int) -> None:
        """Plan the delay for the blocks that the device really brings."""
        with self._control:
            self.stream = replace(self.stream, block_frames=block_frames)
            self._move()

    def rebind(self, stream: StreamFormat) -> None:
        """Serve devices of the format *stream* from the next callback on; until :meth:`rebind` is over, none runs.

        Rings, model, taps, counters and settings go on. What the devices before have captured is not played any
        more: it lies behind silence. What the new ones capture fades in.
        """
        with self._control:
            self.stream = stream
            in_use, self._memory = self._memory, []
            self._make_resamplers()
            inference, silence = self.inference, self.delay_samples
            if inference is not None:
                # The network has then nothing else in its windows, and its hops lie as they were planned to.
                contract = inference.contract
                silence += contract.input_samples + contract.latency_samples
                silence += (int(inference.record["next_end"]) - self.low.written - silence) % contract.hop_samples
            self.pass_silence(silence)
            self._bind_capture()
            self._bind_playback()
            self._connect()
            self.capture["fade_frames"] = self.capture["fade_left"] = round(_FADE_IN_SECONDS * stream.capture_rate_hz)
            self.set_cutoff_hz(self.settings.cutoff_hz or stream.capture_rate_hz / 2)
            self.latency = self._delays().budget
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
        while self._thread is not None and time.monotonic() < deadline:
            if int(self.worker.record["served"]) >= self.low.written:
                return
            time.sleep(0.001)

    def _move(self) -> None:
        """Ask playback for the delay of the present plan."""
        delays = self._delays()
        self.latency = delays.budget
        if self.models.active is not None:
            self.models.active.hold(delays.total)
        self.playback["delay_asked"] = delays.total

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell the network where the voice's own band ends."""
        with self._control:
            self._cutoff_hz = cutoff_hz
            if self.models.active is not None:
                self.models.active.set_cutoff_hz(cutoff_hz)

    @property
    def cutoff_hz(self) -> float:
        """What the network is told of the voice's bandwidth."""
        return self._cutoff_hz

    def take_least_margin(self) -> int | None:
        """By how many samples the latest hop since the last call was in time; None when none was run."""
        return self.tally.take_least_margin()

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
        if self._thread is not None:
            return
        self.worker.record["stop"] = 0
        self.capture["semaphore"] = self.semaphore.address
        self._thread = NativeThread(worker_thread.address, self.worker.address, self.settings.realtime_priority)
        self.realtime_granted = self._thread.realtime

    @property
    def denormals_flushed(self) -> bool | None:
        """What the engine thread found when it began and computed with a denormal number; None before."""
        found = int(self.worker.record["denormals"])
        return found == DENORMALS_FLUSHED if found else None

    def run_hops(self) -> None:
        """Without a thread: run the hops that are complete, here and now."""
        serve_at(self.worker.address)

    def statistics(self) -> Statistics:
        """A snapshot of all counters."""
        return collect(self)

    def stop(self) -> None:
        """Stop the engine thread. The devices have been stopped before."""
        if self._thread is None:
            return
        self.worker.record["stop"] = 1
        self.semaphore.post()
        self._thread.join()
        self._thread = None
        self.capture["semaphore"] = 0

    def close(self) -> None:
        """Stop, and release the models."""
        self.stop()
        self.models.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
