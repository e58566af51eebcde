"""The default network: two excitations, shaped by band gains that a small recurrent network predicts.

The low band is never touched. What is added above it is x * sin(ln|x|), which carries the pitch of a voice
into the high band (the non-linearity of Opus' bandwidth extension, arXiv 2412.11392), and noise. Features
and gains are relative to a running level, so the ratio of high to low band does not depend on loudness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import CausalConv, Gru, PeakLevel, PhasorNoise, StreamingLayer
from .transforms import (
    CHUNK_SAMPLES,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    Analysis,
    Synthesis,
    bin_frequencies_hz,
    erb_centres_hz,
    erb_number,
    frame,
    overlap_add,
    sine_window,
    triangular_bands,
)

#: Bandwidths the network is asked about: a telephone's, and one above which nothing is left to add.
LOWEST_CUTOFF_HZ = 3_400.0
HIGHEST_CUTOFF_HZ = 20_000.0

#: Over the last kHz below the highest cutoff the output fades to nothing.
CUTOFF_FADE_HZ = 1_000.0

#: The high band rises between these fractions of the cutoff, where anti-alias filters fall.
CROSSOVER = (0.93, 1.0)

#: Mean square (-120 dBFS, under the rounding noise of 16 bit) at which the output has faded by half:
#: silence stays silent, the quietest pause still has its own high band.
GATE_POWER = 1e-12

#: The reference level falls by 8 dB a second: slower than syllables, faster than a change of talker.
LEVEL_DECAY_DB = 8.0 * HOP_SAMPLES / SAMPLE_RATE_HZ

#: Natural logarithm of a bin's amplitude relative to the level; the start is that of quiet speech.
GAIN_RANGE = (-14.0, 2.0)
INITIAL_GAIN = -6.0

#: Logit of the mix; at its ends one of the two is 35 dB down and gradients are still finite.
MIX_RANGE = (-8.0, 8.0)

#: Relative power below which a feature says nothing more (-90 dB).
FEATURE_FLOOR = 1e-9


@dataclass(frozen=True)
class CoreConfig:
    """What distinguishes one size of the network from another."""

    channels: int = 128
    dilations: tuple[int, ...] = (1, 2, 4)
    gain_bands: int = 24


class Features(nn.Module):
    """Chunk [..., CHUNK_SAMPLES] and cutoff_hz [..., 1] -> band powers, frame power, cutoff conditioning."""

    LONG_BANDS = 24
    SHORT_BANDS = 14
    SPLIT_HZ = 3_000.0
    HIGHEST_HZ = 12_000.0
    CUTOFF_BUMPS = 8

    def __init__(self) -> None:
        super().__init__()
        # Symmetric Hann. From bin 2 on, an offset of the input does not leak into the lowest band.
        self.long = Analysis(sine_window(CHUNK_SAMPLES) ** 2, 2, 60)
        self.short = Analysis(sine_window(WINDOW_SAMPLES), 1, 96)
        long_hz = bin_frequencies_hz(CHUNK_SAMPLES, 2, 60)
        short_hz = bin_frequencies_hz(WINDOW_SAMPLES, 1, 96)
        low_centres_hz = erb_centres_hz(100.0, self.SPLIT_HZ, self.LONG_BANDS)
        high_centres_hz = erb_centres_hz(self.SPLIT_HZ, self.HIGHEST_HZ, self.SHORT_BANDS + 1)[1:]
        high_bands = triangular_bands(np.append(self.SPLIT_HZ, high_centres_hz), short_hz)[1:]
        bumps = np.linspace(erb_number(LOWEST_CUTOFF_HZ), erb_number(HIGHEST_CUTOFF_HZ), self.CUTOFF_BUMPS)
        self.bump_width = float(bumps[1] - bumps[0])
        self.long_bands: Tensor
        self.short_bands: Tensor
        self.short_centres_hz: Tensor
        self.bumps: Tensor
        long_bands = triangular_bands(low_centres_hz, long_hz)
        self.register_buffer("long_bands", torch.tensor(long_bands.T), False)
        self.register_buffer("short_bands", torch.tensor(high_bands.T), False)
        self.register_buffer("short_centres_hz", torch.tensor(high_centres_hz, dtype=torch.float32), False)
        self.register_buffer("bumps", torch.tensor(bumps, dtype=torch.float32), False)

    @property
    def size(self) -> int:
        return self.LONG_BANDS + self.SHORT_BANDS + 1 + self.CUTOFF_BUMPS

    def powers(self, chunk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean squares of the long bands, the short bands and, [..., 1], the newest window."""
        real, imaginary = self.long(chunk)
        long = (real * real + imaginary * imaginary) @ self.long_bands
        real, imaginary = self.short(chunk[..., -WINDOW_SAMPLES:])
        power = real * real + imaginary * imaginary
        return long, power @ self.short_bands, power.sum(-1, keepdim=True)

    def forward(self, powers: tuple[Tensor, Tensor, Tensor], level: Tensor, cutoff_hz: Tensor) -> Tensor:
        """Features [..., size]; *level* [..., 1] is the power they are relative to."""
        relative = torch.cat(powers, dim=-1) / (level + 1e-14)
        logarithm = 0.5 * torch.log10(relative + FEATURE_FLOOR) + 1.0
        # What lies above the cutoff is an image, codec noise or nothing: the network shall not see it.
        inside = ((1.05 * cutoff_hz - self.short_centres_hz) / (0.1 * cutoff_hz)).clamp(0.0, 1.0)
        low, high, whole = logarithm.split([self.LONG_BANDS, self.SHORT_BANDS, 1], dim=-1)
        number = 21.4 * torch.log10(1.0 + 0.00437 * cutoff_hz)
        bumps = torch.exp(-(((number - self.bumps) / self.bump_width) ** 2))
        return torch.cat([low, high * inside, whole, bumps.expand(*low.shape[:-1], -1)], dim=-1)


