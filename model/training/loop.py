"""What every training run has in common: its budget, its log, and a checkpoint that continues the same curve."""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from realtime.errors import FullbandError

from .config import RunSection
from .distributed import agree, average_gradients, join

#: Steps averaged into one line of the log.
LOG_STEPS = 20

#: Told after every step: step, share of the budget spent (0..1) and the losses.
Listener = Callable[[int, float, dict[str, float]], None]

Batch = TypeVar("Batch")


def choose_device(name: str) -> str:
    """*name*, or for "auto" cuda where there is one (of ``torchrun``'s several, this process' own), else cpu."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise FullbandError("there is no CUDA device here; leave --device out", exit_status=2)
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if name == "cuda" else name


class Loop(ABC, Generic[Batch]):
    """Runs in *folder*: `checkpoint.pt` is replaced every few minutes, `log.jsonl` grows.

    A subclass says what a step is and what has to be saved, and calls `_resume` when all of it exists. With a budget
    of steps a resumed curve is the same as an uninterrupted one, with minutes it depends on the speed of the machine.
    """

    def __init__(self, run: RunSection, folder: Path, device: str) -> None:
        self.run = run
        self.folder = folder
        self.device = torch.device(device)
        self.rank, self.processes = join(self.device)
        self.step = 0
        self.elapsed_s = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def train_step(self, batch: Batch, progress: float = 0.0) -> dict[str, float]:
        """One step of the optimiser, at *progress* of the budget; losses by name."""

    @abstractmethod
    def _description(self) -> dict[str, Any]:
        """The configuration, for the checkpoint."""

    @abstractmethod
    def _parts(self) -> dict[str, Any]:
        """All that has a state, by name."""

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1; with both budgets the one nearer its end."""
        run = self.run
        shares = [self.step / run.steps] if run.steps else []
        shares += [self.elapsed_s / (60.0 * run.minutes)] if run.minutes else []
        return min(1.0, agree(max(shares), self.device))

    def _rate_between(self, highest: float, lowest: float, done: float) -> float:
        """Warm-up by steps, then linear in what is *done*, 0..1."""
        return (highest + (lowest - highest) * done) * min(1.0, (self.step + 1) / (self.run.warmup_steps + 1))

    def learning_rate(self, progress: float) -> float:
        """At *progress* of the budget."""
        return self._rate_between(self.run.learning_rate, min(self.run.final_rate, self.run.learning_rate), progress)

    def _train_on(self, supply: Generator[Batch], listen: Listener | None) -> None:
        """Take batches until the budget is spent; always leaves a checkpoint behind."""
        started = time.monotonic() - self.elapsed_s
        saved_s = self.elapsed_s
        sums: dict[str, float] = {}
        progress = self.progress
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
                if self.elapsed_s - saved_s > 60.0 * self.run.checkpoint_minutes and not sums:
                    self.save()
                    saved_s = self.elapsed_s
        finally:
            supply.close()
        self.save()

    def _descend(self, optimiser: torch.optim.Optimizer, loss: Tensor, module: nn.Module) -> None:
        optimiser.zero_grad()
        loss.backward()
        average_gradients(module.parameters())
        limit = self.run.gradient_limit
        # A gradient that is not finite ends the run: the last checkpoint is still good.
        if not torch.isfinite(nn.utils.clip_grad_norm_(module.parameters(), limit)):
            raise FullbandError(
                f"the loss went out of bounds at step {self.step}; {self.checkpoint_path} has the last good weights: "
                "lower run.learning_rate"
            )
        optimiser.step()

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
            "config": self._description(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(content, partial)
        partial.replace(self.checkpoint_path)

    def _resume(self) -> None:
        """Go on from the checkpoint in the folder, if there is one."""
        if not self.checkpoint_path.exists():
            return
        content = torch.load(self.checkpoint_path, weights_only=True, map_location=self.device)
        for name, part in self._parts().items():
            part.load_state_dict(content[name])
        self.step = int(content["step"])
        self.elapsed_s = float(content["elapsed_s"])
        if self.log_path.exists() and self.rank == 0:
            lines = self.log_path.read_text().splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= self.step]
            self.log_path.write_text("".join(f"{line}\n" for line in kept))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """All that is in a checkpoint, on the CPU."""
    if not path.is_file():
        raise FullbandError(f"{path}: no such checkpoint; `train` writes one")
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises whatever its unpickler meets
        raise FullbandError(f"{path}: not a checkpoint of `train` ({type(error).__name__})") from None
    return content
