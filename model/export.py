"""Writes a network as one ONNX file under the streaming contract, and checks what it wrote."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime.errors import FullbandError

from .networks.core import Core
from .networks.transforms import HOP_SAMPLES, SAMPLE_RATE_HZ, WINDOW_SAMPLES
from .stream import Stream, open_session

OPSET = 17
HOPS_PER_SECOND = SAMPLE_RATE_HZ // HOP_SAMPLES

#: Streamed and whole results may differ by rounding only.
TOLERANCE = 1e-5


class ExportError(FullbandError):
    """The file written does not do what the network does."""


@dataclass(frozen=True)
class Cost:
    """What one stream costs."""

    parameters: int
    network_mmac_per_s: float
    signal_mmac_per_s: float
    file_kb: float
    hop_ms_p50: float
    hop_ms_p99: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class _Step(nn.Module):
    """`Core.step` with its states as separate arguments, as the tracer wants them."""

    def __init__(self, network: Core) -> None:
        super().__init__()
        self.network = network

    def forward(self, chunk: Tensor, cutoff_hz: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, following = self.network.step(chunk, cutoff_hz, list(state))
        return output, *following


def metadata(name: str, licence: str, trained_on: str) -> dict[str, str]:
    """The metadata the contract demands."""
    return {
        "fullband.contract": "1",
        "sample_rate_hz": str(SAMPLE_RATE_HZ),
        "hop_samples": str(HOP_SAMPLES),
        "input_samples": str(Core.input_samples),
        "output_samples": str(WINDOW_SAMPLES),
        "latency_samples": str(WINDOW_SAMPLES),
        "mode": "additive",
        "name": name,
        "licence": licence,
        "trained_on": trained_on,
    }


def write_onnx(network: Core, path: Path, properties: Mapping[str, str]) -> None:
    """Export one hop of *network*; the batch is the only dynamic dimension."""
    step = _Step(network).eval()
    batch = 2  # a batch of one would be folded into the graph as a constant
    state = network.initial_state(batch)
    arguments = (torch.zeros(batch, Core.input_samples), torch.full((batch, 1), 8_000.0), *state)
    indices = range(len(state))
    inputs = ["chunk", "cutoff_hz", *(f"state_{index}_in" for index in indices)]
    outputs = ["output", *(f"state_{index}_out" for index in indices)]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter is the one that leaves a flat graph of few operators; it warns of its age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            step,
            arguments,
            buffer,  # type: ignore[arg-type] # a buffer is taken as well, only not declared
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "B"} for name in [*inputs, *outputs]},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    shapes = [(WINDOW_SAMPLES,), *(tuple(tensor.shape[1:]) for tensor in state)]
    for value, shape in zip(model.graph.output, shapes, strict=True):
        dimensions = value.type.tensor_type.shape.dim
        for dimension, size in zip(list(dimensions)[1:], shape, strict=True):
            dimension.dim_value = size
    onnx.helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def _largest_difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.max(np.abs(first - second)))


def check(network: Core, path: Path) -> None:
    """Raise `ExportError` unless the file at *path* streams what *network* computes."""
    generator = np.random.default_rng(0)
    hops = HOPS_PER_SECOND // 2
    settled = (hops - 1) * HOP_SAMPLES
    envelope = np.repeat(generator.uniform(0.0, 0.3, (3, hops)), HOP_SAMPLES, axis=1)
    low = (generator.standard_normal((3, hops * HOP_SAMPLES)) * envelope).astype(np.float32)
    cutoff_hz = np.array([[3_400.0], [8_000.0], [12_000.0]], np.float32)
    with torch.no_grad():
        whole = network(torch.from_numpy(low), torch.from_numpy(cutoff_hz)).numpy()
    session = open_session(path)
    stream = Stream(session, batch=3)
    streamed = stream.run(low, cutoff_hz)
    stream.reset()
    again = stream.run(low, cutoff_hz)
    single = Stream(session).run(low[1:2], cutoff_hz[1:2])
    findings = {
        "streamed and whole": _largest_difference(streamed[:, :settled], whole[:, :settled]),
        "reset and fresh": _largest_difference(streamed, again),
        "batch of one and of three": _largest_difference(streamed[1:2], single),
    }
    for what, difference in findings.items():
        if not difference <= TOLERANCE:
            raise ExportError(f"{path}: {what} differ by {difference:.2e}, more than {TOLERANCE:.0e}")
    present = session.get_modelmeta().custom_metadata_map
    missing = [key for key in metadata("", "", "") if not present.get(key)]
    if missing:
        raise ExportError(f"{path}: no metadata {', '.join(missing)}")


def measure(network: Core, path: Path, hops: int = 2_000) -> Cost:
    """Count the multiplications of *network* and time the file at *path* at batch 1 on one thread."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # Every weight of a matrix is used once a hop, and so is every entry of a transform.
    tables = ("cosine", "sine", "bands", "gather", "spread")
    signal = sum(
        buffer.numel() * (2 if name.endswith("spread") else 1)
        for name, buffer in network.named_buffers()
        if name.endswith(tables)
    )
    session = open_session(path)
    stream = Stream(session)
    generator = np.random.default_rng(0)
    chunk = 0.1 * generator.standard_normal((1, Core.input_samples)).astype(np.float32)
    cutoff_hz = np.full((1, 1), 8_000.0, np.float32)
    spent = np.empty(hops)
    for hop in range(hops):
        start = time.perf_counter()
        stream.step(chunk, cutoff_hz)
        spent[hop] = time.perf_counter() - start
    return Cost(
        parameters=parameters,
        network_mmac_per_s=parameters * HOPS_PER_SECOND / 1e6,
        signal_mmac_per_s=signal * HOPS_PER_SECOND / 1e6,
        file_kb=path.stat().st_size / 1e3,
        hop_ms_p50=1e3 * float(np.percentile(spent, 50)),
        hop_ms_p99=1e3 * float(np.percentile(spent, 99)),
    )
