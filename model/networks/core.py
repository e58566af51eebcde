"""The network: a few excitations, shaped by band gains that a small recurrent network predicts.

The low band is never touched. Features and gains are relative to a running level, so the ratio of high to low
band does not depend on loudness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .features import HIGHEST_CUTOFF_HZ, LOWEST_CUTOFF_HZ, Features
from .layers import CausalConv, FloorLevel, Gru, RowCounter, StreamingLayer, VoiceLevel
from .shaper import Shaper
from .transforms import CHUNK_SAMPLES, Framing, frame, overlap_add

#: Mean square (-120 dBFS, under the rounding noise of 16 bit) at which the output has faded by half:
#: silence stays silent, the quietest pause still has its own high band.
GATE_POWER = 1e-12

#: The reference level falls by 8 dB a second: slower than syllables, faster than a change of talker.
LEVEL_DECAY_DB_PER_S = 8.0

#: The floor of a band rises by 6 dB a second: a pause is remembered over a sentence. It is told
#: relative to the level, so that a microphone that is turned up, and its noise with it, moves nothing.
FLOOR_RISE_DB_PER_S = 6.0

#: What the recurrent layer knows fades as fast: within the segments that it learns from, and soon after another cutoff.
MEMORY_S = 0.7

#: Natural logarithm of a bin's amplitude relative to the level; the start is that of quiet speech.
GAIN_RANGE = (-14.0, 2.0)
INITIAL_GAIN = -6.0

#: Logits of the mix; an excitation at the lower end is 35 dB down and its gradient still finite.
MIX_RANGE = (-4.0, 4.0)


@dataclass(frozen=True)
class CoreConfig:
    """What distinguishes one size of the network from another."""

    channels: int = 128
    dilations: tuple[int, ...] = (1, 2, 4)
    gain_bands: int = 24
    pulsed: bool = True
    framing: Framing = field(default_factory=Framing)


class Heard(NamedTuple):
    """What is known of frames [B, T, ...] or of one [B, ...].

    *gate* is 1 where there is sound, *amplitude* the root of the level. The *relative* powers fall to *floor*, both in
    logarithms.
    """

    gate: Tensor
    amplitude: Tensor
    relative: Tensor
    floor: Tensor


class Core(nn.Module):
    """Low band at 48 kHz and its cutoff -> high band to add, one window later when streamed."""

    input_samples = CHUNK_SAMPLES

    def __init__(self, config: CoreConfig | None = None) -> None:
        super().__init__()
        self.config = config or CoreConfig()
        self.framing = self.config.framing
        #: Run the layers (not the transforms, whose range is too wide for it) in 16 bit where that is faster.
        self.mixed_precision = False
        channels, bands = self.config.channels, self.config.gain_bands
        self.features = Features()
        self.shaper = Shaper(self.framing, bands, self.config.pulsed)
        hops_per_second = self.framing.hops_per_second
        self.level = VoiceLevel(LEVEL_DECAY_DB_PER_S, hops_per_second)
        self.floor = FloorLevel(FLOOR_RISE_DB_PER_S / hops_per_second, Features.POWERS)
        self.rows = RowCounter(self.shaper.tables)
        self.enter = nn.Linear(Features.SIZE, channels)
        self.layers = nn.ModuleList(
            [
                *(CausalConv(channels, dilation) for dilation in self.config.dilations),
                Gru(channels, 1.0 / (MEMORY_S * hops_per_second)),
            ]
        )
        self.leave = nn.Linear(channels, (1 + self.shaper.excitations) * bands)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            self.leave.bias.zero_()
            self.leave.bias[:bands] = INITIAL_GAIN

    def _streaming_layers(self) -> list[StreamingLayer]:
        return [layer for layer in self.layers if isinstance(layer, StreamingLayer)]

    def initial_state(self, batch: int) -> list[Tensor]:
        """States of fresh streams: level, floor, noise, excitations, then one for each layer."""
        shapes = [part.state_shape() for part in (self.level, self.floor, self.rows, self.shaper.recent)]
        shapes += [layer.state_shape() for layer in self._streaming_layers()]
        return [torch.zeros(batch, *shape) for shape in shapes]

    def hear(self, chunks: Tensor) -> Heard:
        """Chunks [B, T, CHUNK_SAMPLES] from a fresh stream on -> what is known at each."""
        powers = self.features.powers(chunks)
        level, told = self.level(self.features.loudness(powers), self.features.is_full(chunks))
        relative = self.features.relative(powers, level)
        return self._heard(powers, level, relative, self.floor(relative, told))

    def _hear_step(self, chunk: Tensor, level_state: Tensor, floor_state: Tensor) -> tuple[Heard, Tensor, Tensor]:
        powers, full = self.features.powers(chunk), self.features.is_full(chunk)
        level, told, level_state = self.level.step(self.features.loudness(powers), full, level_state)
        relative = self.features.relative(powers, level)
        floor, floor_state = self.floor.step(relative, told, floor_state)
        return self._heard(powers, level, relative, floor), level_state, floor_state

    def _heard(self, powers: Tensor, level: Tensor, relative: Tensor, floor: Tensor) -> Heard:
        newest = self.features.newest(powers)
        return Heard(newest / (newest + GATE_POWER), torch.sqrt(level + GATE_POWER), relative, floor)

    def _enter(self, heard: Heard, cutoff_hz: Tensor) -> Tensor:
        return functional.leaky_relu(self.enter(self.features(heard.relative, heard.floor, cutoff_hz)), 0.1)

    def _gains(self, hidden: Tensor, heard: Heard) -> tuple[Tensor, Tensor]:
        """Amplitude [..., bands] and mix [..., excitations, bands] from the last hidden layer."""
        bands = self.config.gain_bands
        outputs = self.leave(hidden)
        amplitude = torch.exp(outputs[..., :bands].clamp(*GAIN_RANGE)) * (heard.amplitude * heard.gate)
        logits = outputs[..., bands:].clamp(*MIX_RANGE)
        # The batch alone is left open, so that a graph of one hop has no shape to compute.
        logits = logits.reshape(-1, *logits.shape[1:-1], self.shaper.excitations, bands)
        return amplitude, torch.softmax(logits, dim=-2)

    def _newest(self, chunk: Tensor, amplitude: Tensor) -> Tensor:
        """Newest window of *chunk*, and a sample before it, at unit level: excitations are then the same at any."""
        return chunk[..., -self.framing.window_samples - 1 :] / amplitude

    def forward(
        self, low: Tensor, cutoff_hz: Tensor, level_db: Tensor | None = None, tilt_db: Tensor | None = None
    ) -> Tensor:
        """Low band [B, samples], a multiple of the hop, and cutoff [B, 1] -> high band in place, [B, samples].

        *level_db* and *tilt_db* [B, 1] are the listener's wish (0 by default). The result lines up with the input;
        its last hop is incomplete, as no frame follows.
        """
        chunks = frame(low, self.framing)
        cutoff_hz = cutoff_hz.clamp(LOWEST_CUTOFF_HZ, HIGHEST_CUTOFF_HZ).unsqueeze(1)
        heard = self.hear(chunks)
        everywhere_hz = cutoff_hz.expand(-1, chunks.shape[1], -1)
        hidden = self._enter(heard, everywhere_hz)
        with torch.autocast(low.device.type, torch.bfloat16, enabled=self.mixed_precision):
            for layer in self.layers:
                hidden = layer(hidden)
        gain, mix = self._gains(hidden.float(), heard)
        wishes = [torch.zeros_like(cutoff_hz) if wish is None else wish.unsqueeze(1) for wish in (level_db, tilt_db)]
        mask = self.shaper.crossover(cutoff_hz, *wishes)
        rows = self.rows(chunks.shape[1]).expand(len(low), -1, -1)
        frames = self.shaper(self._newest(chunks, heard.amplitude), rows, gain, mix, mask, self.shaper.recent)
        return overlap_add(frames, self.framing)

    def step(
        self, chunk: Tensor, cutoff_hz: Tensor, level_db: Tensor, tilt_db: Tensor, state: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Newest chunk [B, CHUNK_SAMPLES] and controls [B, 1] -> frame [B, window_samples] to overlap-add."""
        cutoff_hz = cutoff_hz.clamp(LOWEST_CUTOFF_HZ, HIGHEST_CUTOFF_HZ)
        heard, *known = self._hear_step(chunk, state[0], state[1])
        rows, next_rows = self.rows.step(state[2])
        following = [*known, next_rows, state[3]]
        hidden = self._enter(heard, cutoff_hz)
        for layer, layer_state in zip(self._streaming_layers(), state[4:], strict=True):
            hidden, layer_state = layer.step(hidden, layer_state)
            following.append(layer_state)
        gain, mix = self._gains(hidden, heard)
        mask = self.shaper.crossover(cutoff_hz, level_db, tilt_db)

        def mean(power: Tensor) -> Tensor:
            recent, following[3] = self.shaper.recent.step(power, state[3])
            return recent

        return self.shaper(self._newest(chunk, heard.amplitude), rows, gain, mix, mask, mean), following
