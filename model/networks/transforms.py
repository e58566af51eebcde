"""Framing, transforms and bands as matrix products, so that the same code trains and exports.

A DFT of a few hundred samples as a product costs less in ONNX Runtime than its DFT operator does, and it
computes only the bins that are used. Phases count from the centre of the frame: cosines are then even
and sines odd about it, and the fold in `Analysis` halves the work. A spectrum is one tensor [..., 2 * bins], the real
parts before the imaginary ones: an operator costs as much to call as it does to work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE_HZ = 48_000

#: Where the ERB-number scale goes from linear to logarithmic.
ERB_BEND_HZ = 1.0 / 0.00437

#: 20 ms of past resolve the lower harmonics of a voice; looking back costs no latency.
CHUNK_SAMPLES = 960


@dataclass(frozen=True)
class Framing:
    """How frames follow each other. A frame is complete *window_samples* after its first sample entered.

    A window is at most two hops long; a shorter one overlaps its neighbours by less, for less latency.
    """

    hop_samples: int = 192
    window_samples: int = 384

    def __post_init__(self) -> None:
        if not self.hop_samples < self.window_samples <= 2 * self.hop_samples:
            raise ValueError(f"a window of {self.window_samples} samples does not fit a hop of {self.hop_samples}")

    @property
    def overlap_samples(self) -> int:
        """What a frame shares with the one before it."""
        return self.window_samples - self.hop_samples

    @property
    def hops_per_second(self) -> float:
        """Frames per second."""
        return SAMPLE_RATE_HZ / self.hop_samples

    def window(self) -> NDArray[np.float64]:
        """Sine flanks about a flat top; its square, overlapped, sums to one."""
        overlap = self.overlap_samples
        flank = np.sin(0.5 * np.pi * (np.arange(overlap) + 0.5) / overlap)
        return np.concatenate([flank, np.ones(self.hop_samples - overlap), flank[::-1]])


def sine_window(samples: int) -> NDArray[np.float64]:
    """Symmetric sine window."""
    return np.asarray(np.sin(np.pi * (np.arange(samples) + 0.5) / samples), dtype=np.float64)


def erb_number(frequency_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Place on the ERB-number scale (Glasberg and Moore 1990)."""
    return np.asarray(21.4 * np.log10(1.0 + np.asarray(frequency_hz, dtype=np.float64) / ERB_BEND_HZ))


def erb_centres_hz(low_hz: float, high_hz: float, count: int) -> NDArray[np.float64]:
    """*count* frequencies from *low_hz* to *high_hz*, equally far apart in ERB number."""
    numbers = np.linspace(erb_number(low_hz), erb_number(high_hz), count)
    return np.asarray((10.0 ** (numbers / 21.4) - 1.0) * ERB_BEND_HZ, dtype=np.float64)


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

    [..., samples] -> spectrum [..., 2 * bins].
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

    def forward(self, frames: Tensor) -> Tensor:
        first = frames[..., : self.fold_samples]
        mirrored = frames[..., self.fold_samples :].flip(-1)
        return torch.cat([(first + mirrored) @ self.cosine, (first - mirrored) @ self.sine], dim=-1)


class Synthesis(nn.Module):
    """Inverse of `Analysis` under the window of *framing*, windowed again for overlap-add.

    Spectrum [..., 2 * bins] -> frames [..., window_samples].
    """

    def __init__(self, framing: Framing, first_bin: int, last_bin: int) -> None:
        super().__init__()
        samples = framing.window_samples
        phases = _phases(samples, first_bin, last_bin).T
        window = framing.window()
        # `Analysis` scales to the mean square of a frame; a flat top makes that differ from the sine window's.
        scale = math.sqrt(2.0 * float(np.mean(window**2)))
        half = scale * window[: samples // 2]
        self.cosine: Tensor
        self.sine: Tensor
        self.register_buffer("cosine", torch.tensor(half * np.cos(phases), dtype=torch.float32), False)
        self.register_buffer("sine", torch.tensor(half * np.sin(phases), dtype=torch.float32), False)

    def forward(self, spectrum: Tensor) -> Tensor:
        real, imaginary = spectrum.split(len(self.cosine), dim=-1)
        even = real @ self.cosine
        odd = imaginary @ self.sine
        return torch.cat([even + odd, (even - odd).flip(-1)], dim=-1)


def frame(signal: Tensor, framing: Framing, samples: int = CHUNK_SAMPLES) -> Tensor:
    """Signal [B, hops * hop_samples] -> chunks [B, hops, samples]; chunk t ends with hop t, before: zeros."""
    hop = framing.hop_samples
    return functional.pad(signal, (samples - hop, 0)).unfold(-1, samples, hop)


def overlap_add(frames: Tensor, framing: Framing) -> Tensor:
    """Frames [B, hops, window_samples] -> signal [B, hops * hop_samples], aligned with `frame`'s input.

    The end of the last hop lacks the frame to come and is incomplete.
    """
    overlap = framing.overlap_samples
    newest = frames[..., overlap:]
    # The first samples of the following frame belong to the end of this hop.
    shared = functional.pad(frames[:, 1:, :overlap], (framing.hop_samples - overlap, 0, 0, 1))
    return (newest + shared).flatten(1)
