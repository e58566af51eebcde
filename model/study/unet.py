"""The study's U-Net: one class with options, as a whole or, where it is causal, block by block.

Strided convolutions go down, convolutions with subpixel up-sampling come up again, each joined by the layer of its
own rate (after Kuleshov et al. 2017, arXiv 1708.00853). The input at the low rate is added before the last
up-blocks, the tail, which reach the high rate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

#: Keras' default for its leaky rectifier, which the study left as it was.
SLOPE = 0.3

#: Taps of the two wider branches of an Inception block, beside the kernel, and of its maximum.
INCEPTION_KERNELS = (64, 128)
POOL = 32

#: Strides of the tail for each factor between the rates.
TAIL_STRIDES = {2: (2,), 4: (2, 2), 6: (2, 3)}

#: Input samples on either side from which the shortcut interpolates, unless a causal network waits for fewer.
INTERPOLATION_REACH = 16

#: Channels that a plain tail block leaves after its up-sampling.
TAIL_CHANNELS = 32

#: Runs one layer: as a whole, or with the state that belongs to it.
Runner = Callable[["StatefulLayer", Tensor], Tensor]


@dataclass(frozen=True)
class UNetConfig:
    """What distinguishes the study's networks. Filters going down name the blocks; those coming up mirror them."""

    factor: int = 4
    down_filters: tuple[int, ...] = (64, 64, 128, 128, 256)
    bottleneck_filters: int = 256
    up_filters: tuple[int, ...] = (256, 128, 128, 64, 64)
    last_filters: int = 64
    tail_channels: int = TAIL_CHANNELS
    kernel: int = 32
    batch_norm: bool = True
    dropout: Literal["all", "not-last-two", "none"] = "all"
    dropout_rate: float = 0.5
    tail: Literal["plain", "inception"] = "plain"
    skips: bool = True
    residual: bool = True
    shortcut: bool = False
    causal: bool = False
    lookahead_samples: int = 0
    input_scale: float = 32_768.0

    @property
    def blocks(self) -> int:
        """Down-blocks, and up-blocks that take a skip."""
        return len(self.down_filters)

    @property
    def stride(self) -> int:
        """Samples at the low rate that are one at the bottleneck."""
        return 2 ** (self.blocks + 1)

    def narrowed(self, share: float) -> UNetConfig:
        """The same network with *share* of every layer's filters."""

        def part(filters: int) -> int:
            return max(2, 2 * round(0.5 * share * filters))

        values = vars(self) | {
            "down_filters": tuple(map(part, self.down_filters)),
            "bottleneck_filters": part(self.bottleneck_filters),
            "up_filters": tuple(map(part, self.up_filters)),
            "last_filters": part(self.last_filters),
            "tail_channels": part(self.tail_channels),
        }
        return UNetConfig(**values)


