"""Other systems' recordings are aligned and scored by the same code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal
from typer.testing import CliRunner

from model.cli import app
from model.metrics.alignment import align, delay_samples
from realtime.errors import FullbandError

from .speech import RATE_HZ, speech_like


def delayed(samples: np.ndarray, delay: float) -> np.ndarray:
    """*samples* later by *delay*, by a windowed sinc: another way than the code under test takes."""
    whole, taps = int(np.floor(delay)), np.arange(-200, 201)
    kernel = np.sinc(taps - (delay - whole)) * signal.windows.kaiser(401, 8.0)
    moved = signal.fftconvolve(samples, kernel, mode="same")
    return np.concatenate([np.zeros(whole), moved])[: len(samples)].astype(np.float32)


@pytest.mark.parametrize("delay", [0.0, 3.5, 384.0, 1_023.25])
def test_a_planted_delay_is_found_and_taken_out(delay: float) -> None:
    speech = speech_like(1.0)
    late = delayed(speech, delay)
    assert delay_samples(late, speech) == pytest.approx(delay, abs=0.01)
    assert delay_samples(speech, late) == pytest.approx(-delay, abs=0.01)
    given, wanted, found = align(late, speech)
    assert found == pytest.approx(delay, abs=0.01) and len(given) == len(wanted) >= len(speech) - 1_024
    middle = slice(1_000, -1_000)
    error = given[middle] - wanted[middle]
    assert 10.0 * np.log10(np.sum(wanted[middle] ** 2) / np.sum(error**2)) > 30.0  # the kernel falls short at 24 kHz


def test_a_new_high_band_does_not_mislead_the_alignment() -> None:
    speech = speech_like(1.0)
    sections = signal.butter(8, 8_000.0, fs=RATE_HZ, output="sos")
    hiss = 0.01 * np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    other = signal.sosfiltfilt(sections, speech).astype(np.float32) + hiss
    assert delay_samples(delayed(other, 20.5), speech) == pytest.approx(20.5, abs=0.05)


def test_silence_has_no_delay() -> None:
    assert delay_samples(np.zeros(5_000, np.float32), speech_like(0.2)) == 0.0


def make_pairs(folder: Path, rate_hz: int = RATE_HZ) -> Path:
    for name in ("reference", "estimate"):
        (folder / name).mkdir(parents=True)
    for n in range(2):
        speech = speech_like(1.0, n)
        kept = signal.resample_poly(speech, rate_hz, RATE_HZ).astype(np.float32)
        late = signal.resample_poly(delayed(speech, 3.5), rate_hz, RATE_HZ).astype(np.float32)
        soundfile.write(folder / "reference" / f"{n}.wav", kept, rate_hz, subtype="FLOAT")
        soundfile.write(folder / "estimate" / f"{n}.wav", late, rate_hz, subtype="FLOAT")
    return folder


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 16_000])
def test_a_folder_of_pairs_of_any_rate_is_scored_and_its_delay_told(tmp_path: Path, rate_hz: int) -> None:
    folder = make_pairs(tmp_path / "pairs", rate_hz)
    options = ["--no-visqol", "--rate", "8000", "--jobs", "1", "--json", "-"]
    result = CliRunner().invoke(app, ["evaluate", "--pairs", str(folder), *options])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [row["delay_samples"] for row in report["rows"]] == pytest.approx([3.5, 3.5], abs=0.02)
    (line,) = report["summaries"]
    assert line["system"] == "estimate"
    assert line["scores"]["lsd_masked"]["value"] < 0.2
    assert line["scores"]["low_snr_db"]["value"] > 40.0
    assert ("lsd" in line["scores"]) == (rate_hz == RATE_HZ)


def test_a_folder_that_breaks_the_convention_is_refused_with_the_convention(tmp_path: Path) -> None:
    def refusal(folder: Path) -> str:
        error = CliRunner().invoke(app, ["evaluate", "--pairs", str(folder)]).exception
        assert isinstance(error, FullbandError)
        return str(error)

    assert "reference/NAME.wav and estimate/NAME.wav" in refusal(tmp_path)
    folder = make_pairs(tmp_path / "pairs")
    (folder / "estimate" / "1.wav").unlink()
    assert "estimate has no '1'" in refusal(folder)
