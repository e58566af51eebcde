"""Keeps peaks below a ceiling."""

from __future__ import annotations

import math

import numpy as np

from ..latency import StageTiming
from ..native.memory import aligned_zeros
from ..native.stages.limiter import LOOK_AHEAD_LIMITER, LOOK_AHEAD_SAMPLES, limiter_step
from ..onnx.contract import RATE_HZ
from .parameter import Parameter
from .stage import Stage, decibels, settle


class LimiterStage(Stage):
    """See :mod:`realtime.native.stages.limiter`."""

    kind = "limiter"
    summary = "keeps peaks below a ceiling; looks 1.5 ms ahead"
    parameters = (
        Parameter("ceiling_db", "dBFS", -40.0, 0.0, -1.0, "no sample is louder"),
        Parameter("release_ms", "ms", 5.0, 2_000.0, 80.0, "how quickly it lets go", logarithmic=True),
    )
    step = limiter_step.address

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes, aligned_zeros(1, LOOK_AHEAD_LIMITER))
        self._ceiling = self._ramp("ramp", 1.0)
        self._delayed = self._new((lanes, LOOK_AHEAD_SAMPLES), np.float32)
        self._allowed = self._new(LOOK_AHEAD_SAMPLES, np.float64)
        self._held = self._new(LOOK_AHEAD_SAMPLES, np.float64)
        for name, memory in (("delayed", self._delayed), ("allowed", self._allowed), ("held", self._held)):
            self.record[name] = memory.ctypes.data

    @property
    def timing(self) -> StageTiming:
        return StageTiming(LOOK_AHEAD_SAMPLES, 0)

    def _apply(self, name: str, value: float) -> None:
        if name == "ceiling_db":
            self._ceiling["wanted"] = decibels(value)
        else:
            self.record["release"] = 1.0 - math.exp(-1.0 / (1e-3 * value * RATE_HZ))

    def reset(self) -> None:
        super().reset()
        settle(self._ceiling)
        self._delayed[:] = 0.0
        self._allowed[:] = self._held[:] = 1.0
        self.record["position"] = 0

    def meters(self) -> dict[str, float]:
        return {"gain_db": 20.0 * math.log10(max(float(self._held.min()), 1e-9))}
