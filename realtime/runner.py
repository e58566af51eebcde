"""What the engine runs: a model, or a chain of stages. To the engine both are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .inference import Inference
from .native.ring import Ring
from .native.tally import Tally
from .onnx.contract import Contract
from .onnx.session import SessionOptions

if TYPE_CHECKING:
    from .plugins.chain import Chain
    from .plugins.spec import StageSpec


class Runner(Protocol):
    """Bound to rings, run by the engine thread, heard by playback; see :class:`~realtime.inference.Inference`."""

    contract: Contract
    address: int
    record: Any
    high: Ring
    controls: dict[str, NDArray[np.float32]]
    warm_up_ms: NDArray[np.float64]

    @property
    def stage_latencies(self) -> tuple[tuple[str, int], ...]: ...
    def set_cutoff_hz(self, cutoff_hz: float) -> None: ...
    def set_lane_cutoff_hz(self, lane: int, cutoff_hz: float) -> None: ...
    def reset_lane(self, lane: int) -> None: ...
    def set_wishes(self, level_db: float, tilt_db: float) -> None: ...
    def hold(self, delay_samples: int) -> None: ...
    def connect(self, tally: Tally, arrival: int) -> None: ...
    def catch_up(self, origin: int) -> None: ...
    def apply(self, specs: Sequence[StageSpec]) -> None: ...
    def tend(self) -> None: ...
    def describe(self) -> list[dict[str, Any]]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class ChainProgram:
    """A chain: the host's model in it, and all else that cannot change while it runs."""

    model: Path | None
    structure: tuple[Any, ...]


#: What there is to run: a model file, or a chain. None is the low band alone.
Program = Path | ChainProgram


class Rack:
    """Makes what is to be run of a model and of the chain *specs*; without stages that is the model itself."""

    def __init__(
        self, specs: Sequence[StageSpec], lanes: int, low: Ring, options: SessionOptions | None = None
    ) -> None:
        self.specs = tuple(specs)
        self._lanes = lanes
        self._low = low
        self._options = options

    def program(self, model: Path | None) -> Program | None:
        """The one with *model* in it. A chain of nothing but the host's model is that model: its high band is added."""
        if not self.specs or (len(self.specs) == 1 and self.specs[0].is_plain_network):
            return model
        return ChainProgram(model, tuple(spec.structure for spec in self.specs))

    def load(self, program: Program) -> Inference | Chain:
        """Have *program* ready to be run. Raises :class:`FullbandError` where something of it cannot be had."""
        if isinstance(program, Path):
            return Inference(program, self._lanes, self._low, self._options)
        # Only now, as it brings compiled code of its own.
        from .plugins.chain import Chain

        return Chain(self.specs, program.model, self._lanes, self._low, self._options)


def model_of(program: Program | None) -> Path | None:
    """The host's model in *program*."""
    return program.model if isinstance(program, ChainProgram) else program
