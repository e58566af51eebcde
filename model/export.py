"""Writes a network as one ONNX file under the streaming contract, and checks what it wrote."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime.errors import FullbandError

from .networks.core import Core
from .networks.transforms import SAMPLE_RATE_HZ, Framing
from .stream import Stream, open_session

OPSET = 17

#: Streamed and whole results may differ by rounding only.
TOLERANCE = 1e-5


#: Buffers that are multiplied with once a hop, by the ends of their names.
_TABLES = ("cosine", "sine", "bands", "gather", "spread")


class ExportError(FullbandError):
    """The file written does not do what the network does."""


@dataclass(frozen=True)
class PartCost:
    """One part's share. *hop_ms* is its part of the median hop, in the proportions of ONNX Runtime's own profile."""

    name: str
    parameters: int
    mmac_per_s: float
    hop_ms: float


@dataclass(frozen=True)
class Cost:
    """What one stream costs."""

    parameters: int
    network_mmac_per_s: float
    signal_mmac_per_s: float
    file_kb: float
    hop_ms_p50: float
    hop_ms_p99: float
    parts: tuple[PartCost, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Step(nn.Module):
    """`Core.step` with its states as separate arguments, as the tracer wants them."""

    def __init__(self, network: Core) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, chunk: Tensor, cutoff_hz: Tensor, level_db: Tensor, tilt_db: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        output, following = self.network.step(chunk, cutoff_hz, level_db, tilt_db, list(state))
        return output, *following


def metadata(framing: Framing, name: str, licence: str, trained_on: str) -> dict[str, str]:
    """The metadata the contract demands."""
    return {
        "fullband.contract": "1",
        "sample_rate_hz": str(SAMPLE_RATE_HZ),
        "hop_samples": str(framing.hop_samples),
        "input_samples": str(Core.input_samples),
        "output_samples": str(framing.window_samples),
        "latency_samples": str(framing.window_samples),
        "mode": "additive",
        "name": name,
        "licence": licence,
        "trained_on": trained_on,
    }


def write_onnx(network: Core, path: Path, properties: Mapping[str, str]) -> None:
    """Export one hop of *network*; the batch is the only dynamic dimension."""
    batch = 2  # a batch of one would be folded into the graph as a constant
    wishes = {"level_db": torch.zeros(batch, 1), "tilt_db": torch.zeros(batch, 1)}
    chunk = torch.zeros(batch, Core.input_samples)
    inputs = {"chunk": chunk, "cutoff_hz": torch.full((batch, 1), 8_000.0), **wishes}
    state = network.initial_state(batch)
    write_graph(_Step(network).eval(), inputs, state, network.framing.window_samples, path, properties)


def exported_weights(path: Path) -> dict[str, Tensor]:
    """The parameters of a network that :func:`write_onnx` wrote, by their names. Raises :class:`FullbandError`."""
    try:
        constants = onnx.load(path).graph.initializer
    except (OSError, DecodeError) as error:
        raise FullbandError(f"{path}: not an ONNX file ({type(error).__name__})") from None
    prefix = "network."
    found = {c.name.removeprefix(prefix): c for c in constants if c.name.startswith(prefix)}
    if not found:
        raise FullbandError(f"{path}: not written by `fullband export`: it names no weights of ours")
    return {name: torch.from_numpy(onnx.numpy_helper.to_array(c).copy()) for name, c in found.items()}


def write_graph(
    step: nn.Module,
    inputs: Mapping[str, Tensor],
    state: Sequence[Tensor],
    output_samples: int,
    path: Path,
    properties: Mapping[str, str],
) -> None:
    """Export *step*, which takes *inputs* and *state* (of a batch of two) and gives the output and the next state."""
    indices = range(len(state))
    input_names = [*inputs, *(f"state_{index}_in" for index in indices)]
    output_names = ["output", *(f"state_{index}_out" for index in indices)]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter is the one that leaves a flat graph of few operators; it warns of its age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            step,
            (*inputs.values(), *state),
            buffer,  # type: ignore[arg-type] # a buffer is taken as well, only not declared
            input_names=input_names,
            output_names=output_names,
            dynamic_axes={name: {0: "B"} for name in [*input_names, *output_names]},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    shapes = [(output_samples,), *(tuple(tensor.shape[1:]) for tensor in state)]
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
    hop = network.framing.hop_samples
    hops = SAMPLE_RATE_HZ // hop // 2
    settled = (hops - 1) * hop
    envelope = np.repeat(generator.uniform(0.0, 0.3, (3, hops)), hop, axis=1)
    low = (generator.standard_normal((3, hops * hop)) * envelope).astype(np.float32)
    cutoff_hz = np.array([[3_400.0], [8_000.0], [12_000.0]], np.float32)
    wishes = np.array([[0.0], [3.0], [-6.0]], np.float32), np.array([[0.0], [-3.0], [2.0]], np.float32)
    with torch.no_grad():
        whole = network(*(torch.from_numpy(value) for value in (low, cutoff_hz, *wishes))).numpy()
    session = open_session(path)
    stream = Stream(session, batch=3)
    streamed = stream.run(low, cutoff_hz, *wishes)
    stream.reset()
    again = stream.run(low, cutoff_hz, *wishes)
    single = Stream(session).run(low[1:2], cutoff_hz[1:2], *(wish[1:2] for wish in wishes))
    findings = {
        "streamed and whole": _largest_difference(streamed[:, :settled], whole[:, :settled]),
        "reset and fresh": _largest_difference(streamed, again),
        "batch of one and of three": _largest_difference(streamed[1:2], single),
    }
    for what, difference in findings.items():
        if not difference <= TOLERANCE:
            raise ExportError(f"{path}: {what} differ by {difference:.2e}, more than {TOLERANCE:.0e}")
    present = session.get_modelmeta().custom_metadata_map
    missing = [key for key in metadata(network.framing, "", "", "") if not present.get(key)]
    if missing:
        raise ExportError(f"{path}: no metadata {', '.join(missing)}")


#: Parts of a network by the first name in a parameter's or an operator's path; all else is the network proper.
_PARTS = {"features": "features", "shaper": "shaping and transform"}
_REST = "network"


def _part(path: str) -> str:
    names = path.strip("/").split("/") if "/" in path else path.split(".")
    return next((_PARTS[name] for name in names if name in _PARTS), _REST)


def _profile(path: Path, feed: Mapping[str, NDArray[np.float32]], hops: int) -> dict[str, float]:
    """Milliseconds a hop that ONNX Runtime spends in each part of the file at *path*."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = {value.name: np.zeros((1, *value.shape[1:]), np.float32) for value in session.get_inputs()} | dict(feed)
        for _ in range(hops):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            part = _part(event["name"])
            spent[part] = spent.get(part, 0.0) + event["dur"] / 1e3 / hops
    return spent


