"""Several trainings at once, each by one process on one thread: threads that wait for each other lose more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from ..metrics import pool
from .config import StudyConfig
from .pairs import Pairs
from .trainer import StudyTrainer, with_steps

_POLL_S = 1.0


@dataclass(frozen=True)
class _Run:
    """Work for one process."""

    name: str
    config: StudyConfig
    pairs: Path
    folder: Path
    device: str


def _train(run: _Run) -> int:
    import torch

    if run.device == "cpu":
        torch.set_num_threads(1)
    trainer = StudyTrainer(run.config, Pairs(run.pairs), run.folder, device=run.device)
    trainer.train()
    return trainer.step


def spent_share(run: Path, config: StudyConfig) -> float:
    """Share of its budget that a run has spent, by its log."""
    try:
        last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    except (OSError, IndexError, json.JSONDecodeError):
        return 0.0
    budget = config.run
    shares = [last["step"] / budget.steps] if budget.steps else []
    shares += [last["elapsed_s"] / (60.0 * budget.minutes)] if budget.minutes else []
    return min(1.0, max(shares, default=0.0))


def train_all(
    configs: Mapping[str, StudyConfig],
    pairs: Pairs,
    folder: Path,
    *,
    device: str = "cpu",
    jobs: int = 1,
    advance: Callable[[float], None] | None = None,
) -> dict[str, int]:
    """Train each of *configs* in a folder of its name, or go on with it; gives the steps of each.

    *advance* is told shares of the whole as the logs grow.
    """
    resolved = {name: with_steps(config, pairs) for name, config in configs.items()}
    # The slow ones first, so that no process is left with one at the end.
    ordered = sorted(resolved, key=lambda name: "inception" not in name)
    runs = [_Run(name, resolved[name], pairs.folder, folder / name, device) for name in ordered]
    done = Event()

    def watch() -> None:
        told = 0.0
        while not done.wait(_POLL_S):
            now = sum(spent_share(folder / name, config) for name, config in resolved.items()) / len(resolved)
            if advance is not None:
                advance(now - told)
            told = now

    watcher = Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        # A GPU is shared badly by processes that each fill it.
        return {run.name: steps for run, steps in pool.run(_train, runs, jobs if device == "cpu" else 1)}
    finally:
        done.set()
        watcher.join()
