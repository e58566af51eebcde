"""Causal building blocks. `forward` takes a whole sequence of frames, `step` one frame and the state.

A state is one float32 tensor [B, ...]; zeros is a fresh stream. Streamed and whole results agree.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

#: A power (-180 dBFS) that is none, far below the rounding of any format: noise of any level is a floor, and what a
#: filter rings before a first sound has its shape at any loudness.
SILENCE = 1e-18

#: Noise is no more than 80 dB below a voice: what is softer is a gate's, a call's or a file's silence.
NOISE_RANGE = 1e-8


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
    """Gated recurrent unit, added to its input, whose state fades by *fading* a frame to that of a fresh stream.

    Calls last hours, training segments seconds: without the fading it drifts within minutes to where it never was.
    """

    def __init__(self, channels: int, fading: float) -> None:
        super().__init__()
        self.channels = channels
        self.kept = 1.0 - fading
        self.cell = nn.GRU(channels, channels)

    def state_shape(self) -> tuple[int, ...]:
        return (self.channels,)

    def forward(self, frames: Tensor) -> Tensor:
        state = frames.new_zeros(len(frames), self.channels)
        states = []
        for frame in frames.unbind(1):
            state = torch.gru_cell(frame, self.kept * state, *self.cell.parameters())
            states.append(state)
        return frames + torch.stack(states, dim=1)

    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        input_weights, state_weights, input_bias, state_bias = self.cell.parameters()
        state = self.kept * state
        given = functional.linear(frame, input_weights, input_bias)
        remembered = functional.linear(state, state_weights, state_bias)
        split = 2 * self.channels
        gates = torch.sigmoid(given[:, :split] + remembered[:, :split])
        reset, update = gates[:, : self.channels], gates[:, self.channels :]
        candidate = torch.tanh(given[:, split:] + reset * remembered[:, split:])
        state = candidate + update * (state - candidate)
        return frame + state, state


class FloorLevel(nn.Module):
    """What the logarithms of *size* powers fall to: minima of those that tell, each rising by *rise_db* a frame.

    The state is the last floors; zeros are as good as none, as powers are below 1. No floor is above the present power.
    """

    def __init__(self, rise_db: float, size: int) -> None:
        super().__init__()
        self.rise = rise_db * math.log(10.0) / 10.0
        self.size = size

    def state_shape(self) -> tuple[int, ...]:
        return (self.size,)

    def forward(self, power: Tensor, told: Tensor) -> Tensor:
        """Logarithms of powers [B, T, size], and whether they tell [B, T, 1] -> those of floors [B, T, size]."""
        # A rising minimum is a plain running minimum beside a line that rises with it.
        line = self.rise * torch.arange(power.shape[1], dtype=torch.float64, device=power.device)[:, None]
        known = torch.cummin(torch.where(told, power, 0.0) - line, dim=1).values.clamp_max(self.rise) + line
        return torch.minimum(known.to(power.dtype), power)

    def step(self, power: Tensor, told: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One frame, and the next state."""
        state = torch.minimum(torch.where(told, power, 0.0), state + self.rise)
        return torch.minimum(state, power), state


