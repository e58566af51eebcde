"""The engine: rings, resamplers, the network and its thread, put together for one pair of streams."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .binding import Binding
from .errors import FullbandError
from .latency import Delays, LatencyBudget, plan_delays
from .models import Models
from .native.callbacks import capture_callback, duplex_callback, playback_callback
from .native.ring import RING_SAMPLES, Ring
from .native.system import NativeThread, Semaphore
from .native.tally import Tally
from .native.worker import DENORMALS_FLUSHED, Worker, serve_at, worker_thread
from .onnx.contract import RATE_HZ
from .onnx.session import SessionOptions
from .runner import Program, Rack, Runner, model_of
from .statistics import Statistics, collect
from .stream import StreamFormat as StreamFormat
from .wishes import Wishes

if TYPE_CHECKING:
    from .plugins.spec import StageSpec

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
    *chain* holds the stages, in order; without any the model is run by itself.
    """

    model: Path | None
    lanes: int = 1
    guard_ms: float = 0.0
    cutoff_hz: float | None = None
    realtime_priority: int = ENGINE_PRIORITY
    session: SessionOptions | None = None
    fallback_model: Path | None = None
    chain: tuple[StageSpec, ...] = ()


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
        self._cutoff_hz = settings.cutoff_hz or stream.capture_rate_hz / 2
        #: Gain, mute, level and tilt, as the listener wishes them.
        self.wishes = Wishes(self._cutoff_hz)
        self.binding = Binding(stream, lanes, self.low, self.mix, self.wishes)
        self.capture = self.binding.capture
        self.playback = self.binding.playback
        self.port_address = self.binding.port_address
        self._thread: NativeThread | None = None
        #: Whether the engine thread was given its real-time priority.
        self.realtime_granted = False
        self._control = threading.RLock()
        self.worker = Worker(self.low.address, self.semaphore.address, *self.binding.playback_addresses)
        self._rack = Rack(settings.chain, lanes, self.low, settings.session)
        fallback = settings.fallback_model
        self.models = Models(
            self._rack.load,
            self.worker,
            self._networks_in_playback,
            self._rack.program(settings.model),
            self._rack.program(fallback) if fallback is not None else None,
        )
        self.playback["enabled"] = 1
        self.playback["source"] = self.playback["network"] = self.models.address
        self.playback["expected"] = int(self.models.model is not None)
        self.binding.bind(self.delay_samples)
        self._connect()
        self.latency = self._budget(self._delays())

    def _networks_in_playback(self) -> tuple[int, int]:
        return int(self.playback["source"]), int(self.playback["network"])

    @property
    def inference(self) -> Runner | None:
        """The model or chain in use; None for the low band alone. Its counters are the engine's: :attr:`tally`."""
        return self.models.active

    def _connect(self) -> None:
        """Tell the model in use what it has to know of this engine."""
        inference = self.models.active
        if inference is None:
            return
        inference.set_cutoff_hz(self._cutoff_hz)
        self.wishes.follow(inference)
        inference.hold(self.delay_samples)
        inference.connect(self.tally, self.binding.arrival_address)

    def switch_model(self, path: Path | None) -> None:
        """Have another model, or none, while audio runs: the old high band fades out and the new one in.

        The low band goes on untouched, unless the new model needs another delay than was planned. Returns when it is
        heard. Raises :class:`FullbandError` where *path* breaks the contract; the old one then goes on.
        """
        with self._control:
            self._switch(self._rack.program(path))

    @property
    def model_path(self) -> Path | None:
        """The host's model that is in use, by itself or in a chain."""
        return model_of(self.models.path)

    def drop_to_low_band(self) -> None:
        """Leave out all that is run, model and chain, for a machine that cannot keep up."""
        with self._control:
            self._switch(None)

    @property
    def chain(self) -> tuple[StageSpec, ...]:
        """The stages as they are set."""
        return self._rack.specs

    def set_chain(self, specs: tuple[StageSpec, ...]) -> None:
        """Have another chain while audio runs. Where only values and bypasses differ they are followed without a click.

        Otherwise the new one takes over as another model does. Raises :class:`FullbandError` where a plugin cannot
        be had; the old chain then goes on.
        """
        with self._control:
            before, model = self._rack.specs, model_of(self.models.path or self.models.model)
            running = self._rack.program(model)
            self._rack.specs = specs
            if self._rack.program(model) == running:
                for runner in self.models.loaded:
                    runner.apply(specs)
                return
            fallback = self.settings.fallback_model
            try:
                if fallback is not None:
                    self.models.set_fallback(self._rack.program(fallback))
                self._switch(self._rack.program(model))
            except FullbandError:
                self._rack.specs = before
                if fallback is not None:
                    self.models.set_fallback(self._rack.program(fallback))
                raise

    def tend(self) -> None:
        """Have stages ready for their next change; to be called some ten times a second while audio runs."""
        with self._control:
            for runner in self.models.loaded:
                runner.tend()

    def describe_chain(self) -> list[dict[str, Any]]:
        """Every stage with its parameters, latency and load, ready for JSON; empty while none is run."""
        active = self.models.active
        return active.describe() if active is not None else []

    def _switch(self, program: Program | None) -> None:
        if program == self.models.path:
            return
        incoming = self.models.get(program)
        self.models.choose(program, incoming)
        self.playback["expected"] = int(self.models.model is not None and program is not None)
        longer = self.delay_samples > int(self.playback["delay_asked"])
        if longer:
            self._move()
        if incoming is not None:
            incoming.set_cutoff_hz(self._cutoff_hz)
            incoming.set_wishes(*self.wishes.brightness)
            incoming.catch_up(int(self.playback["first"]))
            self._connect()
        else:
            self.wishes.follow(None)
        self.models.hand_over()
        if self._thread is not None:
            self.models.wait(self.semaphore.post)
        self._move()

    def _budget(self, delays: Delays) -> LatencyBudget:
        active = self.models.active
        parts = active.stage_latencies if active is not None else ()
        stages = tuple((name, 1000.0 * samples / RATE_HZ) for name, samples in parts)
        return replace(delays.budget, stages=stages)

    def set_fallback(self, path: Path | None) -> None:
        """Keep another model, or none, ready for worse times, while audio runs; the delay suits it, too.

        Raises :class:`FullbandError` where *path* breaks the contract; all then stays as it was.
        """
        with self._control:
            self.models.set_fallback(self._rack.program(path) if path is not None else None)
            self.settings = replace(self.settings, fallback_model=path)
            self._move()

    def _delays(self) -> Delays:
        active = self.models.active.contract if self.models.active else None
        guard = round(self.guard_ms * RATE_HZ / 1000)
        return plan_delays(self.stream, *self.binding.half_taps, active, self.models.contracts, guard)

    @property
    def delay_samples(self) -> int:
        """Host latency in 48 kHz samples; exact on one clock, nominal on two."""
        return self._delays().total

    def set_clock(self, address: int) -> None:
        """Take the time of callbacks from *address* (int64, ns) instead of the machine's clock (0)."""
        self.binding.set_clock(address)

    @property
    def drift_ppm(self) -> float:
        """How much faster the capture clock runs than the playback clock, as steered; 0 on one clock."""
        return self.binding.drift_ppm

    def set_enabled(self, enabled: bool) -> None:
        """Fade the network's signal in or out. Takes effect at the next block, without a click."""
        self.playback["enabled"] = int(enabled)

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
            self.binding.plan(stream)
            inference, silence = self.inference, self.delay_samples
            if inference is not None:
                # The network has then nothing else in its windows, and its hops lie as they were planned to.
                contract = inference.contract
                silence += contract.input_samples + contract.latency_samples
                silence += (int(inference.record["next_end"]) - self.low.written - silence) % contract.hop_samples
            self.pass_silence(silence)
            self.binding.bind(self.delay_samples)
            self._connect()
            self.binding.fade_in()
            self.set_cutoff_hz(self.settings.cutoff_hz or stream.capture_rate_hz / 2)
            self.latency = self._budget(self._delays())

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
        self.latency = self._budget(delays)
        if self.models.active is not None:
            self.models.active.hold(delays.total)
        self.playback["delay_asked"] = delays.total

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell the network where the voice's own band ends."""
        with self._control:
            self._cutoff_hz = cutoff_hz
            self.wishes.set_cutoff_hz(cutoff_hz)
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
