"""The one model of where delay comes from: computed here, shown by ``live``, checked by measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx.contract import RATE_HZ, Contract
from .stream import StreamFormat


@dataclass(frozen=True)
class LatencyBudget:
    """Every part of the delay from microphone to speaker, in milliseconds.

    *capture_device* and *playback_device* are the devices' own buffers as their driver reports them, None where
    it does not; the sums then lack them. The other parts are exact.
    """

    capture_device_ms: float | None
    capture_resampler_ms: float
    network_ms: float
    block_ms: float
    guard_ms: float
    playback_resampler_ms: float
    playback_device_ms: float | None
    #: Where *network_ms* comes from when it is that of a chain: name and milliseconds of each part that has any.
    stages: tuple[tuple[str, float], ...] = ()

    @property
    def algorithmic_ms(self) -> float:
        """What any machine, however fast, would have: resamplers, windows and hop."""
        return self.capture_resampler_ms + self.network_ms + self.playback_resampler_ms

    @property
    def host_ms(self) -> float:
        """From a frame handed over by the capture device to the same frame handed to the playback device."""
        return self.algorithmic_ms + self.block_ms + self.guard_ms

    @property
    def total_ms(self) -> float:
        """Host and both devices."""
        return self.host_ms + (self.capture_device_ms or 0.0) + (self.playback_device_ms or 0.0)

    def parts(self) -> dict[str, float | None]:
        """Name and milliseconds of each part, in the order of the signal; a chain's stages where a network would be."""
        parts: dict[str, float | None] = {}
        for field in fields(self):
            if field.name == "network_ms" and self.stages:
                parts |= dict(self.stages)
            elif field.name != "stages":
                parts[field.name.removesuffix("_ms").replace("_", " ")] = getattr(self, field.name)
        return parts

    def as_dict(self) -> dict[str, Any]:
        """All parts and sums, for reports."""
        sums = {
            "algorithmic_ms": self.algorithmic_ms,
            "host_ms": self.host_ms,
            "total_ms": self.total_ms,
        }
        values = {**asdict(self), **sums}
        stages = values.pop("stages")
        told: dict[str, Any] = {key: None if value is None else round(value, 4) for key, value in values.items()}
        if stages:
            told["stages_ms"] = {name: round(ms, 4) for name, ms in stages}
        return told


@dataclass(frozen=True)
class BlockPlan:
    """How blocks and hops meet: all that decides the least delay between capture and playback.

    Rates in Hz, the rest in device frames (*block_frames*, of the playback device) or in samples at 48 kHz.
    *capture_half_taps* and *playback_half_taps* are one-sided kernel lengths of the resamplers, in samples of
    their input; 0 where there is none.
    """

    capture_rate_hz: int
    playback_rate_hz: int
    block_frames: int
    capture_half_taps: int
    playback_half_taps: int
    hop_samples: int
    latency_samples: int


@dataclass(frozen=True)
class StageTiming:
    """What a stage of a chain needs, in samples at 48 kHz.

    Without a hop it gives a sample for every sample, *latency_samples* late. With one it is a network's (see
    :class:`Contract`): from a sample entering to its output complete, hop included.
    """

    latency_samples: int
    hop_samples: int

    def within(self, step_samples: int) -> int:
        """By how much the stage is late when it is given *step_samples* at a time.

        A network has then run the hops that are complete; up to the hop less the greatest common divisor is waiting.
        """
        return self.latency_samples - (math.gcd(step_samples, self.hop_samples) if self.hop_samples else 0)


@dataclass(frozen=True)
class ChainPlan:
    """How a chain is run: so many samples at a time, with which each stage is so late."""

    step_samples: int
    stage_samples: tuple[int, ...]

    @property
    def total_samples(self) -> int:
        """From a sample entering the chain to its output complete, the step included."""
        return self.step_samples + sum(self.stage_samples)


#: Steps of a chain that has no network: few enough to be short, enough to be worth a call.
_STEP_SAMPLES = 64


