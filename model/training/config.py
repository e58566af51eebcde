"""What a training run is told, checked when it is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from realtime.settings.file import Settings, Several, read_toml

from ..networks.core import CoreConfig
from ..networks.transforms import Framing


class NetworkSection(Settings):
    """Size of the network."""

    channels: int = Field(default=128, ge=8)
    dilations: Several[int] = (1, 2, 4)
    gain_bands: int = Field(default=24, ge=8, le=64)
    pulsed: bool = Field(default=True, description="noise that follows the voice's pulses, for 16 MMAC/s more")
    hop_samples: int = Field(default=192, ge=48, le=480)
    window_samples: int = Field(default=384, ge=96, le=960, description="also the latency; at most two hops")

    def core(self) -> CoreConfig:
        """What the network is built from."""
        values = self.model_dump(exclude={"hop_samples", "window_samples"})
        return CoreConfig(**values, framing=Framing(self.hop_samples, self.window_samples))


class DataSection(Settings):
    """How speech is mixed."""

    lossy_floor_hz: float = Field(default=17_000.0, description="lossy clips that end lower are left out")
    lossy_margin_hz: float = Field(default=1_000.0, description="a codec's edge is kept out of the loss")
    pcm_boost: float = Field(default=5.0, gt=0.0, description="how much PCM weighs over lossy sources")
    corpus_cap: float = Field(default=0.25, gt=0.0, le=1.0, description="largest share of one corpus")
    segment_ms: float = Field(default=2_000.0, ge=100.0, description="length of a segment")
    batch: int = Field(default=10, ge=1)


class LossSection(Settings):
    """What is minimised."""

    windows: Several[int] = (2048, 512, 128)
    pause_weight: float = Field(default=0.0, ge=0.0, description="of too loud pauses, beside all other errors")
    distance_weight: float = Field(default=0.5, ge=0.0, description="of the log-spectral distance itself")
    level_weight: float = Field(default=1.0, ge=0.0, description="of the level of all that is added, and at the cutoff")
    modulation_weight: float = Field(default=1.0, ge=0.0, description="of the high band's modulation at the pitch")


class AdversarySection(Settings):
    """The second stage, over the last *share* of the budget; the spectral loss goes on beside it."""

    share: float = Field(default=0.0, ge=0.0, lt=1.0, description="0 leaves the second stage out")
    windows: Several[int] = (2048, 1024, 512, 256)
    channels: int = Field(default=16, ge=4)
    learning_rate: float = Field(default=1e-4, gt=0.0)
    spectral_weight: float = Field(default=0.6, ge=0.0)
    matching_weight: float = Field(default=1.0, ge=0.0)
    adversarial_weight: float = Field(default=1.0, ge=0.0)


class RunSection(Settings):
    """How long and how fast. The learning rate falls linearly to its end; one of the two budgets is due."""

    steps: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0.0)
    warmup_steps: int = Field(default=50, ge=0)
    learning_rate: float = Field(default=2e-3, gt=0.0)
    final_rate: float = Field(default=4e-5, gt=0.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    gradient_limit: float = Field(default=1.0, gt=0.0)
    averaging: float = Field(default=0.995, ge=0.0, lt=1.0, description="decay of the averaged weights")
    checkpoint_minutes: float = Field(default=3.0, gt=0.0)
    seed: int = 0

    @model_validator(mode="after")
    def _has_budget(self) -> RunSection:
        if self.steps is None and self.minutes is None:
            raise ValueError("a run needs a budget: steps or minutes")
        return self


class TrainConfig(Settings):
    """All of it, as `configs/train/*.toml` writes it."""

    network: NetworkSection = NetworkSection()
    data: DataSection = DataSection()
    loss: LossSection = LossSection()
    adversary: AdversarySection = AdversarySection()
    run: RunSection = RunSection(minutes=60.0)

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Read TOML; unknown keys and values out of range are refused with the first one named."""
        return read_toml(cls, path)
