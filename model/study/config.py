"""What the study is told: data, network and training of one run, and how much of it a preset does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from realtime.errors import FullbandError
from realtime.paths import CONFIGS
from realtime.settings.file import Settings, Several, read_toml

from ..training.config import RunSection
from .unet import UNetConfig

#: Filters of 3, 4 and 5 blocks; the way up mirrors the way down.
FILTERS = {3: (64, 128, 256), 4: (64, 128, 128, 256), 5: (64, 64, 128, 128, 256)}

SAMPLE_RATE_HZ = 48_000


class PairsSection(Settings):
    """How recordings become pairs of chunks. The defaults are the study's."""

    chunk: int = Field(default=4096, ge=64, description="samples of a chunk at 48 kHz")
    overlap: int = Field(default=2048, ge=0, description="samples that neighbours share")
    factor: Literal[2, 4, 6] = Field(default=4, description="between the rates")
    filtered: bool = Field(default=False, description="band-limit before samples are dropped")
    clips: int | None = Field(default=1000, ge=1, description="so many recordings; all if left out")
    reach_hz: float = Field(default=0.0, ge=0.0, description="recordings known to end lower are left out")
    seed: int = Field(default=0, description="of the order of the recordings")

    @model_validator(mode="after")
    def _fits(self) -> PairsSection:
        if self.overlap >= self.chunk:
            raise ValueError(f"an overlap of {self.overlap} is no less than the chunk of {self.chunk}")
        for name, value in (("chunk", self.chunk), ("step", self.chunk - self.overlap)):
            if value % self.factor:
                raise ValueError(f"a {name} of {value} samples is no multiple of the factor {self.factor}")
        return self

    @property
    def step(self) -> int:
        """Samples from one chunk to the next."""
        return self.chunk - self.overlap

    @property
    def low_rate_hz(self) -> int:
        """Rate of the input."""
        return SAMPLE_RATE_HZ // self.factor


Split = Literal["chunk", "shuffled", "speaker"]


class NetworkSection(Settings):
    """One of the study's networks."""

    blocks: Literal[3, 4, 5] = 5
    filters: Several[int] | None = Field(default=None, description="going down; instead of the study's")
    bottleneck: int = Field(default=256, ge=2)
    last: int = Field(default=64, ge=2, description="of the last up-block before the tail")
    tail: Literal["plain", "inception"] = "plain"
    dropout: Literal["all", "not-last-two", "none"] = "all"
    batch_norm: bool = True
    skips: bool = True
    residual: bool = True
    shortcut: bool = Field(default=False, description="the interpolated input is added to the output too")
    width: float = Field(default=1.0, gt=0.0, le=1.0, description="share of every layer's filters")
    causal: bool = False
    lookahead: int = Field(default=0, ge=0, le=64, description="input samples a causal network waits for")

    @model_validator(mode="after")
    def _can_interpolate(self) -> NetworkSection:
        if self.shortcut and self.causal and self.lookahead < 4:
            raise ValueError("a causal shortcut interpolates from what the network waits for: lookahead >= 4")
        return self

    def unet(self, factor: int) -> UNetConfig:
        """What the network is built from."""
        down = self.filters or FILTERS[self.blocks]
        if len(down) != self.blocks:
            raise FullbandError(f"network.filters names {len(down)} blocks, network.blocks {self.blocks}", 2)
        config = UNetConfig(
            factor=factor,
            down_filters=down,
            bottleneck_filters=self.bottleneck,
            up_filters=down[::-1],
            last_filters=self.last,
            batch_norm=self.batch_norm,
            dropout=self.dropout,
            tail=self.tail,
            skips=self.skips,
            residual=self.residual,
            shortcut=self.shortcut,
            causal=self.causal,
            lookahead_samples=self.lookahead,
        )
        return config if self.width == 1.0 else config.narrowed(self.width)


class StudyRunSection(RunSection):
    """Adam at a constant rate, as the study had it; a budget of epochs is one of steps once the data is known."""

    epochs: int | None = Field(default=None, ge=1)
    batch: int = Field(default=16, ge=1)
    split: Split = "chunk"
    validation_steps: int = Field(default=500, ge=20, description="between lines that tell the validation loss")
    validation_chunks: int = Field(default=256, ge=1)
    spectral_weight: float = Field(
        default=0.0,
        ge=0.0,
        description="of the distance between log spectra, beside the squared error as a share of the power",
    )
    norm_momentum: float = Field(default=0.01, gt=0.0, le=1.0, description="how fast batch norm's statistics follow")
    warmup_steps: int = Field(default=0, ge=0)
    learning_rate: float = Field(default=1e-4, gt=0.0)
    final_rate: float = Field(default=1.0, gt=0.0, description="no lower than the rate: constant")
    weight_decay: float = Field(default=0.0, ge=0.0)
    gradient_limit: float = Field(default=float("inf"), gt=0.0)
    averaging: float = Field(default=0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _has_budget(self) -> StudyRunSection:
        if self.steps is None and self.minutes is None and self.epochs is None:
            raise ValueError("a run needs a budget: epochs, steps or minutes")
        return self


class StudyConfig(Settings):
    """One run, as `configs/study/*.toml` writes it."""

    pairs: PairsSection = PairsSection()
    network: NetworkSection = NetworkSection()
    run: StudyRunSection = StudyRunSection(epochs=100)

    @classmethod
    def read(cls, path: Path) -> StudyConfig:
        """Read TOML; unknown keys and values out of range are refused with the first one named."""
        return read_toml(cls, path)


class PresetSection(Settings):
    """How much of the study `study all` does."""

    scored_clips: int | None = Field(default=None, ge=1, description="test recordings; all if left out")
    visqol_clips: int | None = Field(default=None, ge=0, description="of those heard by ViSQOL; all if left out")
    scored_chunks: int | None = Field(default=None, ge=1, description="of the test split; all if left out")


class Preset(Settings):
    """`configs/study/quick.toml` and `full.toml`: what all twelve networks share."""

    pairs: PairsSection = PairsSection()
    run: StudyRunSection = StudyRunSection(epochs=100)
    width: float = Field(default=1.0, gt=0.0, le=1.0)
    all: PresetSection = PresetSection()

    @classmethod
    def read(cls, name: str) -> Preset:
        """A shipped preset by its name, or a file."""
        shipped = CONFIGS / "study" / f"{name}.toml"
        return read_toml(cls, shipped if shipped.is_file() else Path(name))


#: Rows of the study's table: dropout and tail.
VARIANTS: dict[str, tuple[Literal["plain", "inception"], Literal["all", "not-last-two"]]] = {
    "plain-dropout": ("plain", "all"),
    "plain": ("plain", "not-last-two"),
    "inception-dropout": ("inception", "all"),
    "inception": ("inception", "not-last-two"),
}


def twelve(preset: Preset) -> dict[str, StudyConfig]:
    """The study's networks by name: 3, 4 and 5 blocks of each variant, as *preset* trains them."""
    return {
        f"{variant}-{blocks}": StudyConfig(
            pairs=preset.pairs,
            network=NetworkSection(blocks=blocks, tail=tail, dropout=dropout, width=preset.width),
            run=preset.run,
        )
        for variant, (tail, dropout) in VARIANTS.items()
        for blocks in (3, 4, 5)
    }