def _multiplications(network: Core, name: str, numel: int) -> int:
    """Products a hop with the table *name* of *numel* entries: each once for all that it is applied to."""
    if not name.endswith(_TABLES):
        return 0
    excitations = network.shaper.excitations
    times = {"shaper.analysis": excitations - 1, "shaper.gather": excitations - 1, "shaper.spread": excitations}
    return numel * next((count for part, count in times.items() if name.startswith(part)), 1)


def _parts(network: Core, path: Path, feed: Mapping[str, NDArray[np.float32]], hop_ms: float) -> tuple[PartCost, ...]:
    parameters: dict[str, int] = {}
    products: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        parameters[_part(name)] = parameters.get(_part(name), 0) + parameter.numel()
        products[_part(name)] = products.get(_part(name), 0) + parameter.numel()
    for name, buffer in network.named_buffers():
        products[_part(name)] = products.get(_part(name), 0) + _multiplications(network, name, buffer.numel())
    spent = _profile(path, feed, 200)
    # Profiling slows small operators most; the proportions are what it tells.
    scale = hop_ms / sum(spent.values())
    per_second = network.framing.hops_per_second / 1e6
    return tuple(
        PartCost(part, parameters.get(part, 0), products.get(part, 0) * per_second, scale * spent.get(part, 0.0))
        for part in ("features", _REST, "shaping and transform")
    )


def measure(network: Core, path: Path, hops: int = 2_000) -> Cost:
    """Count the multiplications of *network* and time the file at *path* at batch 1 on one thread."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # Every weight of a matrix is used once a hop.
    hops_per_second = network.framing.hops_per_second
    signal = sum(_multiplications(network, name, buffer.numel()) for name, buffer in network.named_buffers())
    stream = Stream(open_session(path))
    generator = np.random.default_rng(0)
    chunk = 0.1 * generator.standard_normal((1, Core.input_samples)).astype(np.float32)
    cutoff_hz = np.full((1, 1), 8_000.0, np.float32)
    spent = stream.time_hops(hops, chunk, cutoff_hz)
    feed = {"chunk": chunk, "cutoff_hz": cutoff_hz}
    return Cost(
        parameters=parameters,
        network_mmac_per_s=parameters * hops_per_second / 1e6,
        signal_mmac_per_s=signal * hops_per_second / 1e6,
        file_kb=path.stat().st_size / 1e3,
        hop_ms_p50=1e3 * float(np.percentile(spent, 50)),
        hop_ms_p99=1e3 * float(np.percentile(spent, 99)),
        parts=_parts(network, path, feed, 1e3 * float(np.percentile(spent, 50))),
    )
