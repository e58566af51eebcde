"""Small model files under the contract, made on the spot, whose output is known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HOP = 192
WINDOW = 384
CHUNK = 480

#: Side of the matrix that a model with work to do multiplies by.
_WORK_SIZE = 1_024


def identity_model(
    path: Path,
    *,
    mode: str = "replace",
    gain: float = 1.0,
    hop: int = HOP,
    poison_hop: int | None = None,
    poison_state_hop: int | None = None,
    poison: float = float("nan"),
    work: int = 0,
    metadata: dict[str, str | None] | None = None,
) -> Path:
    """Write a model whose overlap-added output is its input times *gain*, one window (384 samples) later.

    Its state counts hops; at *poison_hop* the output is *poison* (NaN), at *poison_state_hop* the state is, and the
    output is not. *work* times it multiplies by a matrix of 4 MB, to no effect. *metadata* overrides keys, None
    removes one.
    """
    window = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2 * 2 * hop / WINDOW
    constants: dict[str, np.ndarray] = {
        "start": np.array([CHUNK - WINDOW], np.int64),
        "end": np.array([CHUNK], np.int64),
        "axis": np.array([1], np.int64),
        "window": (gain * window).astype(np.float32)[None],
        "one": np.ones((1, 1), np.float32),
        "zero": np.zeros((1, 1), np.float32),
        "poison": np.full((1, 1), -1.0 if poison_hop is None else poison_hop, np.float32),
        "poison_state": np.full((1, 1), -1.0 if poison_state_hop is None else poison_state_hop, np.float32),
        "nan": np.full((1, 1), poison, np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["chunk", "start", "end", "axis"], ["newest"]),
        helper.make_node("Mul", ["newest", "window"], ["windowed"]),
        helper.make_node("Equal", ["state_0_in", "poison"], ["poisoned"]),
        helper.make_node("Where", ["poisoned", "nan", "zero"], ["harm"]),
        helper.make_node("Add", ["windowed", "harm"], ["output" if not work else "given"]),
        helper.make_node("Add", ["state_0_in", "one"], ["counted"]),
        helper.make_node("Equal", ["state_0_in", "poison_state"], ["state_poisoned"]),
        helper.make_node("Where", ["state_poisoned", "nan", "counted"], ["state_0_out"]),
    ]
    if work:
        constants["matrix"] = (np.eye(_WORK_SIZE) / _WORK_SIZE).astype(np.float32)
        constants["spread"] = np.full((WINDOW, _WORK_SIZE), 1e-6, np.float32)
        constants["nothing"] = np.zeros((_WORK_SIZE, WINDOW), np.float32)
        nodes.append(helper.make_node("MatMul", ["given", "spread"], ["work_0"]))
        for k in range(work):
            nodes.append(helper.make_node("MatMul", [f"work_{k}", "matrix"], [f"product_{k}"]))
            nodes.append(helper.make_node("Tanh", [f"product_{k}"], [f"work_{k + 1}"]))
        nodes.append(helper.make_node("MatMul", [f"work_{work}", "nothing"], ["no_effect"]))
        nodes.append(helper.make_node("Add", ["given", "no_effect"], ["output"]))
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
