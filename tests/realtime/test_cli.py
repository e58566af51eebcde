"""The program as a person starts it: results, one clear line for what is wrong, nothing half written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from realtime.paths import VOICE_CLIP
from tests.models import identity_model

PROGRAM = [sys.executable, "-c", "from realtime.cli import main; main()"]


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False, stdin=subprocess.DEVNULL
    )


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Four seconds of the clip that ships, at telephone rates."""
    folder = tmp_path_factory.mktemp("voice")
    samples, rate_hz = soundfile.read(VOICE_CLIP, dtype="float32", frames=4 * 48_000)
    paths = {}
    for target_hz in (8_000, 12_000, 16_000, 24_000):
        paths[target_hz] = folder / f"{target_hz}.wav"
        soundfile.write(paths[target_hz], soxr.resample(samples, rate_hz, target_hz), target_hz, subtype="FLOAT")
    return paths


def _band_energy(x: np.ndarray, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(x)) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / 48_000)
    return float(spectrum[(frequency >= low_hz) & (frequency < high_hz)].sum())


def _lowpassed(x: np.ndarray, cutoff_hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(x)
    spectrum[np.fft.rfftfreq(len(x), 1 / 48_000) > cutoff_hz] = 0.0
    return np.fft.irfft(spectrum, len(x))


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000])
def test_file_keeps_the_low_band_and_adds_the_high_one(voice: dict[int, Path], tmp_path: Path, rate_hz: int) -> None:
    done = run("file", voice[rate_hz], tmp_path / "out.wav", "--subtype", "FLOAT", "--json", "-")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["input_rate_hz"] == rate_hz
    assert figures["output_rate_hz"] == 48_000
    assert figures["latency_ms"] <= 10.0
    assert figures["seconds"] == pytest.approx(4.0)
    assert figures["rtf"] > 0
    heard, heard_rate_hz = soundfile.read(tmp_path / "out.wav")
    narrow, _ = soundfile.read(voice[rate_hz])
    assert heard_rate_hz == 48_000
    assert len(heard) == len(narrow) * 48_000 // rate_hz
    reference = soxr.resample(narrow, rate_hz, 48_000, quality="VHQ")[: len(heard)]
    cutoff_hz = rate_hz / 2
    middle = slice(4_800, -4_800)
    low = _lowpassed(heard, 0.9 * cutoff_hz)[middle]
    expected = _lowpassed(reference, 0.9 * cutoff_hz)[middle]
    snr_db = 10 * np.log10(np.sum(expected**2) / np.sum((low - expected) ** 2))
    assert snr_db >= 40.0
    original, _ = soundfile.read(VOICE_CLIP, frames=4 * 48_000)
    top_hz = min(2 * cutoff_hz, 20_000)
    ratio_db = 10 * np.log10(
        _band_energy(heard, 1.05 * cutoff_hz, top_hz) / _band_energy(original, 1.05 * cutoff_hz, top_hz)
    )
    assert -15.0 < ratio_db < 10.0


def test_the_high_band_of_a_recording_can_be_softer_and_tilted(voice: dict[int, Path], tmp_path: Path) -> None:
    heard = []
    for number, wish in enumerate([[], ["--level", "-6"], ["--tilt", "-6"]]):
        target = tmp_path / f"{number}.wav"
        done = run("file", voice[8_000], target, "--subtype", "FLOAT", *wish)
        assert done.returncode == 0, done.stderr
        heard.append(soundfile.read(target)[0])
    plain, softer, tilted = heard
    octaves = [(4_200.0, 8_000.0), (8_000.0, 16_000.0)]
    level_db, tilt_db = (
        [10 * np.log10(_band_energy(x, *octave) / _band_energy(plain, *octave)) for octave in octaves]
        for x in (softer, tilted)
    )
    assert level_db == pytest.approx([-6.0, -6.0], abs=0.5)
    assert -6.0 < tilt_db[0] < -0.5
    assert -12.0 < tilt_db[1] < tilt_db[0] - 3.0
    middle = slice(4_800, -4_800)
    low_db = 10 * np.log10(np.mean(_lowpassed(softer - plain, 3_500.0)[middle] ** 2) / np.mean(plain[middle] ** 2))
    assert low_db < -60.0


def test_digital_silence_stays_silent(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros(16_000), 16_000)
    assert run("file", tmp_path / "in.wav", tmp_path / "out.wav", "--subtype", "FLOAT").returncode == 0
    heard, _ = soundfile.read(tmp_path / "out.wav")
    assert 20 * np.log10(np.sqrt(np.mean(heard**2)) + 1e-12) < -90.0


