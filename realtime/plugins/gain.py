"""Louder or softer."""

from __future__ import annotations

from ..native.memory import aligned_zeros
from ..native.stages.gain import GAIN, gain_step
from .parameter import Parameter
from .stage import Stage, decibels, settle


class GainStage(Stage):
    """See :mod:`realtime.native.stages.gain`."""

    kind = "gain"
    summary = "louder or softer"
    parameters = (Parameter("gain_db", "dB", -60.0, 24.0, 0.0, "how much"),)
    step = gain_step.address

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes, aligned_zeros(1, GAIN))
        self._gain = self._ramp("ramp", 1.0)

    def _apply(self, name: str, value: float) -> None:
        self._gain["wanted"] = decibels(value)

    def reset(self) -> None:
        super().reset()
        settle(self._gain)
