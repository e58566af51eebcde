"""Batches of training pairs, each a function of seed and number alone: a resumed run sees the same ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from itertools import count
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.mixture import Mixture
from ..degrade.chain import make_pair
from ..losses.spectral import Truth
from ..metrics.voice import pitch_track_hz
from ..networks.transforms import SAMPLE_RATE_HZ, Framing
from .config import DataSection


@dataclass(frozen=True)
class Batch:
    """Network input [B, samples] and the truth about it."""

    low: Tensor
    truth: Truth

    def to(self, device: torch.device) -> Batch:
        """The same on *device*."""
        moved = {field.name: getattr(self.truth, field.name).to(device) for field in fields(Truth)}
        return Batch(self.low.to(device), Truth(**moved))


@dataclass(frozen=True)
class Recipe:
    """All that decides what batch number n is."""

    mixture: Mixture
    config: DataSection
    framing: Framing
    seed: int


def make_batch(recipe: Recipe, number: int) -> Batch:
    """Batch *number*; its length is a whole number of hops."""
    return _as_tensors(_make_arrays(recipe, number))


def _make_arrays(recipe: Recipe, number: int) -> dict[str, NDArray[np.float32]]:
    config, hop = recipe.config, recipe.framing.hop_samples
    generator = np.random.default_rng([recipe.seed, number])
    samples = round(config.segment_ms * SAMPLE_RATE_HZ / 1000.0 / hop) * hop
    segments = [recipe.mixture.draw(generator, samples) for _ in range(config.batch)]
    pairs = [make_pair(segment.samples, generator) for segment in segments]
    margins_hz = [config.lossy_margin_hz if segment.lossy else 0.0 for segment in segments]
    columns = {
        "cutoff_hz": [pair.cutoff_hz for pair in pairs],
        "limit_hz": [s.limit_hz - margin_hz for s, margin_hz in zip(segments, margins_hz, strict=True)],
        "lossy": [float(segment.lossy) for segment in segments],
        "hiss_rms": [pair.hiss_rms for pair in pairs],
    }
    return {
        "low": np.stack([pair.low for pair in pairs]),
        "target": np.stack([pair.target for pair in pairs]),
        "pitch_hz": np.stack([pitch_track_hz(pair.target) for pair in pairs]),
        **{name: np.array(values, np.float32)[:, None] for name, values in columns.items()},
    }


def _as_tensors(arrays: dict[str, NDArray[np.float32]]) -> Batch:
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    low = tensors.pop("low")
    return Batch(low, Truth(**tensors))


_recipe: Recipe | None = None


def _start_worker(recipe: Recipe) -> None:
    global _recipe  # a worker process serves one recipe, which is sent to it once
    _recipe = recipe
    torch.set_num_threads(1)


def _work(number: int) -> dict[str, NDArray[np.float32]]:
    assert _recipe is not None
    return _make_arrays(_recipe, number)


def batches(recipe: Recipe, first: int, stride: int = 1, workers: int = 0) -> Generator[Batch]:
    """Batches *first*, *first* + *stride*, … made ahead by *workers* processes (0: by a thread of this one)."""
    pool: Executor
    work: Callable[[int], dict[str, NDArray[np.float32]]]
    if workers == 0:
        pool, work = ThreadPoolExecutor(1, "batches"), partial(_make_arrays, recipe)
    else:
        pool, work = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (recipe,)), _work
    coming: deque[Future[dict[str, NDArray[np.float32]]]] = deque()
    try:
        for number in count(first, stride):
            coming.append(pool.submit(work, number))
            if len(coming) > 2 * max(workers, 1):
                yield _as_tensors(coming.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)
