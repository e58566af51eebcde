"""What the network hears of the low band: band powers, what they fall to in pauses, and where the band ends."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from .layers import SILENCE
from .transforms import (
    CHUNK_SAMPLES,
    Analysis,
    bin_frequencies_hz,
    erb_centres_hz,
    erb_number,
    sine_window,
    triangular_bands,
)

#: Bandwidths the network is asked about: a telephone's, and one above which nothing is left to add.
LOWEST_CUTOFF_HZ = 3_400.0
HIGHEST_CUTOFF_HZ = 20_000.0

#: Window of the bands above 3 kHz, which change faster: 8 ms.
SHORT_SAMPLES = 384

LN10 = math.log(10.0)

#: Relative power below which a feature says nothing more (-90 dB).
FEATURE_FLOOR = 1e-9

#: The oldest and the newest 2 ms of a chunk: where these are sound the chunk is full of it.
EDGE_SAMPLES = 96

#: (band powers [..., Features.BANDS], power of the newest window [..., 1]), as mean squares.
Powers = tuple[Tensor, Tensor]


class Features(nn.Module):
    """Chunk [..., CHUNK_SAMPLES] and cutoff_hz [..., 1] -> band powers, frame power, cutoff conditioning."""

    LONG_BANDS = 24
    SHORT_BANDS = 14
    BANDS = LONG_BANDS + SHORT_BANDS
    SPLIT_HZ = 3_000.0
    HIGHEST_HZ = 12_000.0
    CUTOFF_BUMPS = 8
    SIZE = 2 * BANDS + 1 + CUTOFF_BUMPS

    def __init__(self) -> None:
        super().__init__()
        # Symmetric Hann. From bin 2 on, an offset of the input does not leak into the lowest band.
        self.long = Analysis(sine_window(CHUNK_SAMPLES) ** 2, 2, 60)
        self.short = Analysis(sine_window(SHORT_SAMPLES), 1, 96)
        long_hz = bin_frequencies_hz(CHUNK_SAMPLES, 2, 60)
        short_hz = bin_frequencies_hz(SHORT_SAMPLES, 1, 96)
        low_centres_hz = erb_centres_hz(100.0, self.SPLIT_HZ, self.LONG_BANDS)
        high_centres_hz = erb_centres_hz(self.SPLIT_HZ, self.HIGHEST_HZ, self.SHORT_BANDS + 1)[1:]
        high_bands = triangular_bands(np.append(self.SPLIT_HZ, high_centres_hz), short_hz)[1:]
        bumps = np.linspace(erb_number(LOWEST_CUTOFF_HZ), erb_number(HIGHEST_CUTOFF_HZ), self.CUTOFF_BUMPS)
        self.bump_width = float(bumps[1] - bumps[0])
        # Those of the short bands, and of their floors; the others are heard at any cutoff.
        whole_hz = np.zeros(self.LONG_BANDS)
        centres_hz = np.concatenate([whole_hz, high_centres_hz, whole_hz, high_centres_hz, [0.0]])
        buffers = {
            "long_bands": np.tile(triangular_bands(low_centres_hz, long_hz), 2).T,
            "short_bands": np.tile(high_bands, 2).T,
            "centres_hz": centres_hz,
            "bumps": bumps / self.bump_width,
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(value), dtype=torch.float32), False)

    def powers(self, chunk: Tensor) -> Powers:
        """Mean squares of all bands, and of the newest 8 ms."""
        spectrum = self.long(chunk)
        long = (spectrum * spectrum) @ self.get_buffer("long_bands")
        spectrum = self.short(chunk[..., -SHORT_SAMPLES:])
        power = spectrum * spectrum
        short = power @ self.get_buffer("short_bands")
        return torch.cat([long, short], dim=-1), power.sum(-1, keepdim=True)

    def loudness(self, powers: Powers) -> Tensor:
        """Mean square [..., 1] below 3 kHz, which carries a voice's level at any bandwidth."""
        return powers[0][..., : self.LONG_BANDS].sum(-1, keepdim=True)

    def is_full(self, chunk: Tensor) -> Tensor:
        """Whether a chunk is full of sound [..., 1].

        A muted microphone, a call's silence and the time before a stream say nothing about the noise under a voice,
        nor do chunks that begin or end with them.
        """
        oldest, newest = (_ruggedness(edge) for edge in (chunk[..., :EDGE_SAMPLES], chunk[..., -EDGE_SAMPLES:]))
        return torch.minimum(oldest, newest) > SILENCE

    def relative(self, powers: Powers, level: Tensor) -> Powers:
        """The powers as shares of *level* [..., 1]."""
        bands, whole = powers
        return bands / (level + SILENCE), whole / (level + SILENCE)

    def forward(self, powers: Powers, floor: Tensor, cutoff_hz: Tensor) -> Tensor:
        """Features [..., SIZE] from relative powers; *floor* [..., BANDS] is what those of the bands fall to.

        *cutoff_hz* [..., 1] has as many dimensions, and is as long in each, as they have.
        A recording whose floor reaches up to its cutoff has one above it; one that is gated has none.
        """
        relative = torch.cat([powers[0], floor, powers[1]], dim=-1)
        logarithm = (0.5 / LN10) * torch.log(relative + FEATURE_FLOOR) + 1.0
        # What lies above the cutoff is an image, codec noise or nothing: the network shall not see it.
        inside = (10.5 - 10.0 * self.get_buffer("centres_hz") / cutoff_hz).clamp(0.0, 1.0)
        number = (21.4 / LN10 / self.bump_width) * torch.log(1.0 + 0.00437 * cutoff_hz)
        distance = number - self.get_buffer("bumps")
        return torch.cat([logarithm * inside, torch.exp(-distance * distance)], dim=-1)


def _ruggedness(samples: Tensor) -> Tensor:
    """Mean square [..., 1] of the differences: what a high-pass filter rings after a sound has next to none."""
    differences = samples[..., 1:] - samples[..., :-1]
    return differences.square().mean(-1, keepdim=True)
