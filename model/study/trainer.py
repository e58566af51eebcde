"""Training of the study's networks on pairs of chunks, by the loop that trains all others."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime.errors import FullbandError

from ..losses.spectral import SpectralLoss, Truth
from ..training.loop import Listener, Loop, load_checkpoint
from .config import StudyConfig
from .pairs import FULL_SCALE, Pairs
from .unet import UNet

#: Windows of the distance between spectra; chunks have to be twice as long.
SPECTRAL_WINDOWS = (2048, 512, 128)

#: Where the distance between spectra ends: recordings and lossy codecs differ above.
SPECTRAL_LIMIT_HZ = 20_000.0

#: Keeps chunks of silence from counting for everything, in steps of 16 bit.
QUIET_STEPS = 10.0

#: A causal network starts from silence at every chunk; the loss leaves the start out, in samples at the high rate.
SETTLING_SAMPLES = 512


@dataclass(frozen=True)
class PairBatch:
    """Chunks [B, samples] at the low and at the high rate, in ±1."""

    low: Tensor
    high: Tensor


def build_unet(config: StudyConfig) -> UNet:
    """The network *config* describes, with its initial weights drawn from the seed."""
    torch.manual_seed(config.run.seed)
    network = UNet(config.network.unet(config.pairs.factor))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = config.run.norm_momentum
    return network


def epoch_steps(chunks: int, batch: int) -> int:
    """Steps that see every one of *chunks* once; a torn last batch is left out."""
    return max(1, chunks // batch)


def with_steps(config: StudyConfig, pairs: Pairs) -> StudyConfig:
    """*config* with its budget of epochs as one of steps."""
    run = config.run
    if run.epochs is None:
        return config
    steps = run.epochs * epoch_steps(len(pairs.split(run.split)["train"]), run.batch)
    return config.model_copy(update={"run": run.model_copy(update={"steps": min(steps, run.steps or steps)})})


def in_line(network: UNet, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Output and target [B, samples] at the same times; those of a causal network once it has settled."""
    output = network(batch.low)
    delay = network.delay_samples
    given, wanted = output[:, delay:], batch.high[:, : batch.high.shape[1] - delay]
    start = min(SETTLING_SAMPLES, given.shape[1] // 2) if network.config.causal else 0
    return given[:, start:], wanted[:, start:]


def squared_error(given: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error in the study's unit, steps of 16 bit."""
    return FULL_SCALE**2 * (given - wanted).square().mean()


def relative_error(given: Tensor, wanted: Tensor) -> Tensor:
    """Mean over the chunks of the squared error as a share of the power."""
    quiet = (QUIET_STEPS / FULL_SCALE) ** 2
    return ((given - wanted).square().mean(-1) / (wanted.square().mean(-1) + quiet)).mean()


def spectral_distance(measure: SpectralLoss, given: Tensor, wanted: Tensor) -> Tensor:
    """Distance between log spectra of [B, samples] over all bands, in nepers."""
    ones = torch.ones_like(wanted[:, :1])
    truth = Truth(wanted, 0.0 * ones, SPECTRAL_LIMIT_HZ * ones, 0.0 * ones, 0.0 * ones, 0.0 * ones)
    return measure(given, truth)["total"]


class StudyTrainer(Loop[PairBatch]):
    """Trains one of the study's networks in *folder*; a checkpoint found there is resumed, to the same curve.

    Batch n and the dropout of step n are functions of the seed and n alone.
    """

    def __init__(self, config: StudyConfig, pairs: Pairs, folder: Path, *, device: str = "cpu") -> None:
        wanted = config.pairs
        if (pairs.section.factor, pairs.section.filtered) != (wanted.factor, wanted.filtered):
            raise FullbandError(
                f"{pairs.folder} holds pairs of factor {pairs.section.factor}, filtered {pairs.section.filtered}; this "
                f"run wants {wanted.factor} and {wanted.filtered}: make them with the same configuration"
            )
        self.config = config
        self.pairs = pairs
        self.sides = pairs.split(config.run.split)
        super().__init__(with_steps(config, pairs).run, folder, device)
        self.network = build_unet(config).to(self.device)
        fitting = tuple(size for size in SPECTRAL_WINDOWS if 2 * size <= pairs.section.chunk - SETTLING_SAMPLES)
        self.measure = SpectralLoss(fitting or SPECTRAL_WINDOWS[-1:], pause_weight=0.0, distance_weight=0.5).to(
            self.device
        )
        # Keras' epsilon: gradients of the study's unit are far above either.
        self.optimiser = torch.optim.Adam(self.network.parameters(), self.run.learning_rate, eps=1e-7)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))
        self._resume()

    def make_batch(self, number: int) -> PairBatch:
        """Batch *number*."""
        size = self.config.run.batch
        epoch, place = divmod(number, epoch_steps(len(self.sides["train"]), size))
        if self._order[0] != epoch:
            generator = np.random.default_rng([self.run.seed, epoch])
            self._order = epoch, generator.permutation(self.sides["train"])
        return self._read(self._order[1][place * size : (place + 1) * size])

    def _read(self, numbers: NDArray[np.int64]) -> PairBatch:
        low, high = (torch.from_numpy(chunks).to(self.device) for chunks in self.pairs.read(numbers))
        return PairBatch(low, high)

    def _supply(self) -> Generator[PairBatch]:
        number = self.step
        while True:
            yield self.make_batch(number)
            number += 1

    def train(self, listen: Listener | None = None) -> None:
        """Run until the budget is spent; always leaves a checkpoint behind."""
        self._train_on(self._supply(), listen)

    def train_step(self, batch: PairBatch, progress: float = 0.0) -> dict[str, float]:
        """One step of the optimiser -> "mse", and "spectral" where that is part of the loss."""
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(progress)
        torch.manual_seed((self.run.seed << 32) + self.step)
        given, wanted = in_line(self.network, batch)
        loss = error = squared_error(given, wanted)
        losses = {"mse": float(error.detach())}
        weight = self.config.run.spectral_weight
        if weight > 0.0:
            distance = spectral_distance(self.measure, given, wanted)
            loss = relative_error(given, wanted) + weight * distance
            losses["spectral"] = float(distance.detach())
        self._descend(self.optimiser, loss, self.network)
        self.step += 1
        return losses

    @torch.inference_mode()
    def validation_error(self) -> float:
        """Mean squared error on chunks of the validation split, evenly spread over it."""
        self.network.eval()
        side = self.sides["validation"]
        places = np.linspace(0, len(side) - 1, min(len(side), self.config.run.validation_chunks)).astype(int)
        parts = np.array_split(side[places], -(-len(places) // self.config.run.batch))
        errors = [float(squared_error(*in_line(self.network, self._read(part)))) for part in parts]
        return float(np.average(errors, weights=[len(part) for part in parts]))

    def _log(self, losses: dict[str, float], progress: float) -> None:
        if self.step % self.config.run.validation_steps == 0:
            losses = {**losses, "validation_mse": self.validation_error()}
        super()._log(losses, progress)

    def _description(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "optimiser": self.optimiser}


@dataclass(frozen=True)
class Trained:
    """A network as a checkpoint holds it, in evaluation mode, and what was spent on it."""

    network: UNet
    config: StudyConfig
    steps: int
    minutes: float


def load_trained(path: Path) -> Trained:
    """What `study train` left at *path*, a checkpoint or the folder of a run."""
    content = load_checkpoint(path / "checkpoint.pt" if path.is_dir() else path)
    config = StudyConfig.model_validate(content["config"])
    network = build_unet(config)
    network.load_state_dict(content["network"])
    return Trained(network.eval(), config, int(content["step"]), float(content["elapsed_s"]) / 60.0)