class RecentMean(StreamingLayer):
    """Mean of the last *frames* of [B, T, *size]; before the first frame: zeros."""

    def __init__(self, frames: int, *size: int) -> None:
        super().__init__()
        self.frames = frames
        self.size = size

    def state_shape(self) -> tuple[int, ...]:
        return (self.frames - 1, *self.size)

    def forward(self, values: Tensor) -> Tensor:
        before = (0, 0) * len(self.size) + (self.frames - 1, 0)
        return functional.pad(values, before).unfold(1, self.frames, 1).mean(-1)

    def step(self, values: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        history = torch.cat([state, values.unsqueeze(1)], dim=1)
        return history.mean(1), history[:, 1:]


class VoiceLevel(nn.Module):
    """Level of a voice: a slowly decaying peak of its power that follows a voice which became softer.

    Peaks of speech return within :data:`HOLD_S`. Where they do not and what there is stands far above the floor, it is
    no pause: the voice goes on more softly, and the level falls quickly to its recent peaks. A voice less than
    :data:`MARGIN_DB` above the noise is followed slowly, as its pauses and a softer voice look alike.
    """

    #: Longest time between peaks of running speech that a corpus of clean voices gave no worse spectra for.
    HOLD_S = 0.28
    #: A peak is what comes this near to the level.
    NEAR_DB = 12.0
    MARGIN_DB = 30.0
    QUICK_DB_PER_S = 150.0
    RECENT_DB_PER_S = 60.0
    FLOOR_RISE_DB_PER_S = 6.0

    def __init__(self, decay_db_per_s: float, hops_per_second: float) -> None:
        super().__init__()

        def per_hop(decay_db: float) -> float:
            return float(10.0 ** (-decay_db / hops_per_second / 10.0))

        self.decay = per_hop(decay_db_per_s)
        self.quick = per_hop(self.QUICK_DB_PER_S)
        self.recent = per_hop(self.RECENT_DB_PER_S)
        self.rise = per_hop(self.FLOOR_RISE_DB_PER_S)
        self.hold_hops = self.HOLD_S * hops_per_second

    def state_shape(self) -> tuple[int, ...]:
        """Level, reciprocal of the floor, recent peak, hops since the last peak near the level."""
        return (4,)

    def forward(self, power: Tensor, full: Tensor) -> tuple[Tensor, Tensor]:
        """Powers and whether their chunks are full of sound -> level above zero, and whether that sound can be noise.

        All are [B, T, 1]; what is far below the level is not even noise.
        """
        state = power.new_zeros(len(power), *self.state_shape())
        levels, told = [], []
        for frame, sound in zip(power.unbind(1), full.unbind(1), strict=True):
            level, tells, state = self.step(frame, sound, state)
            levels.append(level)
            told.append(tells)
        return torch.stack(levels, dim=1), torch.stack(told, dim=1)

    def step(self, power: Tensor, full: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One frame, and the next state."""
        level, floor, recent, hops = state.split(1, dim=-1)
        power = power.clamp_min(SILENCE)
        told = full & (power > NOISE_RANGE * level)
        floor = torch.maximum(torch.where(told, 1.0 / power, 0.0), self.rise * floor)
        recent = torch.maximum(power, self.recent * recent)
        near = power >= level * 10.0 ** (-self.NEAR_DB / 10.0)
        # After 2**24 hops float32 counts no further, long after it has told all.
        hops = torch.where(near, 0.0, hops + 1.0)
        softer = (hops > self.hold_hops) & (power * floor > 10.0 ** (self.MARGIN_DB / 10.0))
        level = torch.maximum(torch.where(softer, recent, power), torch.where(softer, self.quick, self.decay) * level)
        return level, told, torch.cat([level, floor, recent, hops], dim=-1)


class RowCounter(nn.Module):
    """Counts frames modulo *lengths*: which rows of tables come next."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        super().__init__()
        self.lengths = lengths

    def state_shape(self) -> tuple[int, ...]:
        return (len(self.lengths),)

    def forward(self, frames: int) -> Tensor:
        """Rows [frames, tables] from a fresh stream on."""
        return torch.stack([torch.arange(frames) % length for length in self.lengths], dim=-1)

    def step(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [B, tables] and the next state."""
        following = state + 1.0
        lengths = torch.tensor([self.lengths], dtype=torch.float32)
        return state.long(), torch.where(following < lengths, following, 0.0)


class TableNoise(nn.Module):
    """The spectrum of a periodic noise [samples], frame by frame as *analysis* sees it, of mean power :data:`POWER`."""

    #: As loud, by the mean of its logarithm, as frames of unit phasors at random: overlapping costs those 1.2 dB, and
    #: they scatter further below their mean.
    POWER = 0.5

    def __init__(self, noise: Tensor, hop_samples: int, window_samples: int, analysis: nn.Module) -> None:
        super().__init__()
        self.rows = len(noise) // hop_samples
        whole = torch.cat([noise, noise[:window_samples]])
        spectra = analysis(whole.unfold(0, window_samples, hop_samples)[: self.rows])
        scale = torch.sqrt(0.5 * self.POWER / spectra.square().mean())
        self.register_buffer("spectra", spectra * scale, persistent=False)

    def forward(self, row: Tensor) -> Tensor:
        """Row [...] -> spectrum [..., 2 * bins]."""
        return self.get_buffer("spectra")[row]


class SignNoise(nn.Module):
    """Reproducible white noise of +-1 in time, for frames that overlap: they agree where they share samples.

    It is the product of the rows of two tables, and repeats after 4087 frames.
    """

    LENGTHS = (61, 67)

    def __init__(self, hop_samples: int, window_samples: int, seed: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        for index, length in enumerate(self.LENGTHS):
            hops = torch.randint(0, 2, (length, hop_samples), generator=generator) * 2.0 - 1.0
            before = hops.roll(1, 0)[:, 2 * hop_samples - window_samples :]
            self.register_buffer(f"signs_{index}", torch.cat([before, hops], dim=-1), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., 2] -> [..., 1, window_samples]."""
        signs: Tensor = self.get_buffer("signs_0")[rows[..., :1]] * self.get_buffer("signs_1")[rows[..., 1:]]
        return signs
