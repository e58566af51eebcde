"""The training loop: one optimiser, averaged weights, checkpoints that continue the same curve."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from realtime.errors import FullbandError

from ..data.mixture import Mixture
from ..losses.spectral import SpectralLoss
from ..networks.core import Core, CoreConfig
from .batches import Batch, batches
from .config import TrainConfig

#: Steps averaged into one line of the log.
LOG_STEPS = 20

#: Told after every step: step, share of the budget spent (0..1) and the losses.
Listener = Callable[[int, float, dict[str, float]], None]


def build_network(config: TrainConfig) -> Core:
    """The network *config* describes, with its initial weights drawn from the seed."""
    torch.manual_seed(config.run.seed)
    return Core(CoreConfig(**config.network.model_dump()))


class Trainer:
    """Trains in *folder*: `checkpoint.pt` is replaced every few minutes, `log.jsonl` grows.

    A checkpoint found there is resumed with the budget of *config*, so a longer budget prolongs a run.
    With a budget of steps the resumed curve is the same as an uninterrupted one, with minutes it depends
    on the speed of the machine.
    """

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.network = build_network(config)
        self.average = copy.deepcopy(self.network)
        self.loss = SpectralLoss(config.loss.windows, config.loss.pause_weight)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), betas=(0.8, 0.99), weight_decay=config.run.weight_decay
        )
        self.step = 0
        self.elapsed_s = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint_path.exists():
            self._resume()

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1; with both budgets the one nearer its end."""
        run = self.config.run
        shares = [self.step / run.steps] if run.steps else []
        shares += [self.elapsed_s / (60.0 * run.minutes)] if run.minutes else []
        return min(1.0, max(shares))

    def learning_rate(self) -> float:
        """Warm-up by steps, then linear in the budget."""
        run = self.config.run
        rate = run.learning_rate + (run.final_rate - run.learning_rate) * self.progress
        return rate * min(1.0, (self.step + 1) / (run.warmup_steps + 1))

    def train(self, mixture: Mixture, listen: Listener | None = None) -> None:
        """Run until the budget is spent; always leaves a checkpoint behind."""
        run = self.config.run
        started = time.monotonic() - self.elapsed_s
        saved_s = self.elapsed_s
        sums: dict[str, float] = {}
        if self.progress < 1.0:
            for batch in batches(mixture, self.config.data, run.seed, self.step):
                losses = self.train_step(batch)
                self.elapsed_s = time.monotonic() - started
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value / LOG_STEPS
                if self.step % LOG_STEPS == 0:
                    self._log(sums)
                    sums = {}
                if listen is not None:
                    listen(self.step, self.progress, losses)
                if self.progress >= 1.0:
                    break
                # Only between lines of the log, so that a resumed log has no torn average.
                if self.elapsed_s - saved_s > 60.0 * run.checkpoint_minutes and not sums:
                    self.save()
                    saved_s = self.elapsed_s
        self.save()

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser; losses by name."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        high = self.network(batch.low, batch.truth.cutoff_hz)
        losses: dict[str, torch.Tensor] = self.loss(batch.low + high, batch.truth)
        self.optimiser.zero_grad()
        losses["total"].backward()
        # A gradient that is not finite ends the run: the last checkpoint is still good.
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.run.gradient_limit, error_if_nonfinite=True)
        self.optimiser.step()
        self.step += 1
        self._average_weights()
        return {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def _average_weights(self) -> None:
        # Early averages forget fast, or the random start would linger in them.
        decay = min(self.config.run.averaging, (1.0 + self.step) / (10.0 + self.step))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)

    def _log(self, losses: dict[str, float]) -> None:
        line = {
            "step": self.step,
            "elapsed_s": round(self.elapsed_s, 1),
            "learning_rate": self.learning_rate(),
            **{name: round(value, 5) for name, value in losses.items()},
        }
        with self.log_path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint; a kill at any moment leaves the old or the new one whole."""
        content: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(content, partial)
        partial.replace(self.checkpoint_path)

    def _resume(self) -> None:
        content = torch.load(self.checkpoint_path, weights_only=True)
        self.network.load_state_dict(content["network"])
        self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step = int(content["step"])
        self.elapsed_s = float(content["elapsed_s"])
        if self.log_path.exists():
            lines = self.log_path.read_text().splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= self.step]
            self.log_path.write_text("".join(f"{line}\n" for line in kept))


def load_average(path: Path) -> Core:
    """The averaged network of a checkpoint, in evaluation mode."""
    if not path.is_file():
        raise FullbandError(f"{path}: no such checkpoint; `train` writes one")
    content = torch.load(path, weights_only=True)
    network = build_network(TrainConfig.model_validate(content["config"]))
    network.load_state_dict(content["average"])
    return network.eval()