def subpixel(signal: Tensor, factor: int) -> Tensor:
    """[B, factor · C, n] -> [B, C, factor · n]: sample factor · n + k of channel c was sample n of channel k · C + c.

    What the study did with TensorFlow's ``batch_to_space``.
    """
    batch, channels, samples = signal.shape
    parts = signal.reshape(batch, factor, channels // factor, samples)
    return parts.permute(0, 2, 3, 1).reshape(batch, channels // factor, factor * samples)


class StatefulLayer(nn.Module):
    """A layer over [B, channels, samples] that looks back; *span* samples of its input are its state."""

    def __init__(self, channels: int, window: int, stride: int, causal: bool) -> None:
        super().__init__()
        self.channels = channels
        self.span = window - stride
        #: "same" as Keras has it: the odd sample of the padding comes last.
        self.before = self.span if causal else self.span // 2

    def state_shape(self) -> tuple[int, int]:
        """Without the batch; zeros are a fresh stream."""
        return (self.channels, self.span)

    def compute(self, padded: Tensor) -> Tensor:
        """The layer's output from its padded input."""
        raise NotImplementedError

    def forward(self, signal: Tensor) -> Tensor:
        return self.compute(functional.pad(signal, (self.before, self.span - self.before)))

    def step(self, signal: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next samples and the state -> their output and the next state."""
        joined = torch.cat([state, signal], dim=-1)
        return self.compute(joined), joined[..., joined.shape[-1] - self.span :]


class Convolution(StatefulLayer):
    """Convolution that keeps the length, or halves it with a *stride* of two."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, causal: bool = False) -> None:
        super().__init__(inputs, kernel, stride, causal)
        self.weights = nn.Conv1d(inputs, outputs, kernel, stride)
        nn.init.zeros_(self.weights.bias)  # type: ignore[arg-type] # there is one

    def compute(self, padded: Tensor) -> Tensor:
        return self.weights(padded)


class RunningMaximum(StatefulLayer):
    """Maximum over *window* samples; what lies outside of the signal counts as zero, as it does for convolutions."""

    def __init__(self, channels: int, window: int, causal: bool) -> None:
        super().__init__(channels, window, 1, causal)
        self.window = window

    def compute(self, padded: Tensor) -> Tensor:
        return functional.max_pool1d(padded, self.window, 1)


class Interpolation(StatefulLayer):
    """The signal [B, 1, n] *factor* times as dense, by a windowed sine over *reach* samples either side; not trained.

    Where it is causal it is *reach* samples late.
    """

    def __init__(self, factor: int, reach: int, causal: bool) -> None:
        super().__init__(1, 2 * reach + 1, 1, causal)
        self.factor = factor
        # Sample k of the window lies (reach - k) samples before the first of the *factor* that are made.
        distance = np.arange(factor)[:, None] / factor + reach - np.arange(2 * reach + 1)
        taper = np.where(np.abs(distance) < reach, np.cos(0.5 * np.pi * distance / max(reach, 1)) ** 2, 0.0)
        self.taps: Tensor
        taps = torch.tensor(np.sinc(distance) * taper, dtype=torch.float32)
        self.register_buffer("taps", taps[:, None], persistent=False)

    def compute(self, padded: Tensor) -> Tensor:
        return subpixel(functional.conv1d(padded, self.taps), self.factor)


class DownBlock(nn.Module):
    """Convolution of stride two, batch norm, rectifier."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig, batch_norm: bool) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, outputs, config.kernel, 2, config.causal)
        nn.init.orthogonal_(self.convolution.weights.weight)
        # Keras' defaults: the running mean moves by a hundredth, and variances are floored at 1e-3.
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3, momentum=0.01) if batch_norm else nn.Identity()

    def forward(self, signal: Tensor, run: Runner) -> Tensor:
        return functional.leaky_relu(self.norm(run(self.convolution, signal)), SLOPE)


class UpBlock(nn.Module):
    """Convolutions side by side, rectifier, dropout, subpixel up-sampling. *outputs* channels leave it."""

    def __init__(self, inputs: int, filters: int, config: UNetConfig, *, stride: int, inception: bool, dropout: bool):
        super().__init__()
        self.stride = stride
        kernels = (config.kernel, *INCEPTION_KERNELS) if inception else (config.kernel,)
        counts = [filters] * len(kernels)
        whole = sum(counts) + (inputs if inception else 0)
        counts[0] += -whole % stride  # subpixel up-sampling deals the channels out evenly
        self.branches = nn.ModuleList(
            Convolution(inputs, count, kernel, causal=config.causal)
            for count, kernel in zip(counts, kernels, strict=True)
        )
        for branch in self.branches:
            nn.init.xavier_uniform_(branch.weights.weight)  # type: ignore[union-attr, arg-type]
        self.maximum = RunningMaximum(inputs, POOL, config.causal) if inception else None
        self.dropout = nn.Dropout(config.dropout_rate if dropout else 0.0)
        self.outputs = (sum(counts) + (inputs if inception else 0)) // stride

    def _layers(self) -> list[StatefulLayer]:
        layers = [branch for branch in self.branches if isinstance(branch, StatefulLayer)]
        return layers if self.maximum is None else [*layers, self.maximum]

    def forward(self, signal: Tensor, run: Runner) -> Tensor:
        joined = torch.cat([run(layer, signal) for layer in self._layers()], dim=1)
        return subpixel(self.dropout(functional.leaky_relu(joined, SLOPE)), self.stride)


class UNet(nn.Module):
    """Speech at the low rate, in ±1 -> the same *factor* times as dense. Scales as the study's int16 inside."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        if config.factor not in TAIL_STRIDES:
            raise ValueError(f"no tail for a factor of {config.factor}")
        channels, down = 1, []
        for filters in config.down_filters:
            down.append(DownBlock(channels, filters, config, config.batch_norm))
            channels = filters
        self.down = nn.ModuleList(down)
        self.bottleneck = DownBlock(channels, config.bottleneck_filters, config, False)
        channels, up = config.bottleneck_filters, []
        some = config.dropout != "none"
        for filters, skip in zip(config.up_filters, reversed(config.down_filters), strict=True):
            up.append(UpBlock(channels, filters, config, stride=2, inception=False, dropout=some))
            channels = up[-1].outputs + (skip if config.skips else 0)
        up.append(UpBlock(channels, config.last_filters, config, stride=2, inception=False, dropout=some))
        self.up = nn.ModuleList(up)
        channels, tail = up[-1].outputs, []
        for stride in TAIL_STRIDES[config.factor]:
            filters = stride * config.tail_channels
            inception = config.tail == "inception"
            tail.append(
                UpBlock(channels, filters, config, stride=stride, inception=inception, dropout=config.dropout == "all")
            )
            channels = tail[-1].outputs
        self.tail = nn.ModuleList(tail)
        self.last = nn.Conv1d(channels, 1, 1)
        self.shortcut: Interpolation | None = None
        if config.shortcut:
            reach = config.lookahead_samples if config.causal else INTERPOLATION_REACH
            self.shortcut = Interpolation(config.factor, reach, config.causal)
            nn.init.zeros_(self.last.weight)  # training begins with the interpolation
        else:
            nn.init.xavier_uniform_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type] # there is one

    @property
    def delay_samples(self) -> int:
        """Samples at the high rate by which the output lags the input, so that a causal network may look ahead."""
        return self.config.lookahead_samples * self.config.factor

    def parts(self) -> list[str]:
        """What `forward` can leave out: the skips from the highest rate down, and the added input."""
        skips = [f"skip {number}" for number in range(1, self.config.blocks + 1)] if self.config.skips else []
        return [*skips, *(["residual"] if self.config.residual else [])]

    def _walk(self, low: Tensor, run: Runner, silenced: Collection[str]) -> Tensor:
        given = self.config.input_scale * low.unsqueeze(1)
        signal, skips = given, []
        for block in self.down:
            signal = block(signal, run)
            skips.append(signal)
        signal = self.bottleneck(signal, run)
        for number, block in zip(range(self.config.blocks, 0, -1), self.up, strict=False):
            signal = block(signal, run)
            if self.config.skips:
                skip = skips[number - 1]
                signal = torch.cat([signal, torch.zeros_like(skip) if f"skip {number}" in silenced else skip], dim=1)
        signal = self.up[-1](signal, run)
        if self.config.residual and "residual" not in silenced:
            signal = signal + given
        for block in self.tail:
            signal = block(signal, run)
        output = self.last(signal) / self.config.input_scale
        if self.shortcut is not None:
            output = output + run(self.shortcut, low.unsqueeze(1))
        return output.squeeze(1)

    def forward(self, low: Tensor, silenced: Collection[str] = ()) -> Tensor:
        """[B, samples] -> [B, factor · samples], whatever their number; *silenced* are `parts` to leave out."""
        samples = low.shape[-1]
        padded = functional.pad(low, (0, -samples % self.config.stride))
        high = self._walk(padded, lambda layer, signal: layer(signal), silenced)
        return high[..., : self.config.factor * samples]

    def layers(self) -> Iterator[StatefulLayer]:
        """All layers that look back, in the order in which they run."""
        for block in (*self.down, self.bottleneck):
            yield block.convolution
        for block in (*self.up, *self.tail):
            yield from block._layers()
        if self.shortcut is not None:
            yield self.shortcut

    def initial_state(self, batch: int) -> list[Tensor]:
        """States of fresh streams."""
        return [torch.zeros(batch, *layer.state_shape()) for layer in self.layers()]

    def step(self, low: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The next samples [B, n · stride] of a causal network -> [B, n · stride · factor] and the next states."""
        if not self.config.causal:
            raise ValueError("a U-Net that is not causal needs the whole signal")
        before = iter(state)
        after: list[Tensor] = []

        def run(layer: StatefulLayer, signal: Tensor) -> Tensor:
            output, following = layer.step(signal, next(before))
            after.append(following)
            return output

        return self._walk(low, run, ()), after


def count_parameters(network: nn.Module) -> int:
    """Numbers that a checkpoint holds, as Keras counts them: batch norm's running means and variances too."""
    running = [value for name, value in network.named_buffers() if "running_" in name]
    return sum(value.numel() for value in (*network.parameters(), *running))
