"""A chain bound to its rings: to the engine and to playback it is one network in ``replace`` mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FullbandError
from ..hopping import Hopping
from ..inference import RECOVER_HOPS, SETTLE_MS
from ..latency import plan_chain
from ..native.chain import CHAIN, run_steps_at
from ..native.continuation import FADE_SAMPLES, HISTORY_SAMPLES, WORK_DOUBLES
from ..native.histogram import Histogram, new_cells
from ..native.memory import aligned_zeros
from ..native.network import NETWORK
from ..native.ring import RING_SAMPLES, Ring
from ..native.stage import RECOVER_SAMPLES, STAGE
from ..native.tally import Tally
from ..onnx.contract import CONTROLS, RATE_HZ, Contract
from ..onnx.session import SessionOptions
from .network import NetworkStage
from .registry import make
from .spec import StageSpec
from .stage import Stage

#: Playback waits for as many samples in time before it fades a chain in again, however short its steps are.
_LEAST_RECOVER_SAMPLES = 1_536


@dataclass(frozen=True)
class Link:
    """A place in a chain: what was asked for, the stage, and what the engine thread keeps of it."""

    spec: StageSpec
    stage: Stage
    latency_samples: int
    record: Any
    histogram: Any
    memory: tuple[Any, ...]

    @property
    def address(self) -> int:
        """Of the record."""
        return int(self.memory[0].ctypes.data)


def _link(spec: StageSpec, stage: Stage, frames: int, latency_samples: int) -> Link:
    stage.bind(frames, latency_samples)
    lanes = stage.lanes
    memory = aligned_zeros(1, STAGE)
    histogram = new_cells()
    blocks = {
        "target": aligned_zeros((lanes, frames), np.float32),
        "dry": aligned_zeros((lanes, frames), np.float32),
        "history": aligned_zeros((lanes, HISTORY_SAMPLES), np.float32),
        "ending": aligned_zeros((lanes, FADE_SAMPLES), np.float32),
        "work": aligned_zeros(WORK_DOUBLES, np.float64),
        "histogram": histogram,
    }
    record = memory[0]
    for name, block in blocks.items():
        record[name] = block.ctypes.data
    record["step"], record["state"], record["input"] = stage.step, stage.state, stage.ring.address
    record["lanes"], record["latency"] = lanes, latency_samples
    record["bypass"] = int(spec.bypass)
    return Link(spec, stage, latency_samples, record, histogram, (memory, *blocks.values()))


class Chain(Hopping):
    """*specs* in a row for *lanes* channels, from the ring *low* to a ring of its own.

    *model* is the host's, for networks that name none of their own; without one these are left out. Used as an
    :class:`~realtime.inference.Inference` is. Raises :class:`FullbandError` where a plugin cannot be had.
    """

    def __init__(
        self,
        specs: Sequence[StageSpec],
        model: Path | None,
        lanes: int,
        low: Ring,
        options: SessionOptions | None = None,
    ) -> None:
        self.lanes = lanes
        self._low = low
        self.links: list[Link] = []
        stages: list[tuple[StageSpec, Stage]] = []
        try:
            for spec in specs:
                stage = make(spec.plugin, lanes, spec.model or model, options)
                if stage is not None:
                    stages.append((spec, stage))
                    for name, value in spec.values:
                        stage.set(name, value)
            plan = plan_chain([stage.timing for _, stage in stages])
        except FullbandError:
            for _, stage in stages:
                stage.close()
            raise
        self.links = [
            _link(spec, stage, plan.step_samples, latency)
            for (spec, stage), latency in zip(stages, plan.stage_samples, strict=True)
        ]
        self.step_samples = plan.step_samples
        networks = [link.stage for link in self.links if isinstance(link.stage, NetworkStage)]
        self._networks = networks
        #: Of the first network, lane by lane; memory that nobody reads where there is none.
        self.controls: dict[str, NDArray[np.float32]] = (
            networks[0].inference.controls
            if networks
            else {name: aligned_zeros((lanes, 1), np.float32) for name in CONTROLS}
        )
        contracts = [stage.inference.contract for stage in networks]
        step = plan.step_samples
        self.contract = Contract(
            name=" → ".join(link.spec.name for link in self.links),
            licence="",
            trained_on="",
            mode="replace",
            hop_samples=step,
            input_samples=step + sum(contract.input_samples for contract in contracts),
            output_samples=step,
            latency_samples=plan.total_samples,
            controls=tuple(dict.fromkeys(name for contract in contracts for name in contract.controls)),
            states=(),
        )
        self.high = Ring(lanes, RING_SAMPLES)
        self._tally = Tally()
        self._memory = [aligned_zeros((lanes, step), np.float32) for _ in range(2)]
        self._table = np.array([link.address for link in self.links] or [0], np.int64)
        self._chain = aligned_zeros(1, CHAIN)
        self._chain["stages"], self._chain["count"] = self._table.ctypes.data, len(self.links)
        self._chain["block"], self._chain["silence"] = (block.ctypes.data for block in self._memory)
        self._record = aligned_zeros(1, NETWORK)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self._bind()
        self._warm_up()
        for link in self.links:
            link.histogram[:] = 0

    def _bind(self) -> None:
        record, contract = self.record, self.contract
        record["address"] = self.address
        record["low"], record["high"] = self._low.address, self.high.address
        record["chain"] = self._chain.ctypes.data
        record["lanes"], record["hop"] = self.lanes, contract.hop_samples
        record["input_samples"], record["output_samples"] = contract.input_samples, contract.output_samples
        record["latency"] = contract.latency_samples
        record["replace"] = 1
        record["recover_samples"] = max(RECOVER_HOPS * contract.hop_samples, _LEAST_RECOVER_SAMPLES)
        record["settle_samples"] = int(SETTLE_MS * RATE_HZ / 1000) + contract.latency_samples
        record["tally"] = self._tally.address
        self.hold(0)
        self.reset()

    def _run(self, most: int) -> int:
        return int(run_steps_at(self.address, most))

    def reset(self, position: int = 0) -> None:
        """A fresh stream that begins at low-band *position*, a multiple of the step. Only while no thread runs it."""
        for link in self.links:
            link.stage.reset()
            record = link.record
            for name in ("history_position", "tail", "faults"):
                record[name] = 0
            record["sound_run"] = 1 << 40
            record["heard"] = 0.0 if record["bypass"] else 1.0
            record["tail_room"] = 0.0
        record = self.record
        record["next_end"] = position + self.step_samples
        # Before the beginning of a stream there is silence, and stages know it.
        record["settled_index"] = position + int(record["settle_samples"]) if position else -(1 << 40)
        record["changed_index"] = -(1 << 40)
        self.high.data[:] = 0.0
        self.high.record["write"] = position

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell every network where the voice's own band ends."""
        for stage in self._networks:
            stage.set_cutoff_hz(cutoff_hz)

    def set_lane_cutoff_hz(self, lane: int, cutoff_hz: float) -> None:
        """The same for one of many voices."""
        for stage in self._networks:
            stage.inference.set_lane_cutoff_hz(lane, cutoff_hz)

    def reset_lane(self, lane: int) -> None:
        """Another voice begins in *lane*, after silence; the others go on. Only while no thread runs it."""
        for link in self.links:
            link.stage.reset_lane(lane)

    def set_wishes(self, level_db: float, tilt_db: float) -> None:
        """The listener's level and tilt of the high band, to every network that adds one."""
        for stage in self._networks:
            stage.set_wishes(level_db, tilt_db)

    def apply(self, specs: Sequence[StageSpec]) -> None:
        """Have the values and bypasses of *specs*, which are of the same structure, without a click."""
        wanted = {spec.name: spec for spec in specs}
        for link in self.links:
            spec = wanted[link.spec.name]
            link.record["bypass"] = int(spec.bypass)
            given = dict(spec.values)
            for parameter in link.stage.parameters:
                value = given.get(parameter.name, parameter.default)
                if value != link.stage.values[parameter.name]:
                    link.stage.set(parameter.name, value)

    def tend(self) -> None:
        """Make ready what the next change of a value needs, while audio runs."""
        for link in self.links:
            link.stage.tend()

    @property
    def stage_latencies(self) -> tuple[tuple[str, int], ...]:
        """The step and every stage that has a latency, with its samples."""
        late = [(link.spec.name, link.latency_samples) for link in self.links if link.latency_samples]
        return (("chain step", self.step_samples), *late)

    def describe(self) -> list[dict[str, Any]]:
        """Every stage: what it is, how it is set, and what it costs; ready for JSON."""
        return [self._describe(link) for link in self.links]

    def _describe(self, link: Link) -> dict[str, Any]:
        load = Histogram.of(link.histogram)
        mean_ms = load.sum_ms / load.count if load.count else 0.0
        return {
            "name": link.spec.name,
            "plugin": link.spec.plugin,
            "latency_ms": round(1000.0 * link.latency_samples / RATE_HZ, 4),
            "bypass": bool(link.record["bypass"]),
            "faults": int(link.record["faults"]),
            "failing": int(link.record["sound_run"]) <= RECOVER_SAMPLES,
            "load": round(mean_ms * RATE_HZ / self.step_samples / 1000.0, 6),
            "mean_us": round(1000.0 * mean_ms, 2),
            "p99_us": round(1000.0 * load.percentile_ms(99), 2),
            "parameters": [
                {**parameter.as_dict(), "value": link.stage.values[parameter.name]}
                for parameter in link.stage.parameters
            ],
            "meters": {name: round(value, 3) for name, value in link.stage.meters().items()},
        }

    def close(self) -> None:
        """Release all plugins. No thread touches them any more."""
        for link in self.links:
            link.stage.close()
        self.links = []