class Shaper(nn.Module):
    """Excitation and noise spectra shaped by band gains and a band-wise mix, from the crossover up."""

    #: 3.125 kHz, just under the lowest crossover, to the Nyquist frequency.
    FIRST_BIN = 25
    LAST_BIN = WINDOW_SAMPLES // 2

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.analysis = Analysis(sine_window(WINDOW_SAMPLES), self.FIRST_BIN, self.LAST_BIN)
        self.synthesis = Synthesis(WINDOW_SAMPLES, self.FIRST_BIN, self.LAST_BIN)
        bins_hz = bin_frequencies_hz(WINDOW_SAMPLES, self.FIRST_BIN, self.LAST_BIN)
        triangles = triangular_bands(erb_centres_hz(3_500.0, 23_500.0, bands), bins_hz)
        self.bins_hz: Tensor
        self.spread: Tensor
        self.gather: Tensor
        self.register_buffer("bins_hz", torch.tensor(bins_hz, dtype=torch.float32), False)
        self.register_buffer("spread", torch.tensor(triangles), False)
        mean = triangles / triangles.sum(axis=1, keepdims=True)
        self.register_buffer("gather", torch.tensor(mean.T.copy()), False)

    @property
    def bins(self) -> int:
        return self.LAST_BIN - self.FIRST_BIN + 1

    def crossover(self, cutoff_hz: Tensor) -> Tensor:
        """Amplitude [..., bins] that lets the high band rise over the top of the low band."""
        start, end = CROSSOVER
        rise = ((self.bins_hz / cutoff_hz - start) / (end - start)).clamp(0.0, 1.0)
        return rise * ((HIGHEST_CUTOFF_HZ - cutoff_hz) / CUTOFF_FADE_HZ).clamp(0.0, 1.0)

    def forward(
        self, newest: Tensor, noise: tuple[Tensor, Tensor], gain: Tensor, mix: Tensor, cutoff_hz: Tensor
    ) -> Tensor:
        """Newest window [..., WINDOW_SAMPLES], relative to the level -> windowed frame of the high band.

        *gain* [..., bands] is the amplitude of a bin, *mix* [..., bands] the share of power (0..1) that the
        excitation gets, the noise getting the rest.
        """
        excitation = newest * torch.sin(torch.log(newest.abs() + 1e-6))
        real, imaginary = self.analysis(excitation)
        power = (real * real + imaginary * imaginary) @ self.gather
        mask = self.crossover(cutoff_hz)
        voiced = ((gain * torch.sqrt(mix / (power + 1e-14))) @ self.spread) * mask
        hiss = ((gain * torch.sqrt(1.0 - mix)) @ self.spread) * mask
        return self.synthesis(real * voiced + noise[0] * hiss, imaginary * voiced + noise[1] * hiss)


