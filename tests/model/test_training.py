"""Training learns, repeats itself, survives a kill, and refuses a wrong configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from model.data.corpus import find_clips
from model.data.mixture import Mixture
from model.export import metadata, write_onnx
from model.losses.modulation import ModulationLoss
from model.losses.spectral import SpectralLoss, Truth
from model.metrics.voice import FRAME_SAMPLES, STEP_SAMPLES, find_voiced, pitch_track_hz
from model.networks.transforms import Framing
from model.training.adversary import Adversary
from model.training.batches import Batch, Recipe, batches, make_batch
from model.training.config import TrainConfig
from model.training.trainer import LOG_STEPS, Trainer, blend, load_average
from realtime.errors import FullbandError
from realtime.paths import shipped_models

from .speech import RATE_HZ, speech_like, write_corpus


def tiny(steps: int, **sections: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "network": {"channels": 8, "dilations": [1], "gain_bands": 8},
            "data": {"segment_ms": 160.0, "batch": 2, "corpus_cap": 1.0},
            "loss": {"windows": [512, 128]},
            "run": {"steps": steps, "warmup_steps": 2, "seed": 5},
            **sections,
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
    adversary = {"share": 0.25, "windows": [256], "channels": 4}
    config = tiny(2 * LOG_STEPS, adversary=adversary)
    whole = Trainer(config, tmp_path / "whole")
    whole.train(mixture)

    assert "adversarial" in json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])

    class Killed(Exception):
        pass

    def kill(step: int, share: float, values: dict[str, float]) -> None:
        del share, values
        if step == LOG_STEPS + 5:
            raise Killed

    halves = Trainer(config, tmp_path / "halves")

    def save_then_kill(step: int, share: float, values: dict[str, float]) -> None:
        if step == LOG_STEPS:
            halves.save()
        kill(step, share, values)

    with pytest.raises(Killed):
        halves.train(mixture, save_then_kill)
    resumed = Trainer(config, tmp_path / "halves")
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


def test_a_run_begins_with_the_weights_of_another(mixture: Mixture, tmp_path: Path) -> None:
    first = Trainer(tiny(2), tmp_path / "first")
    first.train(mixture)
    second = Trainer(tiny(2), tmp_path / "second", start=first.checkpoint_path)
    assert torch.equal(second.network.enter.weight, first.average.enter.weight)
    larger = tiny(2, network={"channels": 16, "dilations": [1], "gain_bands": 8})
    with pytest.raises(FullbandError, match="another size"):
        Trainer(larger, tmp_path / "third", start=first.checkpoint_path)
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(FullbandError, match="not a checkpoint"):
        load_average(tmp_path / "text.pt")


def test_a_run_begins_with_the_weights_of_an_exported_file(mixture: Mixture, tmp_path: Path) -> None:
    first = Trainer(tiny(2), tmp_path / "first")
    first.train(mixture)
    network, file = load_average(first.checkpoint_path), tmp_path / "first.onnx"
    write_onnx(network, file, metadata(network.framing, "first", "MIT", "a test"))
    second = Trainer(tiny(2), tmp_path / "second", start=file)
    for begun, learnt in zip(second.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(begun, learnt)
    with pytest.raises(FullbandError, match="another size"):
        Trainer(tiny(2), tmp_path / "third", start=shipped_models()["default"])
    file.write_text("no model")
    with pytest.raises(FullbandError, match="not an ONNX file"):
        Trainer(tiny(2), tmp_path / "fourth", start=file)
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])), file)
    with pytest.raises(FullbandError, match="names no weights of ours"):
        Trainer(tiny(2), tmp_path / "fifth", start=file)


def test_a_blend_is_the_mean_of_weights_by_their_shares(mixture: Mixture, tmp_path: Path) -> None:
    paths = []
    for name in ("first", "second"):
        trainer = Trainer(tiny(2, data={"segment_ms": 160.0, "batch": len(name), "corpus_cap": 1.0}), tmp_path / name)
        trainer.train(mixture)
        paths.append(trainer.checkpoint_path)
    first, second = (load_average(path).leave.bias for path in paths)
    assert not torch.equal(first, second)
    mixed = blend(dict(zip(paths, (0.25, 0.75), strict=True)))
    assert torch.allclose(mixed.leave.bias, 0.25 * first + 0.75 * second)
    assert torch.equal(blend({paths[0]: 1.0}).leave.bias, first)


def test_a_discriminator_learns_to_tell_and_a_network_to_persuade(speech: torch.Tensor) -> None:
    torch.manual_seed(0)
    adversary = Adversary((512, 128), 4)
    optimiser = torch.optim.Adam(adversary.parameters(), 2e-3)
    fake = speech + 0.05 * torch.randn_like(speech)
    first = float(adversary.judge(fake, truth(speech)).detach())
    for _ in range(30):
        loss = adversary.judge(fake, truth(speech))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * first
    given, real = (adversary.persuade(output, truth(speech)) for output in (fake, speech))
    assert float(given["adversarial"].detach()) > 2.0 * float(real["adversarial"].detach())
    assert float(real["matching"].detach()) == pytest.approx(0.0, abs=1e-6)


def test_what_is_not_trusted_cannot_be_told_from_the_target(speech: torch.Tensor) -> None:
    time = torch.arange(speech.shape[1]) / RATE_HZ
    top = 0.05 * torch.sin(2 * torch.pi * 18_000.0 * time)
    adversary = Adversary((1024,), 4)
    given = adversary.persuade(speech + top, truth(speech, limit_hz=15_000.0))
    assert float(given["matching"].detach()) < 0.02


def test_batches_are_the_same_from_a_thread_and_from_processes(mixture: Mixture) -> None:
    config = tiny(1)
    recipe = Recipe(mixture, config.data, Framing(), 5)
    by_thread, by_processes = batches(recipe, 3, 2), batches(recipe, 3, 2, workers=1)
    for _ in range(2):
        assert torch.equal(next(by_thread).low, next(by_processes).low)
    assert torch.equal(next(by_thread).low, make_batch(recipe, 7).low)
    by_thread.close()
    by_processes.close()


@pytest.mark.slow
def test_two_processes_of_torchrun_keep_the_same_weights(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "voices")
    (tmp_path / "tiny.toml").write_text(
        "[network]\nchannels = 8\ndilations = [1]\ngain_bands = 8\n"
        "[data]\nsegment_ms = 160.0\nbatch = 1\ncorpus_cap = 1.0\n[loss]\nwindows = [256]\n[run]\nsteps = 3\n"
    )
    arguments = ["--data", str(data), "--run", str(tmp_path / "run"), "--config", str(tmp_path / "tiny.toml")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "model.cli", "--", "train", *arguments, "--device", "cpu", "--workers", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    # The mean over both processes' batches is what one process gets from a batch of both.
    recipe = Recipe(
        Mixture(find_clips(data, "train"), lossy_floor_hz=18_000.0, pcm_boost=3.0, corpus_cap=1.0),
        TrainConfig.read(tmp_path / "tiny.toml").data,
        Framing(),
        0,
    )
    trainer = Trainer(TrainConfig.read(tmp_path / "tiny.toml"), tmp_path / "alone")
    for step in range(3):
        _step_on_mean(trainer, [make_batch(recipe, 2 * step), make_batch(recipe, 2 * step + 1)])
    for first, second in zip(
        load_average(tmp_path / "run" / "checkpoint.pt").parameters(), trainer.average.parameters(), strict=True
    ):
        assert torch.allclose(first, second, atol=1e-5)


def _step_on_mean(trainer: Trainer, given: list[Batch]) -> None:
    """One step on the mean of the batches' gradients, by hand."""
    rate = trainer.learning_rate(trainer.step / 3)
    trainer.optimiser.zero_grad()
    for batch in given:
        output = batch.low + trainer.network(batch.low, batch.truth.cutoff_hz)
        (trainer.losses(output, batch.truth)["total"] / len(given)).backward()
    torch.nn.utils.clip_grad_norm_(trainer.network.parameters(), trainer.config.run.gradient_limit)
    for group in trainer.optimiser.param_groups:
        group["lr"] = rate
    trainer.optimiser.step()
    trainer.step += 1
    trainer._average_weights()


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


