"""Small model files under the contract, made on the spot, whose output is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HOP = 192
WINDOW = 384
CHUNK = 480


def identity_model(
    path: Path,
    *,
    mode: str = "replace",
    gain: float = 1.0,
    hop: int = HOP,
    poison_hop: int | None = None,
    metadata: dict[str, str | None] | None = None,
) -> Path:
    """Write a model whose overlap-added output is its input times *gain*, one window (384 samples) later.

    Its state counts hops; at *poison_hop* the output is NaN. *metadata* overrides keys, None removes one.
    """
    window = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2 * 2 * hop / WINDOW
    constants = {
        "start": np.array([CHUNK - WINDOW], np.int64),
        "end": np.array([CHUNK], np.int64),
        "axis": np.array([1], np.int64),
        "window": (gain * window).astype(np.float32)[None],
        "one": np.ones((1, 1), np.float32),
        "zero": np.zeros((1, 1), np.float32),
        "poison": np.full((1, 1), -1.0 if poison_hop is None else poison_hop, np.float32),
        "nan": np.full((1, 1), np.nan, np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["chunk", "start", "end", "axis"], ["newest"]),
        helper.make_node("Mul", ["newest", "window"], ["windowed"]),
        helper.make_node("Equal", ["state_0_in", "poison"], ["poisoned"]),
        helper.make_node("Where", ["poisoned", "nan", "zero"], ["harm"]),
        helper.make_node("Add", ["windowed", "harm"], ["output"]),
        helper.make_node("Add", ["state_0_in", "one"], ["state_0_out"]),
    ]
    batch = ["B"]

    def tensor(name: str, size: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [*batch, size])

    graph = helper.make_graph(
        nodes,
        "identity",
        [tensor("chunk", CHUNK), tensor("state_0_in", 1)],
        [tensor("output", WINDOW), tensor("state_0_out", 1)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    declared: dict[str, str | None] = {
        "fullband.contract": "1",
        "sample_rate_hz": "48000",
        "hop_samples": str(hop),
        "input_samples": str(CHUNK),
        "output_samples": str(WINDOW),
        "latency_samples": str(WINDOW),
        "mode": mode,
        "name": "identity",
        "licence": "CC0",
        "trained_on": "nothing",
    }
    declared.update(metadata or {})
    helper.set_model_props(model, {key: value for key, value in declared.items() if value is not None})
    onnx.save(model, str(path))
    return path