def plan_chain(stages: Sequence[StageTiming]) -> ChainPlan:
    """The plan with the least total for *stages*; of several the one with the fewest calls."""
    hops = {stage.hop_samples for stage in stages if stage.hop_samples}
    steps = {math.gcd(a, b) for a in hops for b in hops} or {_STEP_SAMPLES}
    plans = [ChainPlan(step, tuple(stage.within(step) for stage in stages)) for step in steps]
    return min(plans, key=lambda plan: (plan.total_samples, -plan.step_samples))


#: Blocks after which any pair of rates up to 96 kHz, any block and any hop meet in the same way again.
_PERIOD_BLOCKS = 30_000


def least_delay_samples(plan: BlockPlan) -> int:
    """The least delay, in 48 kHz samples, with which no playback callback ever finds the network's signal missing.

    A callback needs all of its block when it begins; by then the network has run the hops completed by the
    callback before. Found by walking through a common period of blocks and hops.
    """
    blocks = np.arange(_PERIOD_BLOCKS, dtype=np.int64)
    captured = blocks * plan.block_frames * plan.capture_rate_hz // plan.playback_rate_hz
    available = _resampled(captured, plan.capture_rate_hz, RATE_HZ, plan.capture_half_taps)
    if plan.hop_samples == 0:  # no network: the low band of this very callback will do
        ready = np.append(available[1:], available[-1])
    else:
        ready = available // plan.hop_samples * plan.hop_samples - (plan.latency_samples - plan.hop_samples)
    played = (blocks + 1) * plan.block_frames
    wanted = ((played - 1) * RATE_HZ // plan.playback_rate_hz) + plan.playback_half_taps + 1
    return int((wanted - ready)[:-1].max())


def _resampled(frames: NDArray[np.int64], rate_in_hz: int, rate_out_hz: int, half_taps: int) -> NDArray[np.int64]:
    """Samples that a resampler has given after *frames*."""
    return np.maximum(-(-(frames - half_taps) * rate_out_hz // rate_in_hz), 0)


@dataclass(frozen=True)
class Delays:
    """The host's delay part by part, in samples at 48 kHz; *block* is what blocks, hops and clocks need to meet."""

    capture_resampler: int
    network: int
    block: int
    guard: int
    playback_resampler: int

    @property
    def total(self) -> int:
        """From a frame handed over by the capture device to the same frame handed to the playback device."""
        return self.capture_resampler + self.network + self.block + self.guard + self.playback_resampler

    @property
    def budget(self) -> LatencyBudget:
        """The same in milliseconds; what the devices add is not known here."""
        capture_resampler, network, block, guard, playback_resampler = (
            1000.0 * samples / RATE_HZ for samples in astuple(self)
        )
        return LatencyBudget(0.0, capture_resampler, network, block, guard, playback_resampler, 0.0)


#: How far the delay may be from its target while a drift of 300 ppm is being learnt, with room to spare.
_STEERING_SAMPLES = 12


def plan_delays(
    stream: StreamFormat,
    capture_half_taps: int,
    playback_half_taps: int,
    active: Contract | None,
    contracts: Sequence[Contract],
    guard: int,
) -> Delays:
    """The delays for devices of the format *stream* with the model *active* (None: the low band alone).

    The total suits every one of *contracts*, so that a change between them moves nothing. *guard* is in samples, the
    rest as in :class:`BlockPlan`.
    """

    def least(contract: Contract | None) -> int:
        plan = BlockPlan(
            capture_rate_hz=stream.capture_rate_hz,
            playback_rate_hz=stream.playback_rate_hz,
            block_frames=stream.block_frames,
            capture_half_taps=capture_half_taps,
            playback_half_taps=playback_half_taps,
            hop_samples=contract.hop_samples if contract else 0,
            latency_samples=contract.latency_samples if contract else 0,
        )
        return least_delay_samples(plan)

    resampler = math.ceil(capture_half_taps * RATE_HZ / stream.capture_rate_hz - 1e-9)
    network = active.latency_samples if active else 0
    block = max(least(contract) for contract in [*contracts, active]) - resampler - network - playback_half_taps
    if stream.separate_clocks:
        # The two callbacks come at any distance from each other, and steering is never quite still.
        block += math.ceil(stream.block_samples) + _STEERING_SAMPLES
    return Delays(resampler, network, block, guard, playback_half_taps)
