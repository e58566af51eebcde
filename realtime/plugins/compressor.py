"""Evens out how loud a voice is."""

from __future__ import annotations

import math

from ..native.memory import aligned_zeros
from ..native.stages.compressor import COMPRESSOR, compressor_step
from ..onnx.contract import RATE_HZ
from .parameter import Parameter
from .stage import Stage, decibels, settle


class CompressorStage(Stage):
    """See :mod:`realtime.native.stages.compressor`."""

    kind = "compressor"
    summary = "makes softer what is above a threshold, by a ratio: evens out how loud a voice is"
    parameters = (
        Parameter("threshold_db", "dBFS", -60.0, 0.0, -24.0, "what is louder is made softer"),
        Parameter("ratio", ":1", 1.0, 20.0, 3.0, "dB that come in for each that goes out", logarithmic=True),
        Parameter("knee_db", "dB", 0.0, 24.0, 6.0, "width of the bend around the threshold"),
        Parameter("attack_ms", "ms", 0.5, 200.0, 10.0, "how quickly it takes hold", logarithmic=True),
        Parameter("release_ms", "ms", 5.0, 5_000.0, 200.0, "how quickly it lets go", logarithmic=True),
        Parameter("rms_ms", "ms", 0.0, 500.0, 10.0, "over which the level is the mean power; 0: peaks"),
        Parameter("makeup_db", "dB", -24.0, 24.0, 0.0, "gain of all that comes out"),
    )
    step = compressor_step.address

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes, aligned_zeros(1, COMPRESSOR))
        ramped = {name: name.partition("_")[0] for name in ("threshold_db", "knee_db", "makeup_db", "attack_ms")}
        ramped["ratio"] = "slope"
        self._ramps = {name: self._ramp(field, 0.0) for name, field in ramped.items()}

    def _apply(self, name: str, value: float) -> None:
        record = self.record
        if name == "ratio":
            self._ramps[name]["wanted"] = 1.0 - 1.0 / value
        elif name == "makeup_db":
            self._ramps[name]["wanted"] = decibels(value)
        elif name == "attack_ms":
            self._ramps[name]["wanted"] = _part(value)
        elif name in self._ramps:
            self._ramps[name]["wanted"] = value
        elif name == "rms_ms":
            record["average"] = _part(value) if value > 0.0 else 1.0
        else:
            record["release"] = _part(value)

    def reset(self) -> None:
        super().reset()
        for ramp in self._ramps.values():
            settle(ramp)
        for field in ("mean", "held", "reduction"):
            self.record[field] = 0.0

    def meters(self) -> dict[str, float]:
        return {"gain_db": -float(self.record["reduction"])}


def _part(milliseconds: float) -> float:
    """What is gone in a sample of a way that takes so long to its e-th part."""
    return 1.0 - math.exp(-1.0 / (1e-3 * milliseconds * RATE_HZ))