def truth(
    target: torch.Tensor,
    limit_hz: float = 24_000.0,
    lossy: float = 0.0,
    hiss_rms: float = 0.0,
    pitch_hz: float = 0.0,
) -> Truth:
    column = torch.ones(len(target), 1)
    pitch = torch.full((len(target), (target.shape[1] - FRAME_SAMPLES) // STEP_SAMPLES + 1), pitch_hz)
    return Truth(target, 4_000.0 * column, limit_hz * column, lossy * column, hiss_rms * column, pitch)


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    return torch.from_numpy(np.stack([speech_like(0.6, seed) for seed in range(2)]))


def test_the_loss_of_the_target_is_zero(speech: torch.Tensor) -> None:
    values = SpectralLoss((1024, 256), 0.3)(speech, truth(speech))
    assert all(abs(float(value)) < 1e-6 for value in values.values())


def test_the_loss_does_not_depend_on_loudness(speech: torch.Tensor) -> None:
    loss = SpectralLoss((1024, 256), 0.3)
    output = 0.7 * speech
    loud, soft = loss(output, truth(speech)), loss(0.1 * output, truth(0.1 * speech))
    assert float(loud["total"]) == pytest.approx(float(soft["total"]), rel=1e-3)


def test_a_level_that_is_wrong_costs_what_it_is_wrong_by(speech: torch.Tensor) -> None:
    spectrum = torch.fft.rfft(speech)
    frequency_hz = torch.linspace(0.0, RATE_HZ / 2, spectrum.shape[-1])
    loss, known = SpectralLoss((2048, 256), 0.0, level_weight=1.0), truth(speech)

    def level(gain: torch.Tensor) -> float:
        return float(loss(torch.fft.irfft(spectrum * gain, speech.shape[1]), known)["level"])

    # Half the amplitude everywhere above the crossover's third, and nothing else; then in that third, 3.6 to 4.5 kHz.
    above = torch.where(frequency_hz > 4_600.0, 0.5, 1.0)
    hole = torch.where((frequency_hz > 3_500.0) & (frequency_hz < 4_600.0), 0.25, 1.0)
    assert level(torch.full_like(frequency_hz, 0.5)) == pytest.approx(np.log(2.0), rel=0.05)
    assert 0.1 < level(above) < 0.5 * np.log(2.0) + 0.05
    assert 0.4 * np.log(4.0) < level(hole) < np.log(4.0)


def test_what_lies_outside_the_trusted_band_costs_nothing(speech: torch.Tensor) -> None:
    time = torch.arange(speech.shape[1]) / RATE_HZ
    swell = 0.05 * torch.hann_window(len(time))
    below, inside, above = (swell * torch.sin(2 * torch.pi * f * time) for f in (1_500.0, 9_000.0, 18_000.0))
    loss = SpectralLoss((1024,), 0.3)
    known = truth(speech, limit_hz=15_000.0)
    assert float(loss(speech + inside, known)["total"]) > 0.1
    assert float(loss(speech + below + above, known)["total"]) < 0.05


def test_hiss_in_the_pauses_of_a_lossy_recording_counts(speech: torch.Tensor) -> None:
    target = speech.clone()
    target[:, 10_000:20_000] = 0.0
    hiss = 1e-4 * torch.randn_like(target)
    output = target + hiss * (target != 0.0)
    loss = SpectralLoss((512,), 0.3)
    unknown = float(loss(output, truth(target + hiss, lossy=1.0))["fine"])
    known = float(loss(output, truth(target + hiss, lossy=1.0, hiss_rms=1e-4))["fine"])
    assert known > 2.0 * unknown


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


def puffs(depth: float, pitch_hz: float = 120.0, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    """Noise [1, samples] whose amplitude swings at the pitch by *depth*."""
    time = torch.arange(RATE_HZ) / RATE_HZ
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return (0.05 * noise * (1.0 + depth * torch.cos(2 * torch.pi * pitch_hz * time + shift))).unsqueeze(0)


def test_modulation_that_is_equal_costs_nothing_and_its_phase_little() -> None:
    loss, known = ModulationLoss(), truth(puffs(0.6), pitch_hz=120.0)
    assert float(loss(puffs(0.6), known)) == 0.0
    other = float(loss(puffs(0.6, seed=1, shift=2.0), known))
    assert other < 0.3 * float(loss(puffs(0.0, seed=1), known))


@pytest.mark.parametrize("pitch_hz", [80.0, 120.0, 380.0])
def test_the_nearer_the_depth_of_modulation_the_less_it_costs(pitch_hz: float) -> None:
    loss, known = ModulationLoss(), truth(puffs(0.6, pitch_hz), pitch_hz=pitch_hz)
    steady, soft, same, hard = (float(loss(puffs(depth, pitch_hz, 1), known)) for depth in (0.0, 0.3, 0.6, 1.0))
    assert steady > soft > same
    assert hard > same


def test_the_gradient_raises_modulation_and_is_finite() -> None:
    loss, known = ModulationLoss(), truth(puffs(0.6), pitch_hz=120.0)
    depth = torch.zeros((), requires_grad=True)
    swing = torch.cos(2 * torch.pi * 120.0 * torch.arange(RATE_HZ) / RATE_HZ)
    loss(puffs(0.0, seed=1) * (1.0 + depth * swing), known).backward()
    assert depth.grad is not None and float(depth.grad) < 0.0
    silence = torch.zeros(1, RATE_HZ, requires_grad=True)
    loss(silence, known).backward()
    assert silence.grad is not None and bool(torch.isfinite(silence.grad).all())


def test_modulation_counts_where_there_is_a_voice_and_a_target() -> None:
    loss, steady = ModulationLoss(), puffs(0.0, seed=1)
    assert float(loss(steady, truth(puffs(0.6)))) == 0.0
    assert float(loss(steady, truth(puffs(0.6), limit_hz=7_000.0, pitch_hz=120.0))) == 0.0
    assert float(loss(steady, truth(puffs(0.6), hiss_rms=0.05, pitch_hz=120.0))) == 0.0
    assert float(loss(steady, truth(torch.zeros(1, RATE_HZ), pitch_hz=120.0))) == 0.0


def test_the_pitch_of_every_frame_is_that_of_the_voiced_ones() -> None:
    speech = speech_like(0.8, 3)
    voicing, track = find_voiced(speech), pitch_track_hz(speech)
    assert len(track) == (len(speech) - FRAME_SAMPLES) // STEP_SAMPLES + 1
    assert np.count_nonzero(track) == len(voicing.starts) > 0
    assert np.allclose(track[voicing.starts // STEP_SAMPLES], voicing.pitch_hz)
