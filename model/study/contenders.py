"""What is compared: interpolations that need no training, and networks. All take the low rate to the high one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from ..degrade.filters import upsample
from ..metrics.systems import Given, System, estimate
from .config import SAMPLE_RATE_HZ
from .measures import Samples

#: Interpolations by name. "sinc" is the host's own resampler.
BASELINES = ("linear", "spline", "sinc")

#: Chunks that a network takes at once.
BATCH = 16


@dataclass(frozen=True)
class Contender:
    """An interpolation by its *name*; a checkpoint of `study train`, or a model file of the host, by its *path*."""

    name: str
    path: Path | None = None

    @property
    def streams(self) -> bool:
        """Whether it takes the whole band at 48 kHz, hop by hop, as the host's models do."""
        return self.path is not None and self.path.suffix == ".onnx"


def interpolate(low: Samples, factor: int, how: str) -> Samples:
    """[..., n] -> [..., factor · n] by one of `BASELINES`; what lies after the last sample is held or extrapolated."""
    samples = low.shape[-1]
    wanted = np.arange(factor * samples) / factor
    if how == "linear":
        straight = [np.interp(wanted, np.arange(samples), row) for row in low.reshape(-1, samples)]
        return np.asarray(straight, np.float32).reshape(*low.shape[:-1], -1)
    if how == "spline":
        return np.asarray(CubicSpline(np.arange(samples), low, axis=-1)(wanted), np.float32)
    if how == "sinc":
        rate_hz = SAMPLE_RATE_HZ // factor
        rows = [upsample(row, rate_hz) for row in low.reshape(-1, samples)]
        return np.asarray(rows, np.float32).reshape(*low.shape[:-1], -1)
    raise ValueError(f"no interpolation {how!r}")


@cache
def _network(path: Path) -> object:
    import torch

    from .trainer import load_trained

    torch.set_num_threads(1)
    return load_trained(path).network


def on_chunks(contender: Contender, low: Samples, factor: int) -> Samples:
    """Chunks [n, samples], each by itself -> [n, factor · samples], in line with the input."""
    if contender.path is None:
        return interpolate(low, factor, contender.name)
    import torch

    network = _network(contender.path)
    parts = np.array_split(low, max(1, -(-len(low) // BATCH)))
    with torch.inference_mode():
        return np.concatenate([network(torch.from_numpy(part)).numpy() for part in parts])  # type: ignore[operator]


def on_recording(contender: Contender, low: Samples, factor: int, chunk: int | None) -> Samples:
    """A recording [samples] -> [factor · samples].

    With *chunk*, of the high rate, in chunks that know nothing of each other and are put side by side, the last one
    filled up with zeros, as the study made its recordings; without it in one piece.
    """
    if contender.streams:
        whole = interpolate(low, factor, "sinc")
        given = Given(whole, SAMPLE_RATE_HZ / factor / 2.0)
        return estimate(System(contender.name, contender.path), [given])[0]
    if chunk is None:
        return on_chunks(contender, low[None], factor)[0]
    size = chunk // factor
    padded = np.pad(low, (0, -len(low) % size)).reshape(-1, size)
    return on_chunks(contender, padded, factor).reshape(-1)[: factor * len(low)]
