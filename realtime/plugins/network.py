"""A model file as a stage: what it adds is added to its own delayed input, what replaces takes that one's place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..inference import Inference
from ..latency import StageTiming
from ..native.memory import aligned_zeros
from ..native.ring import RING_SAMPLES, Ring
from ..native.stages.network import NETWORK_STAGE, network_step
from ..onnx.session import SessionOptions
from .parameter import Parameter
from .stage import Stage, decibels, settle

_LEVEL = Parameter("level_db", "dB", -24.0, 12.0, 0.0, "of the high band, beside the level of the host")
_TILT = Parameter("tilt_db", "dB/oct", -12.0, 12.0, 0.0, "of the high band above the cutoff, likewise")


class NetworkStage(Stage):
    """See :mod:`realtime.native.stages.network`. Raises :class:`FullbandError` for a file that breaks the contract."""

    kind = "network"
    summary = "a model file under the contract: the one of 'model', or another"
    parameters = (_LEVEL, _TILT)
    step = network_step.address

    def __init__(self, lanes: int, path: Path, options: SessionOptions | None = None) -> None:
        super().__init__(lanes, aligned_zeros(1, NETWORK_STAGE))
        self.ring = Ring(lanes, RING_SAMPLES)
        self.inference = Inference(path, lanes, self.ring, options)
        contract = self.inference.contract
        self.replaces = contract.mode == "replace"
        self._host_db = (0.0, 0.0)
        self._level = self._ramp("level", 1.0)
        self.record["network"] = self.inference.address

    @property
    def timing(self) -> StageTiming:
        contract = self.inference.contract
        return StageTiming(contract.latency_samples, contract.hop_samples)

    def bind(self, frames: int, latency_samples: int) -> None:
        self.frames = frames
        self.record["latency"] = latency_samples
        self.record["wet"] = self._new((self.lanes, frames), np.float32).ctypes.data
        self._set_wishes()

    def _apply(self, name: str, value: float) -> None:
        self._set_wishes()

    def set_wishes(self, level_db: float, tilt_db: float) -> None:
        """What the host wants of the high band; it adds to what the stage's own parameters say."""
        self._host_db = (level_db, tilt_db)
        self._set_wishes()

    def _set_wishes(self) -> None:
        wishes = zip((_LEVEL, _TILT), self._host_db, strict=True)
        level_db, tilt_db = (min(max(self.values[p.name] + db, p.low), p.high) for p, db in wishes)
        in_model = "level_db" in self.inference.contract.controls
        self._level["wanted"] = 1.0 if in_model or self.replaces else decibels(level_db)
        self.inference.set_wishes(level_db, tilt_db)

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Where the voice's own band ends."""
        self.inference.set_cutoff_hz(cutoff_hz)

    def reset(self) -> None:
        super().reset()
        self.inference.reset(0)
        settle(self._level)
        self.record["good_run"] = 1 << 40
        self.record["gain"] = 1.0

    def reset_lane(self, lane: int) -> None:
        self.inference.reset_lane(lane)

    def close(self) -> None:
        self.inference.close()
