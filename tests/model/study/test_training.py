"""The study's training learns, survives a kill, and stops before it spoils its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from model.study.config import PairsSection, StudyConfig
from model.study.pairs import Pairs, make
from model.study.trainer import PairBatch, StudyTrainer, epoch_steps, in_line, load_trained, squared_error
from model.training.loop import LOG_STEPS
from realtime.errors import FullbandError

from ..speech import write_corpus


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    voices = write_corpus(tmp_path_factory.mktemp("speech") / "voices", speakers=3, clips=2, seconds=0.5)
    section = PairsSection(chunk=512, overlap=256, clips=None)
    return make(voices, tmp_path_factory.mktemp("pairs"), section, 1)


def tiny(steps: int | None = 2 * LOG_STEPS, **run: object) -> StudyConfig:
    budget = {"steps": steps} if steps else {}
    shared = {"batch": 4, "learning_rate": 2e-3, "validation_steps": LOG_STEPS, "validation_chunks": 8}
    return StudyConfig.model_validate(
        {
            "pairs": {"chunk": 512, "overlap": 256},
            "network": {"blocks": 3, "width": 0.05},
            "run": {**shared, **budget, **run},
        }
    )


def log(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "elapsed_s"} for line in lines]


def test_the_error_falls_on_both_sides(pairs: Pairs, tmp_path: Path) -> None:
    StudyTrainer(tiny(6 * LOG_STEPS), pairs, tmp_path).train()
    first, *_, last = log(tmp_path)
    assert last["mse"] < 0.8 * first["mse"] and last["validation_mse"] < first["validation_mse"]
    assert last["learning_rate"] == 2e-3


def test_a_killed_training_resumes_to_the_same_curve(pairs: Pairs, tmp_path: Path) -> None:
    config = tiny()
    whole = StudyTrainer(config, pairs, tmp_path / "whole")
    whole.train()

    class Killed(Exception):
        pass

    halves = StudyTrainer(config, pairs, tmp_path / "halves")

    def save_then_kill(step: int, share: float, values: dict[str, float]) -> None:
        del share, values
        if step == LOG_STEPS:
            halves.save()
        if step == LOG_STEPS + 5:
            raise Killed

    with pytest.raises(Killed):
        halves.train(save_then_kill)
    resumed = StudyTrainer(config, pairs, tmp_path / "halves")
    assert resumed.step == LOG_STEPS
    resumed.train()
    assert log(tmp_path / "halves") == log(tmp_path / "whole") and len(log(tmp_path / "whole")) == 2
    for first, second in zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True):
        assert torch.equal(first, second)
    trained = load_trained(tmp_path / "halves")
    assert trained.steps == 2 * LOG_STEPS and trained.config == config
    low = torch.randn(1, 128)
    with torch.no_grad():
        assert torch.equal(trained.network(low), resumed.network.eval()(low))


def test_an_epoch_sees_every_chunk_once(pairs: Pairs, tmp_path: Path) -> None:
    config = tiny(None, epochs=2)
    trainer = StudyTrainer(config, pairs, tmp_path)
    steps = epoch_steps(len(trainer.sides["train"]), 4)
    assert trainer.run.steps == 2 * steps
    seen = torch.cat([trainer.make_batch(number).high for number in range(steps)])
    assert len(torch.unique(seen, dim=0)) == len(seen) == 4 * (len(trainer.sides["train"]) // 4)
    assert not torch.equal(trainer.make_batch(0).high, trainer.make_batch(steps).high)


def test_a_loss_out_of_bounds_ends_the_run_and_leaves_the_weights(pairs: Pairs, tmp_path: Path) -> None:
    trainer = StudyTrainer(tiny(), pairs, tmp_path)
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    batch = trainer.make_batch(0)
    with pytest.raises(FullbandError, match="out of bounds at step 0"):
        trainer.train_step(PairBatch(batch.low * float("nan"), batch.high))
    assert all(torch.equal(value, before[name]) for name, value in trainer.network.named_parameters())


def test_pairs_of_another_kind_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    filtered = tiny().model_copy(update={"pairs": PairsSection(chunk=512, overlap=256, filtered=True)})
    with pytest.raises(FullbandError, match="filtered False; this run wants 4 and True"):
        StudyTrainer(filtered, pairs, tmp_path)


def test_a_causal_network_is_held_to_the_delayed_original(pairs: Pairs, tmp_path: Path) -> None:
    config = tiny().model_copy(
        update={"network": tiny().network.model_copy(update={"causal": True, "lookahead": 8, "width": 0.1})}
    )
    trainer = StudyTrainer(config, pairs, tmp_path)
    batch = trainer.make_batch(0)
    assert trainer.network.delay_samples == 32 and trainer.train_step(batch)["mse"] > 0.0
    trainer.network.forward = lambda low: functional.pad(batch.high, (32, -32))  # type: ignore[method-assign, misc]
    assert float(squared_error(*in_line(trainer.network, batch))) == 0.0
    trainer.network.forward = lambda low: batch.high  # type: ignore[method-assign, misc]
    assert float(squared_error(*in_line(trainer.network, batch))) > 0.0


def test_spectra_teach_a_shortcut_network_the_high_band_that_squared_error_leaves_empty(
    pairs: Pairs, tmp_path: Path
) -> None:
    network = tiny().network.model_copy(update={"shortcut": True})
    levels = {}
    for weight in (0.0, 1.0):
        run = tiny().run.model_copy(update={"spectral_weight": weight, "steps": 40, "learning_rate": 3e-3})
        trainer = StudyTrainer(
            tiny().model_copy(update={"network": network, "run": run}), pairs, tmp_path / str(weight)
        )
        trainer.train()
        trainer.network.eval()
        batch = trainer.make_batch(0)
        with torch.no_grad():
            spectrum = torch.fft.rfft(trainer.network(batch.low)).abs()
        levels[weight] = float(spectrum[:, spectrum.shape[1] // 2 :].square().sum())
    assert levels[1.0] > 2.0 * levels[0.0]
