"""Causal building blocks. `forward` takes a whole sequence of frames, `step` one frame and the state.

A state is one float32 tensor [B, ...]; zeros is a fresh stream. Streamed and whole results agree.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional


class StreamingLayer(nn.Module, ABC):
    """A causal map of frames [B, T, in] -> [B, T, out] that can also run frame by frame."""

    @abstractmethod
    def state_shape(self) -> tuple[int, ...]:
        """Shape of the state without the batch."""

    @abstractmethod
    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frame [B, in] and state -> frame [B, out] and the next state."""


class CausalConv(StreamingLayer):
    """Dilated convolution over past frames with a leaky rectifier, added to its input."""

    def __init__(self, channels: int, dilation: int, taps: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.dilation = dilation
        self.taps = taps
        self.weights = nn.Linear(taps * channels, channels)

    def state_shape(self) -> tuple[int, ...]:
        return ((self.taps - 1) * self.dilation, self.channels)

    def forward(self, frames: Tensor) -> Tensor:
        length = frames.shape[1]
        padded = functional.pad(frames, (0, 0, (self.taps - 1) * self.dilation, 0))
        window = [padded[:, tap * self.dilation :][:, :length] for tap in range(self.taps)]
        return frames + functional.leaky_relu(self.weights(torch.cat(window, dim=-1)), 0.1)

    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        history = torch.cat([state, frame.unsqueeze(1)], dim=1)
        window = history[:, :: self.dilation].flatten(1)
        return frame + functional.leaky_relu(self.weights(window), 0.1), history[:, 1:]


class Gru(StreamingLayer):
    """Gated recurrent unit, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.cell = nn.GRU(channels, channels, batch_first=True)

    def state_shape(self) -> tuple[int, ...]:
        return (self.channels,)

    def forward(self, frames: Tensor) -> Tensor:
        return frames + self.cell(frames)[0]

    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        input_weights, state_weights, input_bias, state_bias = self.cell.parameters()
        given = functional.linear(frame, input_weights, input_bias)
        remembered = functional.linear(state, state_weights, state_bias)
        split = 2 * self.channels
        gates = torch.sigmoid(given[:, :split] + remembered[:, :split])
        reset, update = gates[:, : self.channels], gates[:, self.channels :]
        candidate = torch.tanh(given[:, split:] + reset * remembered[:, split:])
        state = candidate + update * (state - candidate)
        return frame + state, state


class PeakLevel(StreamingLayer):
    """Peak of a power [B, T, 1] that decays by *decay_db* a frame."""

    def __init__(self, decay_db: float) -> None:
        super().__init__()
        self.decay = 10.0 ** (-decay_db / 10.0)

    def state_shape(self) -> tuple[int, ...]:
        return (1,)

    def forward(self, power: Tensor) -> Tensor:
        slope = math.log(self.decay) * torch.arange(power.shape[1], dtype=torch.float64)[:, None]
        # A decaying maximum is a plain running maximum beside a line that falls with it.
        peak = torch.cummax(torch.log(power.double() + 1e-30) - slope, dim=1).values + slope
        return torch.exp(peak).to(power.dtype)

    def step(self, power: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        level = torch.maximum(power, self.decay * state)
        return level, level


class PhasorNoise(nn.Module):
    """Reproducible spectral noise: unit phasors, the product of two tables of coprime length.

    The state [B, 2] holds the row in each table. The product repeats after 61 * 67 frames (16 s at 4 ms).
    """

    LENGTHS = (61, 67)

    def __init__(self, bins: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        for index, length in enumerate(self.LENGTHS):
            angle = 2.0 * math.pi * torch.rand(length, bins, generator=generator)
            self.register_buffer(f"cosine_{index}", torch.cos(angle), persistent=False)
            self.register_buffer(f"sine_{index}", torch.sin(angle), persistent=False)

    def state_shape(self) -> tuple[int, ...]:
        return (2,)

    def _phasors(self, rows_0: Tensor, rows_1: Tensor) -> tuple[Tensor, Tensor]:
        cosine_0, sine_0 = self.get_buffer("cosine_0")[rows_0], self.get_buffer("sine_0")[rows_0]
        cosine_1, sine_1 = self.get_buffer("cosine_1")[rows_1], self.get_buffer("sine_1")[rows_1]
        return cosine_0 * cosine_1 - sine_0 * sine_1, sine_0 * cosine_1 + cosine_0 * sine_1

    def forward(self, frames: int) -> tuple[Tensor, Tensor]:
        """Real and imaginary part [frames, bins] from a fresh stream on."""
        time = torch.arange(frames)
        return self._phasors(time % self.LENGTHS[0], time % self.LENGTHS[1])

    def step(self, state: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Real and imaginary part [B, bins], and the next state."""
        phasors = self._phasors(state[:, 0].long(), state[:, 1].long())
        following = state + 1.0
        lengths = torch.tensor([self.LENGTHS], dtype=torch.float32)
        return phasors, torch.where(following < lengths, following, torch.zeros_like(following))
