"""What the README of ``realtime/plugins`` tells is done as it stands, and does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from realtime import plugins
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.paths import VOICE_CLIP
from realtime.plugins.spec import resolve
from tests.realtime.playing import play

README = Path(plugins.__file__).with_name("README.md")
ROOT = Path(plugins.__file__).parents[2]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tutorial has been followed up to its last command."""
    folder = tmp_path_factory.mktemp("tutorial")
    (script,) = _blocks("python")
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    (folder / "denoise.toml").write_text(_blocks("toml")[1])
    return folder


def _fullband(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = command.split()
    assert program == "fullband"
    run = [sys.executable, "-c", "from realtime.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_denoiser_of_the_tutorial_is_a_plugin_and_its_commands_work(folder: Path) -> None:
    voice, rate_hz = soundfile.read(VOICE_CLIP, dtype="float32")
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(voice)).astype(np.float32)
    soundfile.write(folder / "noisy.wav", voice + noise, rate_hz, subtype="FLOAT")
    commands = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(commands) == 2
    for command in commands:
        done = _fullband(command, folder)
        assert done.returncode == 0, done.stderr
        assert "✗" not in done.stdout
    assert soundfile.info(folder / "clean.wav").duration == pytest.approx(len(voice) / rate_hz, abs=1e-3)


def test_the_denoiser_takes_steady_noise_down_and_leaves_a_voice(folder: Path) -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(3 * 48_000) / 48_000
    noise = 0.02 * rng.standard_normal(len(time_s))
    # A vowel that comes and goes, over noise that stays.
    notes = sum(np.sin(2 * np.pi * 150 * k * time_s + k) / k for k in range(1, 12))
    voice = 0.2 * notes * np.maximum(np.sin(2 * np.pi * 0.7 * time_s - 2.0), 0.0) ** 2
    chain = resolve([{"plugin": str(folder / "denoiser.onnx")}])
    with Engine(StreamFormat(48_000, 48_000, 128), EngineSettings(None, chain=chain)) as engine:
        heard = play(engine, (voice + noise).astype(np.float32))
        delay = engine.delay_samples
        assert engine.latency.network_ms == 16.0
    heard = heard[delay:]
    voice, noise = voice[: len(heard)], noise[: len(heard)]
    pause = (np.abs(voice) < 1e-6) & (np.arange(len(heard)) > 24_000)
    assert pause.sum() > 20_000
    assert np.std(heard[pause]) < 10 ** (-12 / 20) * np.std(noise[pause])
    loud = np.convolve(voice**2, np.ones(480) / 480, "same") > 0.01
    error = np.std((heard - voice)[loud])
    assert error < 0.7 * np.std(noise[loud]), "nearer to the voice than what came in"
