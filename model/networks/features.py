"""What the network hears of the low band: band powers, what they fall to in pauses, and where the band ends."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .layers import SILENCE
from .transforms import (
    CHUNK_SAMPLES,
    ERB_BEND_HZ,
    Analysis,
    bin_frequencies_hz,
    erb_centres_hz,
    sine_window,
    triangular_bands,
)

#: Bandwidths the network is asked about: a telephone's, and one above which nothing is left to add.
LOWEST_CUTOFF_HZ = 3_400.0
HIGHEST_CUTOFF_HZ = 20_000.0

#: Window of the bands above 3 kHz, which change faster: 8 ms.
SHORT_SAMPLES = 384

LN10 = math.log(10.0)

#: What powers are relative to, as a multiple of the level: no sound of a voice is 20 dB above its peaks.
HIGHEST_POWER = 100.0

#: Power, relative to the level, below which a feature says nothing more (-90 dB).
FEATURE_FLOOR = 1e-9

#: The oldest and the newest 2 ms of a chunk: where these are sound the chunk is full of it.
EDGE_SAMPLES = 96


class Features(nn.Module):
    """Chunk [..., CHUNK_SAMPLES] and cutoff_hz [..., 1] -> powers, and from these what the layers are given.

    The :data:`POWERS` are mean squares of bands below 3 kHz, of all of these, of bands above, and of the newest 8 ms.
    """

    LONG_BANDS = 24
    SHORT_BANDS = 14
    POWERS = LONG_BANDS + 1 + SHORT_BANDS + 1
    SPLIT_HZ = 3_000.0
    HIGHEST_HZ = 12_000.0
    CUTOFF_BUMPS = 8
    SIZE = 2 * POWERS + CUTOFF_BUMPS

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
        # Equally far apart in ERB number.
        first, last = (math.log(edge_hz + ERB_BEND_HZ) for edge_hz in (LOWEST_CUTOFF_HZ, HIGHEST_CUTOFF_HZ))
        bumps = np.linspace(first, last, self.CUTOFF_BUMPS)
        self.bump_width = float(bumps[1] - bumps[0])
        # Those of the short bands, and of their floors; the others are heard at any cutoff.
        centres_hz = np.zeros(self.POWERS)
        centres_hz[self.LONG_BANDS + 1 : -1] = high_centres_hz
        buffers = {
            "long_bands": _and_their_sum(triangular_bands(low_centres_hz, long_hz)),
            "short_bands": _and_their_sum(high_bands),
            "centres_hz": np.tile(centres_hz, 2),
            "bumps": bumps / self.bump_width,
            "differences": np.eye(EDGE_SAMPLES, EDGE_SAMPLES - 1) - np.eye(EDGE_SAMPLES, EDGE_SAMPLES - 1, -1),
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(value), dtype=torch.float32), False)

    def powers(self, chunk: Tensor) -> Tensor:
        """Mean squares [..., POWERS]."""
        spectrum = self.long(chunk)
        long = (spectrum * spectrum) @ self.get_buffer("long_bands")
        spectrum = self.short(chunk[..., -SHORT_SAMPLES:])
        short = (spectrum * spectrum) @ self.get_buffer("short_bands")
        return torch.cat([long, short], dim=-1)

    def loudness(self, powers: Tensor) -> Tensor:
        """Mean square [..., 1] below 3 kHz, which carries a voice's level at any bandwidth."""
        return powers[..., self.LONG_BANDS : self.LONG_BANDS + 1]

    def newest(self, powers: Tensor) -> Tensor:
        """Mean square [..., 1] of the newest 8 ms."""
        return powers[..., -1:]

    def is_full(self, chunk: Tensor) -> Tensor:
        """Whether a chunk is full of sound [..., 1].

        A muted microphone, a call's silence and the time before a stream say nothing about the noise under a voice,
        nor do chunks that begin or end with them. What a high-pass filter rings after a sound hardly differs from
        sample to sample.
        """
        count = CHUNK_SAMPLES // EDGE_SAMPLES
        edges = chunk.reshape(-1, *chunk.shape[1:-1], count, EDGE_SAMPLES)[..., :: count - 1, :]
        differences = edges @ self.get_buffer("differences")
        return differences.square().mean(-1).amin(-1, keepdim=True) > SILENCE

    def relative(self, powers: Tensor, level: Tensor) -> Tensor:
        """Logarithms of the powers as shares of the highest at *level* [..., 1], which is above zero."""
        return torch.log(powers / (HIGHEST_POWER * level) + FEATURE_FLOOR / HIGHEST_POWER)

    def forward(self, relative: Tensor, floor: Tensor, cutoff_hz: Tensor) -> Tensor:
        """Features [..., SIZE] from logarithms of relative powers [..., POWERS], and of what these fall to.

        *cutoff_hz* [..., 1] has as many dimensions, and is as long in each, as they have.
        A recording whose floor reaches up to its cutoff has one above it; one that is gated has none.
        """
        logarithm = torch.cat([relative, floor], dim=-1) + (2.0 * LN10 + math.log(HIGHEST_POWER))
        # What lies above the cutoff is an image, codec noise or nothing: the network shall not see it.
        bels = 0.5 / LN10
        inside = (10.5 * bels - 10.0 * bels * self.get_buffer("centres_hz") / cutoff_hz).clamp(0.0, bels)
        distance = torch.log(cutoff_hz + ERB_BEND_HZ) / self.bump_width - self.get_buffer("bumps")
        return torch.cat([logarithm * inside, torch.exp(-distance * distance)], dim=-1)


def _and_their_sum(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bands [n, bins] -> [2 * bins, n + 1] for the real and imaginary parts, and all bins after the last."""
    return np.tile(np.vstack([bands, np.ones_like(bands[:1])]), 2).T
