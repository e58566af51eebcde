"""The training loop: two stages, averaged weights, checkpoints that continue the same curve."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realtime.errors import FullbandError

from ..data.mixture import Mixture
from ..losses.modulation import ModulationLoss
from ..losses.spectral import SpectralLoss, Truth
from ..networks.core import Core
from .adversary import Adversary
from .batches import Batch, Recipe, batches
from .config import TrainConfig
from .loop import LOG_STEPS, Listener, Loop, choose_device, load_checkpoint

__all__ = ["LOG_STEPS", "Trainer", "blend", "build_network", "choose_device", "load_average"]


def build_network(config: TrainConfig) -> Core:
    """The network *config* describes, with its initial weights drawn from the seed."""
    torch.manual_seed(config.run.seed)
    return Core(config.network.core())


class Trainer(Loop[Batch]):
    """Trains in *folder*: `checkpoint.pt` is replaced every few minutes, `log.jsonl` grows.

    A checkpoint found there is resumed with the budget of *config*, so a longer budget prolongs a run.
    With a budget of steps the resumed curve is the same as an uninterrupted one, with minutes it depends
    on the speed of the machine. A new run begins with the averaged weights of the checkpoint *start*, or with those of
    an exported ONNX file, if one is given.
    Under ``torchrun`` each process makes batches of its own, and the first one writes.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, *, device: str = "cpu", workers: int = 0, start: Path | None = None
    ) -> None:
        super().__init__(config.run, folder, device)
        self.config = config
        self.workers = workers
        self.network = build_network(config).to(self.device)
        self.network.mixed_precision = self.device.type == "cuda"
        if start is not None:
            _adopt(self.network, start)
        self.average = copy.deepcopy(self.network)
        self.loss = SpectralLoss(**config.loss.model_dump(exclude={"modulation_weight"})).to(self.device)
        self.modulation = ModulationLoss().to(self.device)
        self.adversary = Adversary(config.adversary.windows, config.adversary.channels).to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), betas=(0.8, 0.99), weight_decay=config.run.weight_decay
        )
        self.judging = torch.optim.AdamW(
            self.adversary.parameters(), lr=config.adversary.learning_rate, betas=(0.5, 0.9)
        )
        self._resume()

    def _stage(self, progress: float) -> tuple[bool, float]:
        """Whether the second stage is on, and the share of the present stage that is done."""
        first = 1.0 - self.config.adversary.share
        return (False, progress / first) if progress < first else (True, (progress - first) / max(1.0 - first, 1e-9))

    def learning_rate(self, progress: float) -> float:
        """Warm-up by steps, then linear in the budget of each stage."""
        second, done = self._stage(progress)
        highest = self.config.adversary.learning_rate if second else self.run.learning_rate
        return self._rate_between(highest, min(self.run.final_rate, highest), done)

    def train(self, mixture: Mixture, listen: Listener | None = None) -> None:
        """Run until the budget is spent; always leaves a checkpoint behind."""
        recipe = Recipe(mixture, self.config.data, self.network.framing, self.run.seed)
        first = self.step * self.processes + self.rank
        self._train_on(batches(recipe, first, self.processes, self.workers), listen)

    def losses(self, output: Tensor, truth: Truth) -> dict[str, Tensor]:
        """What the first stage minimises is "total"; the others are its parts."""
        losses: dict[str, Tensor] = self.loss(output, truth)
        losses["modulation"] = self.modulation(output, truth)
        losses["total"] = losses["total"] + self.config.loss.modulation_weight * losses["modulation"]
        return losses

    def train_step(self, batch: Batch, progress: float = 0.0) -> dict[str, float]:
        """One step of the optimiser, at *progress* of the budget; losses by name."""
        batch = batch.to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(progress)
        output = batch.low + self.network(batch.low, batch.truth.cutoff_hz)
        losses = self.losses(output, batch.truth)
        objective = losses["total"]
        if self._stage(progress)[0]:
            weights = self.config.adversary
            losses["judge"] = self._judge(output, batch)
            losses |= self.adversary.persuade(output, batch.truth)
            objective = (
                weights.spectral_weight * objective
                + weights.matching_weight * losses["matching"]
                + weights.adversarial_weight * losses["adversarial"]
            )
        self._descend(self.optimiser, objective, self.network)
        self.step += 1
        self._average_weights()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _judge(self, output: Tensor, batch: Batch) -> Tensor:
        loss = self.adversary.judge(output, batch.truth)
        self._descend(self.judging, loss, self.adversary)
        return loss

    @torch.no_grad()
    def _average_weights(self) -> None:
        # Early averages forget fast, or the random start would linger in them.
        decay = min(self.config.run.averaging, (1.0 + self.step) / (10.0 + self.step))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)

    def _description(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def _parts(self) -> dict[str, Any]:
        names = ("network", "average", "optimiser", "adversary", "judging")
        return {name: getattr(self, name) for name in names}


def _adopt(network: Core, path: Path) -> None:
    try:
        if path.suffix == ".onnx":
            # Only here does training need ONNX, which takes its time to load.
            from ..export import exported_weights

            weights = exported_weights(path)
        else:
            weights = load_checkpoint(path)["average"]
        network.load_state_dict(weights)
    except (RuntimeError, KeyError) as error:
        first = str(error).splitlines()[-1].strip()
        raise FullbandError(f"{path}: its network has another size ({first}); start from one of the same") from None


def blend(shares: Mapping[Path, float]) -> Core:
    """The mean of the averaged networks of checkpoints by their *shares*, in evaluation mode.

    Runs that began with the same weights lie in one valley; their mean is often better than each (arXiv 2203.05482).
    """
    first, *others = shares
    network = load_average(first)
    weights = {name: shares[first] * value for name, value in network.state_dict().items()}
    for path in others:
        other = copy.deepcopy(network)
        _adopt(other, path)
        for name, value in other.state_dict().items():
            weights[name] += shares[path] * value
    network.load_state_dict(weights)
    return network


def load_average(path: Path) -> Core:
    """The averaged network of a checkpoint, in evaluation mode."""
    content = load_checkpoint(path)
    network = build_network(TrainConfig.model_validate(content["config"]))
    network.load_state_dict(content["average"])
    return network.eval()