def _newest(chunk: Tensor, level: Tensor) -> Tensor:
    """Newest window of *chunk* at unit level: the non-linearity then does the same at any loudness."""
    return chunk[..., -WINDOW_SAMPLES:] / torch.sqrt(level + 1e-12)


class Core(nn.Module):
    """Low band at 48 kHz and its cutoff -> high band to add, 8 ms later when streamed."""

    input_samples = CHUNK_SAMPLES

    def __init__(self, config: CoreConfig | None = None) -> None:
        super().__init__()
        self.config = config or CoreConfig()
        channels, bands = self.config.channels, self.config.gain_bands
        self.features = Features()
        self.shaper = Shaper(bands)
        self.level = PeakLevel(LEVEL_DECAY_DB)
        self.noise = PhasorNoise(self.shaper.bins)
        self.enter = nn.Linear(self.features.size, channels)
        self.layers = nn.ModuleList(
            [*(CausalConv(channels, dilation) for dilation in self.config.dilations), Gru(channels)]
        )
        self.leave = nn.Linear(channels, 2 * bands)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            self.leave.bias.zero_()
            self.leave.bias[:bands] = INITIAL_GAIN

    def _streaming_layers(self) -> list[StreamingLayer]:
        return [layer for layer in self.layers if isinstance(layer, StreamingLayer)]

    def initial_state(self, batch: int) -> list[Tensor]:
        """States of fresh streams: level, noise, then one for each layer."""
        shapes = [self.level.state_shape(), self.noise.state_shape()]
        shapes += [layer.state_shape() for layer in self._streaming_layers()]
        return [torch.zeros(batch, *shape) for shape in shapes]

    def _gains(self, hidden: Tensor, powers: tuple[Tensor, Tensor, Tensor], level: Tensor) -> tuple[Tensor, Tensor]:
        """Amplitude and mix [..., bands] from the last hidden layer."""
        logarithm, mix = self.leave(hidden).chunk(2, dim=-1)
        gate = powers[2] / (powers[2] + GATE_POWER)
        amplitude = torch.exp(logarithm.clamp(*GAIN_RANGE)) * (torch.sqrt(level) * gate)
        return amplitude, torch.sigmoid(mix.clamp(*MIX_RANGE))

    def forward(self, low: Tensor, cutoff_hz: Tensor) -> Tensor:
        """Low band [B, samples], a multiple of the hop, and cutoff [B, 1] -> high band in place, [B, samples].

        The result lines up with the input; its last hop is incomplete, as no frame follows.
        """
        chunks = frame(low)
        cutoff_hz = cutoff_hz.clamp(LOWEST_CUTOFF_HZ, HIGHEST_CUTOFF_HZ).unsqueeze(1)
        powers = self.features.powers(chunks)
        level = self.level(powers[0].sum(-1, keepdim=True))
        hidden = self._enter(powers, level, cutoff_hz)
        for layer in self.layers:
            hidden = layer(hidden)
        gain, mix = self._gains(hidden, powers, level)
        noise = self.noise(chunks.shape[1])
        return overlap_add(self.shaper(_newest(chunks, level), noise, gain, mix, cutoff_hz))

    def _enter(self, powers: tuple[Tensor, Tensor, Tensor], level: Tensor, cutoff_hz: Tensor) -> Tensor:
        features = self.features(powers, level, cutoff_hz)
        return functional.leaky_relu(self.enter(features), 0.1)

    def step(self, chunk: Tensor, cutoff_hz: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Newest chunk [B, CHUNK_SAMPLES], cutoff [B, 1] -> frame [B, WINDOW_SAMPLES] to overlap-add."""
        cutoff_hz = cutoff_hz.clamp(LOWEST_CUTOFF_HZ, HIGHEST_CUTOFF_HZ)
        powers = self.features.powers(chunk)
        level, next_level = self.level.step(powers[0].sum(-1, keepdim=True), state[0])
        noise, next_noise = self.noise.step(state[1])
        following = [next_level, next_noise]
        hidden = self._enter(powers, level, cutoff_hz)
        for layer, layer_state in zip(self._streaming_layers(), state[2:], strict=True):
            hidden, layer_state = layer.step(hidden, layer_state)
            following.append(layer_state)
        gain, mix = self._gains(hidden, powers, level)
        return self.shaper(_newest(chunk, level), noise, gain, mix, cutoff_hz), following
