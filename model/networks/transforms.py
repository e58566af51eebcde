"""Framing, transforms and bands as matrix products, so that the same code trains and exports.

A DFT of a few hundred samples as a product costs less in ONNX Runtime than its DFT operator does, and it
computes only the bins that are used. Phases count from the centre of the frame: cosines are then even
and sines odd about it, and the fold in `Analysis` halves the work.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE_HZ = 48_000

#: 4 ms: with a window of two hops the generated band is complete 8 ms after its samples entered.
HOP_SAMPLES = 192
WINDOW_SAMPLES = 2 * HOP_SAMPLES

#: 20 ms of past resolve the lower harmonics of a voice; looking back costs no latency.
CHUNK_SAMPLES = 5 * HOP_SAMPLES


def sine_window(samples: int) -> NDArray[np.float64]:
    """Symmetric sine window; its square overlapped by half sums to one."""
    return np.asarray(np.sin(np.pi * (np.arange(samples) + 0.5) / samples), dtype=np.float64)


def erb_number(frequency_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Place on the ERB-number scale (Glasberg and Moore 1990)."""
    return np.asarray(21.4 * np.log10(1.0 + 0.00437 * np.asarray(frequency_hz, dtype=np.float64)))


def erb_centres_hz(low_hz: float, high_hz: float, count: int) -> NDArray[np.float64]:
    """*count* frequencies from *low_hz* to *high_hz*, equally far apart in ERB number."""
    numbers = np.linspace(erb_number(low_hz), erb_number(high_hz), count)
    return np.asarray((10.0 ** (numbers / 21.4) - 1.0) / 0.00437, dtype=np.float64)


def triangular_bands(centres_hz: NDArray[np.float64], bins_hz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Triangles [bands, bins] between neighbouring centres; at every frequency they sum to one.

    The outer bands reach flat to the ends.
    """
    corners = np.eye(len(centres_hz))
    return np.stack([np.interp(bins_hz, centres_hz, corner) for corner in corners]).astype(np.float32)


def bin_frequencies_hz(samples: int, first_bin: int, last_bin: int) -> NDArray[np.float64]:
    """Centres of the bins *first_bin*..*last_bin* (both included) of a transform of *samples*."""
    return np.asarray(np.arange(first_bin, last_bin + 1) * (SAMPLE_RATE_HZ / samples), dtype=np.float64)


def _phases(samples: int, first_bin: int, last_bin: int) -> NDArray[np.float64]:
    time = np.arange(samples // 2) - (samples - 1) / 2
    bins = np.arange(first_bin, last_bin + 1)
    return np.asarray(2.0 * math.pi / samples * np.outer(time, bins), dtype=np.float64)


class Analysis(nn.Module):
    """Windowed DFT bins of a frame, scaled so that the squared magnitudes sum to its mean square.

    [..., samples] -> real and imaginary part, [..., bins] each.
    """

    def __init__(self, window: NDArray[np.float64], first_bin: int, last_bin: int) -> None:
        super().__init__()
        samples = len(window)
        phases = _phases(samples, first_bin, last_bin)
        scale = math.sqrt(2.0 / (samples * float(np.sum(window**2))))
        half = scale * window[: samples // 2, None]
        self.fold_samples = samples // 2
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", torch.tensor(half * np.cos(phases), dtype=torch.float32), False)
        self.register_buffer("sine", torch.tensor(half * np.sin(phases), dtype=torch.float32), False)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        first = frames[..., : self.fold_samples]
        mirrored = frames[..., self.fold_samples :].flip(-1)
        return (first + mirrored) @ self.cosine, (first - mirrored) @ self.sine


class Synthesis(nn.Module):
    """Inverse of `Analysis` under a sine window, windowed again for overlap-add at half a frame.

    Real and imaginary part [..., bins] -> frames [..., samples].
    """

    def __init__(self, samples: int, first_bin: int, last_bin: int) -> None:
        super().__init__()
        phases = _phases(samples, first_bin, last_bin).T
        window = sine_window(samples)[: samples // 2]
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", torch.tensor(window * np.cos(phases), dtype=torch.float32), False)
        self.register_buffer("sine", torch.tensor(window * np.sin(phases), dtype=torch.float32), False)

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        even = real @ self.cosine
        odd = imaginary @ self.sine
        return torch.cat([even + odd, (even - odd).flip(-1)], dim=-1)


def frame(signal: Tensor, samples: int = CHUNK_SAMPLES) -> Tensor:
    """Signal [B, hops * HOP_SAMPLES] -> chunks [B, hops, samples]; chunk t ends with hop t, before: zeros."""
    return functional.pad(signal, (samples - HOP_SAMPLES, 0)).unfold(-1, samples, HOP_SAMPLES)


def overlap_add(frames: Tensor) -> Tensor:
    """Frames [B, hops, WINDOW_SAMPLES] -> signal [B, hops * HOP_SAMPLES], aligned with `frame`'s input.

    The last hop lacks the frame to come and is incomplete.
    """
    late = frames[..., :HOP_SAMPLES]
    early = frames[..., HOP_SAMPLES:]
    following = functional.pad(late[:, 1:], (0, 0, 0, 1))
    return (early + following).flatten(1)
