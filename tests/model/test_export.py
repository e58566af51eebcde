"""What is exported is what was trained, and the commands work from data to scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from model.cli import app
from model.export import ExportError, check, measure, metadata, write_onnx
from model.networks.core import Core, CoreConfig
from model.networks.transforms import Framing
from model.stream import Stream, open_session

from .speech import speech_like, write_corpus


@pytest.fixture(scope="module", params=[Framing(), Framing(96, 168)], ids=str)
def network(request: pytest.FixtureRequest) -> Core:
    torch.manual_seed(1)
    return Core(CoreConfig(channels=16, dilations=(1, 2), gain_bands=12, framing=request.param)).eval()


@pytest.fixture(scope="module")
def exported(network: Core, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "tiny.onnx"
    write_onnx(network, path, metadata(network.framing, "tiny", "CC0", "nothing"))
    return path


def test_the_file_does_what_the_network_does(network: Core, exported: Path) -> None:
    check(network, exported)


def test_a_file_of_other_weights_is_refused(network: Core, exported: Path) -> None:
    torch.manual_seed(2)
    other = Core(network.config).eval()
    with torch.no_grad():
        other.leave.bias.add_(1.0)
    with pytest.raises(ExportError, match="streamed and whole"):
        check(other, exported)


def test_metadata_that_is_missing_is_named(network: Core, tmp_path: Path) -> None:
    path = tmp_path / "bare.onnx"
    properties = {**metadata(network.framing, "tiny", "CC0", "nothing"), "licence": ""}
    write_onnx(network, path, properties)
    with pytest.raises(ExportError, match="licence"):
        check(network, path)


def test_only_plain_fast_operators_are_used(exported: Path) -> None:
    graph = onnx.load(exported).graph
    slow = {"STFT", "DFT", "Loop", "Scan", "If", "GRU", "LSTM"}
    assert not slow & {node.op_type for node in graph.node}
    assert onnx.load(exported).opset_import[0].version <= 20


def test_cost_counts_every_weight_once(network: Core, exported: Path) -> None:
    cost = measure(network, exported, hops=50)
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.network_mmac_per_s == pytest.approx(cost.parameters * network.framing.hops_per_second / 1e6)
    assert 0.0 < cost.hop_ms_p50 <= cost.hop_ms_p99
    assert sum(part.parameters for part in cost.parts) == cost.parameters
    whole = cost.network_mmac_per_s + cost.signal_mmac_per_s
    assert sum(part.mmac_per_s for part in cost.parts) == pytest.approx(whole)
    assert all(part.hop_ms > 0.0 for part in cost.parts)


def test_stream_result_lines_up_with_the_network_for_any_length(network: Core, exported: Path) -> None:
    hop = network.framing.hop_samples
    low = speech_like(0.3)[None, : 60 * hop + 77]
    cutoff_hz = np.array([[6_000.0]], np.float32)
    high = Stream(open_session(exported)).run(low, cutoff_hz)
    padded = torch.from_numpy(np.pad(low, ((0, 0), (0, 2 * hop - 77))))
    with torch.no_grad():
        whole = network(padded, torch.from_numpy(cutoff_hz)).numpy()
    assert high.shape == low.shape
    assert np.allclose(high, whole[:, : low.shape[1]], atol=1e-5)


def test_commands_lead_from_data_to_scores(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "voices")
    (tmp_path / "tiny.toml").write_text(
        "[network]\nchannels = 8\ndilations = [1]\n[data]\nsegment_ms = 160.0\nbatch = 2\n[run]\nsteps = 3\n"
    )
    runner = CliRunner()

    def command(*arguments: str) -> str:
        result = runner.invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    run, file = tmp_path / "run", tmp_path / "tiny.onnx"
    command("train", "--data", str(data), "--run", str(run), "--config", str(tmp_path / "tiny.toml"))
    command("export", str(run / "checkpoint.pt"), str(file), "--licence", "CC0", "--trained-on", "synthetic")
    refused = runner.invoke(app, ["export", str(run / "checkpoint.pt"), str(file), "--blend", "half"])
    assert "CHECKPOINT=SHARE" in str(refused.exception)
    text = command(
        "evaluate", str(file), "--data", str(data), "--rate", "16000", "--quick", "--jobs", "1", "--json", "-"
    )
    report = json.loads(text)
    assert report["clips"] == 4
    sinc, model = (line for line in report["summaries"] if line["group"] == "all" and line["kind"] == "protocol")
    assert sinc["system"] == "sinc" and model["system"] == "tiny"
    assert model["scores"]["lsd"]["value"] < sinc["scores"]["lsd"]["value"]
    assert max(report["probes"][0]["silence_dbfs"]) < -90.0