def test_folders_and_channels(voice: dict[int, Path], tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    samples, _ = soundfile.read(voice[16_000])
    soundfile.write(tmp_path / "in" / "mono.wav", samples, 16_000)
    soundfile.write(tmp_path / "in" / "deep" / "three.flac", np.stack([samples, samples, samples], axis=1), 16_000)
    (tmp_path / "in" / "broken.wav").write_text("no")
    done = run("file", tmp_path / "in", tmp_path / "out", "--json", tmp_path / "report.json")
    assert done.returncode == 1
    assert "1 of 3" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert {Path(row["output"]).name for row in report["files"]} == {"mono.wav", "three.flac"}
    three, _ = soundfile.read(tmp_path / "out" / "deep" / "three.flac")
    assert three.shape == (4 * 48_000, 3)
    np.testing.assert_allclose(three[:, 0], three[:, 2], atol=1e-4)


def test_live_on_the_simulated_device_leaves_a_recording_and_a_picture(tmp_path: Path) -> None:
    done = run("live", "--backend", "simulated", "--seconds", "2", "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["backend"] == "simulated"
    assert figures["latency"]["algorithmic_ms"] <= 10.0
    assert figures["statistics"]["hops"] >= 490
    recorded, rate_hz = soundfile.read(tmp_path / "fullband-live.wav")
    assert rate_hz == 48_000
    assert len(recorded) == pytest.approx(2 * 48_000, abs=128)
    assert _band_energy(recorded, 9_000, 15_000) > 0
    assert (tmp_path / "fullband-live.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_ends_live_with_a_summary_and_keeps_the_recording(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "live", "--backend", "simulated", "--plain", "--record", "kept.wav"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".fullband-*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "deadline misses" in out
    assert "Traceback" not in err
    assert soundfile.info(tmp_path / "kept.wav").frames > 0
    assert not list(tmp_path.glob(".fullband-*.part"))


@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        (["file", "absent.wav", "out.wav"], 1, ["absent.wav", "no such file"]),
        (["file", "text.wav", "out.wav"], 1, ["text.wav", "audio"]),
        (["file", "none.wav", "out.wav"], 1, ["none.wav", "no samples"]),
        (["file", "tone.wav", "tone.wav"], 1, ["tone.wav", "--force"]),
        (["file", "tone.wav", "tone.wav", "--force"], 1, ["tone.wav", "same"]),
        (["file", "tone.wav", "out.xyz"], 1, ["out.xyz"]),
        (["file", "tone.wav", "/proc/out.wav"], 1, ["/proc"]),
        (["file", "tone.wav", "out.wav", "--model", "defualt"], 1, ["defualt", "default"]),
        (["file", "tone.wav", "out.wav", "--model", "broken.onnx"], 1, ["broken.onnx", "hop_samples"]),
        (["file", "tone.wav", "out.wav", "--model", "text.wav"], 1, ["text.wav"]),
        (["file", "slow.wav", "out.wav"], 1, ["slow.wav", "4000 Hz"]),
        (["file", "tone.wav"], 2, ["OUT"]),
        (["file", "tone.wav", "out.wav", "--cutoff", "high"], 2, ["--cutoff"]),
        (["live", "--config", "wrong.toml"], 1, ["guard_msec", "guard_ms"]),
        (["live", "--config", "value.toml"], 1, ["block_frames"]),
        (["live", "--config", "text.wav.toml"], 1, ["text.wav.toml"]),
        (["live", "--config", "hedset"], 1, ["hedset", "headset"]),
        (["live", "--backend", "simulated", "--source", "absent.wav"], 1, ["absent.wav"]),
        (["live", "--backend", "simulated", "--record", "absent/a.wav"], 1, ["absent"]),
        (["liev"], 2, ["liev", "live"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_gives_one_line_and_writes_nothing(
    tmp_path: Path, arguments: list[str], status: int, names: list[str]
) -> None:
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(np.arange(1_600) / 5), 16_000)
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 4_000)
    soundfile.write(tmp_path / "none.wav", np.array([]), 16_000)
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "text.wav.toml").write_text("= broken")
    (tmp_path / "wrong.toml").write_text("guard_msec = 3\n")
    (tmp_path / "value.toml").write_text("block_frames = 'many'\n")
    identity_model(tmp_path / "broken.onnx", metadata={"hop_samples": None})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == status
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert all(name in lines[0] for name in names), lines[0]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", 0.1 * np.ones(160_000), 16_000)
    file = [*PROGRAM, "file", "in.wav"]
    # What has to be compiled is kept by this run; under the limit there would be no room for it.
    subprocess.run([*file, "first.wav"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "first.wav").unlink()
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "limited", *file, "out.wav"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_the_host_never_imports_torch_model_or_bench() -> None:
    code = (
        "import sys, realtime.commands.live, realtime.commands.file, realtime.commands.doctor, realtime.engine\n"
        "print([m for m in ('torch', 'model', 'bench') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
