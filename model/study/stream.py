"""The causal U-Net under the host's contract: it replaces the whole signal, hop by hop.

A hop is as many samples as one of the bottleneck: 64 at the low rate with five blocks, 256 at 48 kHz. What a hop
holds comes out of it at once, so that the hop is the least latency; to it come the samples that the network was
trained to look ahead, and half of the filter that takes the host's 48 kHz down to the low rate.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import signal
from torch import Tensor, nn
from torch.nn import functional

from realtime.errors import FullbandError

from ..export import ExportError, write_graph
from ..networks.transforms import SAMPLE_RATE_HZ
from ..stream import Stream, open_session
from .trainer import Trained
from .unet import UNet, count_parameters

#: Taps on either side of the filter's middle, 0.7 ms, and its -6 dB point over half the low rate: a voice that ends
#: there passes whole, and of one that goes on little is folded.
HALF_TAPS = 32
EDGE = 1.15

#: Streamed and whole results may differ by rounding only.
TOLERANCE = 1e-5


class HostedUNet(nn.Module):
    """Takes a hop of 48 kHz, filters it down, and runs a causal U-Net on it."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        if not network.config.causal:
            raise FullbandError("only a causal network can stream: train one with network.causal = true")
        self.network = network
        factor = network.config.factor
        taps = signal.firwin(2 * HALF_TAPS + 1, EDGE / factor)
        self.taps: Tensor
        self.register_buffer("taps", torch.tensor(taps, dtype=torch.float32)[None, None], persistent=False)
        self.factor = factor
        self.hop_samples = network.config.stride * factor
        #: Samples of the past that the filter needs before a hop.
        self.past_samples = 2 * HALF_TAPS
        self.input_samples = self.past_samples + self.hop_samples
        self.latency_samples = self.hop_samples + HALF_TAPS + network.delay_samples

    def down(self, padded: Tensor) -> Tensor:
        """48 kHz [B, past + n] -> the low rate [B, n / factor], late by half of the filter."""
        return functional.conv1d(padded.unsqueeze(1), self.taps, stride=self.factor).squeeze(1)

    def initial_state(self, batch: int) -> list[Tensor]:
        """States of fresh streams."""
        return self.network.initial_state(batch)

    def forward(self, low: Tensor) -> Tensor:
        """Low band [B, n] at 48 kHz, whole hops -> the whole band, late by the latency less a hop."""
        padded = functional.pad(low, (self.past_samples, 0))
        return self.network(self.down(padded)[:, : low.shape[1] // self.factor])

    def step(self, chunk: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The newest chunk [B, input_samples] and the states -> a hop [B, hop_samples] and the next states."""
        low = self.down(chunk)[:, : self.network.config.stride]
        output, following = self.network.step(low, state)
        return output, *following


class _Step(nn.Module):
    """`HostedUNet.step` as the tracer wants it."""

    def __init__(self, hosted: HostedUNet) -> None:
        super().__init__()
        self.hosted = hosted

    def forward(self, chunk: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self.hosted.step(chunk, *state)


def metadata(hosted: HostedUNet, name: str, licence: str, trained_on: str) -> dict[str, str]:
    """The metadata the contract demands."""
    return {
        "fullband.contract": "1",
        "sample_rate_hz": str(SAMPLE_RATE_HZ),
        "hop_samples": str(hosted.hop_samples),
        "input_samples": str(hosted.input_samples),
        "output_samples": str(hosted.hop_samples),
        "latency_samples": str(hosted.latency_samples),
        "mode": "replace",
        "name": name,
        "licence": licence,
        "trained_on": trained_on,
    }


def write(hosted: HostedUNet, path: Path, properties: dict[str, str]) -> None:
    """Export one hop; the batch is the only dynamic dimension."""
    state = hosted.initial_state(2)  # a batch of one would be folded into the graph as a constant
    inputs = {"chunk": torch.zeros(2, hosted.input_samples)}
    write_graph(_Step(hosted).eval(), inputs, state, hosted.hop_samples, path, properties)


def check(hosted: HostedUNet, path: Path) -> float:
    """The largest difference between the file's stream and the network run whole; an error if it is no rounding."""
    hops = 24
    generator = np.random.default_rng(0)
    low = (0.2 * generator.standard_normal((2, hops * hosted.hop_samples))).astype(np.float32)
    with torch.no_grad():
        whole = hosted(torch.from_numpy(low)).numpy()
    stream = Stream(open_session(path), batch=2)
    past = np.pad(low, ((0, 0), (hosted.past_samples, 0)))
    hop = hosted.hop_samples
    streamed = [
        stream.step(np.ascontiguousarray(past[:, start : start + hosted.input_samples]))
        for start in range(0, hops * hop, hop)
    ]
    difference = float(np.max(np.abs(np.concatenate(streamed, axis=1) - whole)))
    if not difference <= TOLERANCE:
        raise ExportError(f"{path}: streamed and whole differ by {difference:.2e}, more than {TOLERANCE:.0e}")
    return difference


@dataclass(frozen=True)
class Cost:
    """What one stream costs; times are of one hop on one thread. A *rtf* above 1 is too slow to be live.

    *hop_cpu_ms* is the mean of the processor's own time, which a busy machine does not lengthen as it does the others.
    """

    parameters: int
    mmac_per_s: float
    file_kb: float
    hop_ms: float
    latency_ms: float
    hop_ms_p50: float
    hop_ms_p99: float
    hop_cpu_ms: float

    @property
    def rtf(self) -> float:
        """Real-time factor by the processor's own time."""
        return self.hop_cpu_ms / self.hop_ms

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "rtf": self.rtf}


def cost_of(path: Path, name: str, hops: int = 400) -> dict[str, Any]:
    """One hop of any model of the host on one thread: milliseconds by the clock, and of the processor alone."""
    stream = Stream(open_session(path))
    chunk = 0.1 * np.random.default_rng(0).standard_normal((1, stream.input_samples), np.float32)
    cutoff_hz = np.full((1, 1), 6_000.0, np.float32)
    stream.time_hops(4, chunk, cutoff_hz)  # the first ones make room
    busy_s = time.thread_time()
    spent_ms = 1e3 * stream.time_hops(hops, chunk, cutoff_hz)
    busy_s = time.thread_time() - busy_s
    hop_ms = 1e3 * stream.hop_samples / SAMPLE_RATE_HZ
    return {
        "name": name,
        "hop_ms": hop_ms,
        "latency_ms": 1e3 * stream.latency_samples / SAMPLE_RATE_HZ,
        "hop_ms_p50": float(np.percentile(spent_ms, 50)),
        "hop_ms_p99": float(np.percentile(spent_ms, 99)),
        "hop_cpu_ms": 1e3 * busy_s / hops,
        "rtf": 1e3 * busy_s / hops / hop_ms,
        "file_kb": path.stat().st_size / 1e3,
    }


def multiplications(network: UNet) -> int:
    """Products of one hop: every weight of a convolution once for each of its output samples."""
    count = 0
    low = network.config.stride

    def layer(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal count
        del inputs
        assert isinstance(module, nn.Conv1d)
        count += module.weight.numel() * output.shape[-1]

    hooks = [one.register_forward_hook(layer) for one in network.modules() if isinstance(one, nn.Conv1d)]
    with torch.no_grad():
        network(torch.zeros(1, low))
    for hook in hooks:
        hook.remove()
    return count


def measure(hosted: HostedUNet, path: Path, hops: int = 400) -> Cost:
    """Count the multiplications and time the file at *path* at batch 1 on one thread."""
    timed = cost_of(path, path.stem, hops)
    return Cost(
        parameters=count_parameters(hosted.network),
        mmac_per_s=multiplications(hosted.network) * SAMPLE_RATE_HZ / hosted.hop_samples / 1e6,
        file_kb=timed["file_kb"],
        hop_ms=timed["hop_ms"],
        latency_ms=timed["latency_ms"],
        hop_ms_p50=timed["hop_ms_p50"],
        hop_ms_p99=timed["hop_ms_p99"],
        hop_cpu_ms=timed["hop_cpu_ms"],
    )


def export(trained: Trained, path: Path, name: str, licence: str, trained_on: str) -> tuple[Cost, float]:
    """Write, check and time; gives the cost and the largest difference between streamed and whole."""
    hosted = HostedUNet(trained.network).eval()
    write(hosted, path, metadata(hosted, name, licence, trained_on))
    return measure(hosted, path), check(hosted, path)
