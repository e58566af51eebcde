"""Batches of training pairs, each a function of seed and step alone: a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.mixture import Mixture
from ..degrade.chain import make_pair
from ..losses.spectral import Truth
from ..networks.transforms import HOP_SAMPLES
from .config import DataSection


@dataclass(frozen=True)
class Batch:
    """Network input [B, samples] and the truth about it."""

    low: Tensor
    truth: Truth


def make_batch(mixture: Mixture, config: DataSection, seed: int, step: int) -> Batch:
    """The batch of *step*."""
    generator = np.random.default_rng([seed, step])
    samples = config.segment_hops * HOP_SAMPLES
    segments = [mixture.draw(generator, samples) for _ in range(config.batch)]
    pairs = [make_pair(segment.samples, generator) for segment in segments]

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)[:, None]

    margins = [config.lossy_margin_hz if segment.lossy else 0.0 for segment in segments]
    return Batch(
        low=torch.from_numpy(np.stack([pair.low for pair in pairs])),
        truth=Truth(
            target=torch.from_numpy(np.stack([pair.target for pair in pairs])),
            cutoff_hz=column([pair.cutoff_hz for pair in pairs]),
            limit_hz=column([s.limit_hz - margin for s, margin in zip(segments, margins, strict=True)]),
            lossy=column([float(segment.lossy) for segment in segments]),
        ),
    )


def batches(mixture: Mixture, config: DataSection, seed: int, first_step: int) -> Iterator[Batch]:
    """Batches from *first_step* on; the next one is made while the caller works on the last."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        step = first_step
        coming = pool.submit(make_batch, mixture, config, seed, step)
        while True:
            batch = coming.result()
            step += 1
            coming = pool.submit(make_batch, mixture, config, seed, step)
            yield batch
