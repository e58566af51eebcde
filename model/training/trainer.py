"""The training loop: two stages, averaged weights, checkpoints that continue the same curve."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from realtime.errors import FullbandError

from ..data.mixture import Mixture
from ..losses.spectral import SpectralLoss
from ..networks.core import Core
from .adversary import Adversary
from .batches import Batch, Recipe, batches
from .config import TrainConfig
from .distributed import agree, average_gradients, join

#: Steps averaged into one line of the log.
LOG_STEPS = 20

#: Told after every step: step, share of the budget spent (0..1) and the losses.
Listener = Callable[[int, float, dict[str, float]], None]


def choose_device(name: str) -> str:
    """*name*, or for "auto" cuda where there is one (of ``torchrun``'s several, this process' own), else cpu."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise FullbandError("there is no CUDA device here; leave --device out", exit_status=2)
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if name == "cuda" else name


def build_network(config: TrainConfig) -> Core:
    """The network *config* describes, with its initial weights drawn from the seed."""
    torch.manual_seed(config.run.seed)
    return Core(config.network.core())


class Trainer:
    """Trains in *folder*: `checkpoint.pt` is replaced every few minutes, `log.jsonl` grows.

    A checkpoint found there is resumed with the budget of *config*, so a longer budget prolongs a run.
    With a budget of steps the resumed curve is the same as an uninterrupted one, with minutes it depends
    on the speed of the machine. A new run begins with the averaged weights of the checkpoint *start*, if one is given.
    Under ``torchrun`` each process makes batches of its own, and the first one writes.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, *, device: str = "cpu", workers: int = 0, start: Path | None = None
    ) -> None:
        self.config = config
        self.folder = folder
        self.device = torch.device(device)
        self.workers = workers
        self.rank, self.processes = join(self.device)
        self.network = build_network(config).to(self.device)
        self.network.mixed_precision = self.device.type == "cuda"
        if start is not None:
            _adopt(self.network, start)
        self.average = copy.deepcopy(self.network)
        self.loss = SpectralLoss(**config.loss.model_dump()).to(self.device)
        self.adversary = Adversary(config.adversary.windows, config.adversary.channels).to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), betas=(0.8, 0.99), weight_decay=config.run.weight_decay
        )
        self.judging = torch.optim.AdamW(
            self.adversary.parameters(), lr=config.adversary.learning_rate, betas=(0.5, 0.9)
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
        return min(1.0, agree(max(shares), self.device))

    def _stage(self, progress: float) -> tuple[bool, float]:
        """Whether the second stage is on, and the share of the present stage that is done."""
        first = 1.0 - self.config.adversary.share
        return (False, progress / first) if progress < first else (True, (progress - first) / max(1.0 - first, 1e-9))

    def learning_rate(self, progress: float) -> float:
        """Warm-up by steps, then linear in the budget of each stage."""
        run = self.config.run
        second, done = self._stage(progress)
        highest = self.config.adversary.learning_rate if second else run.learning_rate
        lowest = min(run.final_rate, highest)
        return (highest + (lowest - highest) * done) * min(1.0, (self.step + 1) / (run.warmup_steps + 1))

    def train(self, mixture: Mixture, listen: Listener | None = None) -> None:
        """Run until the budget is spent; always leaves a checkpoint behind."""
        run = self.config.run
        started = time.monotonic() - self.elapsed_s
        saved_s = self.elapsed_s
        sums: dict[str, float] = {}
        progress = self.progress
        recipe = Recipe(mixture, self.config.data, self.network.framing, run.seed)
        supply = batches(recipe, self.step * self.processes + self.rank, self.processes, self.workers)
        try:
            while progress < 1.0:
                losses = self.train_step(next(supply), progress)
                self.elapsed_s = time.monotonic() - started
                progress = self.progress
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value / LOG_STEPS
                if self.step % LOG_STEPS == 0:
                    self._log(sums, progress)
                    sums = {}
                if listen is not None:
                    listen(self.step, progress, losses)
                # Only between lines of the log, so that a resumed log has no torn average.
                if self.elapsed_s - saved_s > 60.0 * run.checkpoint_minutes and not sums:
                    self.save()
                    saved_s = self.elapsed_s
        finally:
            supply.close()
        self.save()

    def train_step(self, batch: Batch, progress: float = 0.0) -> dict[str, float]:
        """One step of the optimiser, at *progress* of the budget; losses by name."""
        batch = batch.to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(progress)
        output = batch.low + self.network(batch.low, batch.truth.cutoff_hz)
        losses: dict[str, Tensor] = self.loss(output, batch.truth)
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

    def _descend(self, optimiser: torch.optim.Optimizer, loss: Tensor, module: nn.Module) -> None:
        optimiser.zero_grad()
        loss.backward()
        average_gradients(module.parameters())
        # A gradient that is not finite ends the run: the last checkpoint is still good.
        nn.utils.clip_grad_norm_(module.parameters(), self.config.run.gradient_limit, error_if_nonfinite=True)
        optimiser.step()

    @torch.no_grad()
    def _average_weights(self) -> None:
        # Early averages forget fast, or the random start would linger in them.
        decay = min(self.config.run.averaging, (1.0 + self.step) / (10.0 + self.step))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)

    def _log(self, losses: dict[str, float], progress: float) -> None:
        if self.rank != 0:
            return
        line = {
            "step": self.step,
            "elapsed_s": round(self.elapsed_s, 1),
            "learning_rate": self.learning_rate(progress),
            **{name: round(value, 5) for name, value in losses.items()},
        }
        with self.log_path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint; a kill at any moment leaves the old or the new one whole."""
        if self.rank != 0:
            return
        content: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(content, partial)
        partial.replace(self.checkpoint_path)

    def _parts(self) -> dict[str, Any]:
        names = ("network", "average", "optimiser", "adversary", "judging")
        return {name: getattr(self, name) for name in names}

    def _resume(self) -> None:
        content = torch.load(self.checkpoint_path, weights_only=True, map_location=self.device)
        for name, part in self._parts().items():
            part.load_state_dict(content[name])
        self.step = int(content["step"])
        self.elapsed_s = float(content["elapsed_s"])
        if self.log_path.exists() and self.rank == 0:
            lines = self.log_path.read_text().splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= self.step]
            self.log_path.write_text("".join(f"{line}\n" for line in kept))


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FullbandError(f"{path}: no such checkpoint; `train` writes one")
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises whatever its unpickler meets
        raise FullbandError(f"{path}: not a checkpoint of `train` ({type(error).__name__})") from None
    return content


def _adopt(network: Core, path: Path) -> None:
    try:
        network.load_state_dict(_load(path)["average"])
    except (RuntimeError, KeyError) as error:
        first = str(error).splitlines()[-1].strip()
        raise FullbandError(f"{path}: its network has another size ({first}); start from one of the same") from None


def load_average(path: Path) -> Core:
    """The averaged network of a checkpoint, in evaluation mode."""
    content = _load(path)
    network = build_network(TrainConfig.model_validate(content["config"]))
    network.load_state_dict(content["average"])
    return network.eval()
