"""Takes away what is below a voice: rumble, breath, the hum of the mains."""

from __future__ import annotations

import numpy as np

from ..native.memory import aligned_zeros
from ..native.stages.high_pass import HIGH_PASS, high_pass_step
from .parameter import Parameter
from .stage import Stage, settle


class HighPassStage(Stage):
    """See :mod:`realtime.native.stages.high_pass`."""

    kind = "high-pass"
    summary = "takes away what is below a voice, by 12 dB an octave"
    parameters = (Parameter("frequency_hz", "Hz", 10.0, 2_000.0, 80.0, "where it is 3 dB down", logarithmic=True),)
    step = high_pass_step.address

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes, aligned_zeros(1, HIGH_PASS))
        self._frequency = self._ramp("ramp", self.values["frequency_hz"])
        self._first, self._second = self._new(lanes, np.float64), self._new(lanes, np.float64)
        self.record["first"] = self._first.ctypes.data
        self.record["second"] = self._second.ctypes.data

    def _apply(self, name: str, value: float) -> None:
        self._frequency["wanted"] = value

    def reset(self) -> None:
        super().reset()
        settle(self._frequency)
        self._first[:] = self._second[:] = 0.0
