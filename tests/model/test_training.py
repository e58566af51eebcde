"""Training learns, repeats itself, survives a kill, and refuses a wrong configuration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model.data.corpus import find_clips
from model.data.mixture import Mixture
from model.losses.spectral import SpectralLoss, Truth
from model.training.config import TrainConfig
from model.training.trainer import LOG_STEPS, Trainer, load_average
from realtime.errors import FullbandError

from .speech import RATE_HZ, speech_like, write_corpus


def tiny(steps: int) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "network": {"channels": 8, "dilations": [1], "gain_bands": 8},
            "data": {"segment_hops": 40, "batch": 2, "corpus_cap": 1.0},
            "loss": {"windows": [512, 128]},
            "run": {"steps": steps, "warmup_steps": 2, "seed": 5},
        }
    )


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    clips = find_clips(write_corpus(tmp_path_factory.mktemp("speech") / "voices"), "train")
    return Mixture(clips, lossy_floor_hz=18_000.0, pcm_boost=1.0, corpus_cap=1.0)


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [(json.loads(line)["step"], json.loads(line)["total"]) for line in lines]


def test_the_loss_falls(mixture: Mixture, tmp_path: Path) -> None:
    Trainer(tiny(3 * LOG_STEPS), tmp_path).train(mixture)
    (_, first), *_, (_, last) = losses(tmp_path)
    assert last < 0.9 * first


def test_a_resumed_run_is_the_uninterrupted_run(mixture: Mixture, tmp_path: Path) -> None:
    whole = Trainer(tiny(2 * LOG_STEPS), tmp_path / "whole")
    whole.train(mixture)

    class Killed(Exception):
        pass

    def kill(step: int, share: float, values: dict[str, float]) -> None:
        del share, values
        if step == LOG_STEPS + 5:
            raise Killed

    halves = Trainer(tiny(2 * LOG_STEPS), tmp_path / "halves")

    def save_then_kill(step: int, share: float, values: dict[str, float]) -> None:
        if step == LOG_STEPS:
            halves.save()
        kill(step, share, values)

    with pytest.raises(Killed):
        halves.train(mixture, save_then_kill)
    resumed = Trainer(tiny(2 * LOG_STEPS), tmp_path / "halves")
    assert resumed.step == LOG_STEPS
    resumed.train(mixture)

    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    for first, second in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(first, second)


def test_a_checkpoint_is_enough_to_use_the_network(mixture: Mixture, tmp_path: Path) -> None:
    trainer = Trainer(tiny(2), tmp_path)
    trainer.train(mixture)
    network = load_average(trainer.checkpoint_path)
    low, cutoff_hz = torch.from_numpy(speech_like(0.2))[None, : 48 * 192], torch.tensor([[4_000.0]])
    with torch.no_grad():
        assert torch.equal(network(low, cutoff_hz), trainer.average(low, cutoff_hz))


def test_the_shipped_recipe_is_the_default_one() -> None:
    shipped = TrainConfig.read(Path(__file__).parents[2] / "configs" / "train" / "default.toml")
    assert shipped == TrainConfig()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[run]\nseed = 1", "run"),
        ("[run]\nsteps = 0", "run.steps"),
        ("[network]\nchannel = 3", "network.channel"),
        ("[network", "wrong.toml"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(text: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(FullbandError, match=key) as refusal:
        TrainConfig.read(tmp_path / "wrong.toml")
    assert "\n" not in str(refusal.value)


def truth(target: torch.Tensor, limit_hz: float = 24_000.0, lossy: float = 0.0) -> Truth:
    column = torch.ones(len(target), 1)
    return Truth(target, 4_000.0 * column, limit_hz * column, lossy * column)


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    return torch.from_numpy(np.stack([speech_like(0.6, seed) for seed in range(2)]))


def test_the_loss_of_the_target_is_zero(speech: torch.Tensor) -> None:
    values = SpectralLoss((1024, 256), 0.3)(speech, truth(speech))
    assert all(float(value) == 0.0 for value in values.values())


def test_the_loss_does_not_depend_on_loudness(speech: torch.Tensor) -> None:
    loss = SpectralLoss((1024, 256), 0.3)
    output = 0.7 * speech
    loud, soft = loss(output, truth(speech)), loss(0.1 * output, truth(0.1 * speech))
    assert float(loud["total"]) == pytest.approx(float(soft["total"]), rel=1e-3)


def test_what_lies_outside_the_trusted_band_costs_nothing(speech: torch.Tensor) -> None:
    time = torch.arange(speech.shape[1]) / RATE_HZ
    swell = 0.05 * torch.hann_window(len(time))
    below, inside, above = (swell * torch.sin(2 * torch.pi * f * time) for f in (1_500.0, 9_000.0, 18_000.0))
    loss = SpectralLoss((1024,), 0.3)
    known = truth(speech, limit_hz=15_000.0)
    assert float(loss(speech + inside, known)["total"]) > 0.1
    assert float(loss(speech + below + above, known)["total"]) < 0.05


def test_holes_cost_nothing_where_a_codec_made_them(speech: torch.Tensor) -> None:
    empty = speech.clone()
    empty[:, 10_000:16_000] = 0.0
    loss = SpectralLoss((256,), 0.0)
    output = empty + 1e-3 * torch.randn_like(empty) * (empty == 0.0)
    lossy = float(loss(output, truth(empty, lossy=1.0))["fine"])
    honest = float(loss(output, truth(empty))["fine"])
    assert lossy < 0.2 * honest


def test_too_loud_a_pause_costs_more_than_too_soft_a_one(speech: torch.Tensor) -> None:
    target = speech.clone()
    target[:, 10_000:20_000] = 1e-4 * torch.randn(2, 10_000)
    loud, soft = target.clone(), target.clone()
    loud[:, 11_000:19_000] *= 4.0
    soft[:, 11_000:19_000] /= 4.0
    loss = SpectralLoss((512,), 1.0)
    assert float(loss(loud, truth(target))["pause"]) > 0.5
    assert float(loss(soft, truth(target))["pause"]) < 0.05
