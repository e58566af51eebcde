"""The causal U-Net as a model of the host: the file does what the network does, in line and in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.stream import Stream, open_session
from model.study.config import StudyConfig
from model.study.stream import HALF_TAPS, HostedUNet, check, export, metadata, multiplications, write
from model.study.trainer import Trained, build_unet
from model.study.unet import UNet, UNetConfig
from realtime.backends.wavfile import FileStream
from realtime.engine import EngineSettings
from realtime.errors import FullbandError


@pytest.fixture(scope="module")
def trained() -> Trained:
    network = {"blocks": 5, "causal": True, "lookahead": 12, "width": 0.1, "dropout": "none"}
    config = StudyConfig.model_validate({"network": network})
    unet = build_unet(config)
    unet(0.1 * torch.randn(4, 1024))  # running statistics that are no identity
    return Trained(unet.eval(), config, 0, 0.0)


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "study-unet.onnx"
    hosted = HostedUNet(trained.network).eval()
    write(hosted, path, metadata(hosted, "study-unet", "CC0", "nothing"))
    return path


def test_the_file_streams_what_the_network_computes_whole(trained: Trained, exported: Path) -> None:
    assert check(HostedUNet(trained.network).eval(), exported) <= 1e-5


def test_latency_is_a_hop_the_lookahead_and_half_of_the_filter(trained: Trained) -> None:
    hosted = HostedUNet(trained.network)
    assert hosted.hop_samples == 2**6 * 4
    assert hosted.latency_samples == 256 + 12 * 4 + HALF_TAPS
    with pytest.raises(FullbandError, match="causal"):
        HostedUNet(UNet(UNetConfig(down_filters=(4,), up_filters=(4,), bottleneck_filters=4)))


class _Held(torch.nn.Module):
    """Stands in for a U-Net that has learnt to wait and to hold every sample: its output is known exactly."""

    config = UNetConfig(causal=True, lookahead_samples=12)
    delay_samples = 48

    def __init__(self) -> None:
        super().__init__()
        self.state = 12

    def initial_state(self, batch: int) -> list[torch.Tensor]:
        return [torch.zeros(batch, self.state)]

    def step(self, low: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        joined = torch.cat([state[0], low], dim=1)
        return joined[:, :-12].repeat_interleave(4, dim=1), [joined[:, -12:]]


def test_what_comes_out_is_in_line_with_what_went_in(tmp_path: Path) -> None:
    hosted = HostedUNet(_Held())  # type: ignore[arg-type]
    path = tmp_path / "held.onnx"
    write(hosted, path, metadata(hosted, "held", "CC0", "nothing"))
    time = np.arange(4_801) / 48_000.0
    low = (0.5 * np.sin(2 * np.pi * 300.0 * time) * np.hanning(len(time))).astype(np.float32)
    out = Stream(open_session(path)).run(low[None])[0]
    assert len(out) == len(low)
    assert np.max(np.abs(out[::4] - low[::4])) < 2e-3  # the samples that are held; the filter passes 300 Hz whole
    # The host agrees, to the sample, while it is let through whole.
    stream = FileStream(1, 48_000, EngineSettings(path, cutoff_hz=6_000.0))
    try:
        hosted_out = np.concatenate([stream.push(low[None]), stream.finish()], axis=1)[0]
    finally:
        stream.close()
    assert np.max(np.abs(hosted_out[: len(low)] - out)) < 1e-3


def test_export_tells_what_it_costs(trained: Trained, tmp_path: Path) -> None:
    cost, difference = export(trained, tmp_path / "x.onnx", "x", "CC0", "nothing")
    assert difference <= 1e-5 and cost.latency_ms == pytest.approx(7.0) and cost.hop_ms == pytest.approx(16 / 3)
    assert 0.0 < cost.hop_ms_p50 <= cost.hop_ms_p99 and cost.as_dict()["rtf"] == cost.rtf


def test_multiplications_are_counted_by_hand() -> None:
    config = UNetConfig(
        factor=2, down_filters=(2,), bottleneck_filters=2, up_filters=(2,), last_filters=2, tail_channels=1, kernel=4
    )
    # Four samples in: 2 of 1x4 into 2; 1 of 2x4 into 2; 1 of 2x4 into 2; 2 of 3x4 into 2; 4 of 1x4 into 2; 8 of 1.
    assert multiplications(UNet(config)) == 2 * 8 + 16 + 16 + 2 * 24 + 4 * 8 + 8
