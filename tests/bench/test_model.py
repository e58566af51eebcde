"""Hops are timed one by one where they are run, ours and other makers' files alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench.model import hops, operators, sweep
from bench.model import report as model_report
from bench.model.hops import Batch, ModelRunner
from bench.model.peer import PeerRunner
from realtime.errors import FullbandError
from tests.models import HOP, identity_model
from tests.realtime.test_cli import run


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    return identity_model(tmp_path / "identity.onnx", mode="additive")


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A file of another maker: an open dimension, a whole number, two outputs."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n"])
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    z = helper.make_tensor_value_info("z", TensorProto.INT64, None)
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Add", ["count", "count"], ["z"])]
    graph = helper.make_graph(nodes, "peer", [x, count], [y, z])
    path = tmp_path / "peer.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def test_each_hop_has_its_own_time_whatever_the_hop_is(tmp_path: Path) -> None:
    for hop in (HOP, HOP // 2, 184):
        runner = ModelRunner(identity_model(tmp_path / f"{hop}.onnx", hop=hop), streams=2)
        try:
            spent = np.array([runner.once() for _ in range(50)])
            statistics = runner._stream.statistics()
        finally:
            runner.close()
        assert statistics.hops == 50
        assert (spent > 0.0).all()
        assert spent.sum() == pytest.approx(statistics.compute.sum_ms)
        assert (runner.warm_up_ms > 0.0).all()


def test_a_pace_is_kept(identity: Path) -> None:
    runner = ModelRunner(identity)
    try:
        spent = hops.pace(runner, seconds=0.2, every_ms=4.0)
    finally:
        runner.close()
    assert len(spent) == 50


def test_a_file_of_another_maker_is_run_on_zeros(peer: Path) -> None:
    runner = PeerRunner(peer, hop_ms=10.0, shapes={"x": (1, 64), "of another file": (3,)})
    try:
        spent = np.array([runner.once() for _ in range(10)])
    finally:
        runner.close()
    assert (spent > 0.0).all()
    assert not model_report.keeps_contract(peer)


def test_a_file_that_does_not_run_on_zeros_is_told_with_the_way_out(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [7, -1])
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "shape"], ["y"])], "peer", [x], [y], [shape])
    path = tmp_path / "picky.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    with pytest.raises(FullbandError, match=r"picky.onnx.*--shape x=1x\?"):
        PeerRunner(path)
    PeerRunner(path, shapes={"x": (1, 14)}).close()


def test_a_broken_contract_is_refused_and_not_taken_for_a_peer(tmp_path: Path) -> None:
    broken = identity_model(tmp_path / "broken.onnx", metadata={"mode": "loud"})
    with pytest.raises(FullbandError, match="metadata 'mode'"):
        model_report.keeps_contract(broken)


def test_the_profile_names_the_operators_of_the_graph(identity: Path) -> None:
    found = operators.profile(lambda options: ModelRunner(identity, options=options))
    assert {one.operator for one in found} <= {"Slice", "Mul", "Equal", "Where", "Add", "1 others", "2 others"}
    assert sum(one.share_percent for one in found) == pytest.approx(100.0)
    # ONNX Runtime makes equal nodes one.
    nodes = len(onnx.load(identity).graph.node)
    assert nodes - 1 <= sum(one.count for one in found) <= nodes


def test_every_change_of_an_option_is_one_change() -> None:
    ships = sweep.variants()["as it ships"]
    for name, options in sweep.variants().items():
        changed = {key for key, value in vars(options).items() if value != getattr(ships, key)}
        expected = {"intra_op_threads"} if "not spinning" in name else {"intra_op_threads", "allow_spinning"}
        assert changed == expected if "threads" in name else len(changed) == (name != "as it ships")


def test_streams_are_counted_up_to_the_last_batch_that_held() -> None:
    found = [Batch(1, 0.1, 9.0, 0.1, True), Batch(2, 3.0, 9.0, 1.5, True), Batch(4, 5.0, 9.0, 1.2, False)]
    assert hops.streams_per_core(found) == 2
    assert hops.streams_per_core(found[2:]) == 0


def test_slow_hops_of_the_warm_up_are_counted() -> None:
    assert hops.warm_up(np.array([9.0, 1, 3, 1, 1, 1, 1, 1, 1, 1])) == {"first_hop_ms": 9.0, "warm_up_hops": 3.0}


def test_the_command_measures_ours_beside_a_peer(identity: Path, peer: Path, tmp_path: Path) -> None:
    arguments = ["--seconds", "0.5", "--rounds", "2", "--peer-hop", "10", "--shape", "x=1x64", "--json", "-"]
    done = run("bench", "model", identity, peer, *arguments, "--operators", "--html", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    ours, theirs = report["models"]
    assert ours["hop_ms"] == 4.0
    assert ours["latency_ms"] == 8.0
    assert ours["streams_per_core"] >= 1
    assert theirs["latency_ms"] is None
    assert theirs["rtf"] == pytest.approx(theirs["p50_ms"] / 10.0, abs=1e-4)
    for row in report["models"]:
        assert 0.0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["p999_ms"] <= row["max_ms"]
    assert len(report["series"]["identity: hop"]["rounds"]) == 2
    assert "<svg" in (tmp_path / "page.html").read_text()


def test_one_model_has_its_figures_at_the_top(identity: Path) -> None:
    done = run("bench", "model", identity, "--seconds", "0.5", "--rounds", "1", "--json", "-")
    figures = json.loads(done.stdout)
    wanted = ("hop_ms", "latency_ms", "p50_ms", "p99_ms", "p999_ms", "rtf", "streams_per_core", "start_up_ms")
    assert all(figures[key] > 0 for key in wanted)
