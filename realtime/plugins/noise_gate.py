"""Makes pauses quiet."""

from __future__ import annotations

import math

from ..native.memory import aligned_zeros
from ..native.stages.noise_gate import NOISE_GATE, noise_gate_step
from ..onnx.contract import RATE_HZ
from .parameter import Parameter
from .stage import Stage, decibels


class NoiseGateStage(Stage):
    """See :mod:`realtime.native.stages.noise_gate`."""

    kind = "noise-gate"
    summary = "makes softer what stays below a threshold"
    parameters = (
        Parameter("threshold_db", "dBFS", -90.0, 0.0, -50.0, "peaks above it open the gate; 6 dB less keeps it so"),
        Parameter("depth_db", "dB", -90.0, 0.0, -24.0, "gain while it is closed"),
        Parameter("attack_ms", "ms", 0.5, 100.0, 2.0, "how quickly it opens", logarithmic=True),
        Parameter("hold_ms", "ms", 0.0, 2_000.0, 120.0, "how long it stays open after the last peak"),
        Parameter("release_ms", "ms", 5.0, 4_000.0, 120.0, "how quickly it closes", logarithmic=True),
    )
    step = noise_gate_step.address

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes, aligned_zeros(1, NOISE_GATE))

    def _apply(self, name: str, value: float) -> None:
        record = self.record
        if name == "threshold_db":
            record["threshold"] = decibels(value)
        elif name == "depth_db":
            record["floor"] = decibels(value)
        elif name == "hold_ms":
            record["hold_samples"] = round(1e-3 * value * RATE_HZ)
        else:
            record[name.removesuffix("_ms")] = 1.0 - math.exp(-1.0 / (1e-3 * value * RATE_HZ))

    def reset(self) -> None:
        super().reset()
        self.record["hold_left"] = 0
        self.record["peak"] = 0.0
        # Closed: what a stream begins with is not known to be a voice.
        self.record["gain"] = self.record["target"] = self.record["floor"]

    def meters(self) -> dict[str, float]:
        return {"gain_db": 20.0 * math.log10(max(float(self.record["gain"]), 1e-9))}
