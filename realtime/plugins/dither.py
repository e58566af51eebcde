"""Rounds to a number of bits, for what comes after in so many."""

from __future__ import annotations

from ..native.memory import aligned_zeros
from ..native.stages.dither import DITHER, dither_step
from .parameter import Parameter
from .stage import Stage, settle

_SEED = 1


class DitherStage(Stage):
    """See :mod:`realtime.native.stages.dither`."""

    kind = "dither"
    summary = "rounds to a number of bits, with noise of triangular density"
    parameters = (Parameter("bits", "bit", 4.0, 24.0, 16.0, "of a sample", kind="integer"),)
    step = dither_step.address

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes, aligned_zeros(1, DITHER))
        self._step = self._ramp("ramp", 1.0)

    def _apply(self, name: str, value: float) -> None:
        self._step["wanted"] = 2.0 ** (1.0 - value)

    def reset(self) -> None:
        super().reset()
        settle(self._step)
        self.record["seed"] = _SEED
