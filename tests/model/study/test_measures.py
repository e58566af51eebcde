"""The study's measures agree with independent ones, and the lessons' figures with signals made to show them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import interpolate as scipy_interpolate
from scipy import stats
from torchmetrics.audio import ScaleInvariantSignalDistortionRatio, SignalNoiseRatio
from torchmetrics.regression import MeanSquaredError, NormalizedRootMeanSquaredError

from model.metrics.waveform import si_sdr_db, snr_db
from model.study.config import PairsSection
from model.study.contenders import BASELINES, Contender, interpolate, on_recording
from model.study.evaluation import ClipScores, Standing, evenly
from model.study.lessons import aliasing, corpora, leak, off_centre, rivalry
from model.study.measures import (
    DB_PER_UNIT,
    border_error_db,
    border_step_db,
    quartile_range,
    score_chunks,
    snr_unit,
)
from model.study.pairs import FULL_SCALE, Pairs, make

from ..speech import speech_like, write_corpus


@pytest.fixture(scope="module")
def signals() -> tuple[np.ndarray, np.ndarray]:
    wanted = np.stack([speech_like(0.2, seed) for seed in range(6)])
    noise = np.random.default_rng(0).standard_normal(wanted.shape) * np.linspace(0.001, 0.02, 6)[:, None]
    return (wanted + noise).astype(np.float32), wanted


def test_true_decibels_are_those_of_torchmetrics(signals: tuple[np.ndarray, np.ndarray]) -> None:
    given, wanted = signals
    reference = float(SignalNoiseRatio()(torch.from_numpy(given), torch.from_numpy(wanted)))
    assert score_chunks(given, wanted, 1).snr_db == pytest.approx(reference, abs=1e-3)
    assert np.mean([snr_db(*pair) for pair in zip(given, wanted, strict=True)]) == pytest.approx(reference, abs=1e-3)
    scaled = float(ScaleInvariantSignalDistortionRatio()(torch.from_numpy(given), torch.from_numpy(wanted)))
    assert np.mean([si_sdr_db(*pair) for pair in zip(given, wanted, strict=True)]) == pytest.approx(scaled, abs=1e-3)


def test_the_unit_is_a_natural_logarithm_of_amplitudes() -> None:
    wanted = np.ones((1, 100), np.float32)
    assert snr_unit(wanted + np.float32(1.0 / math.e), wanted) == pytest.approx(10.0, abs=1e-4)
    assert pytest.approx(0.8686, abs=5e-5) == DB_PER_UNIT
    # The study's table, best network: 27.57 of its units are 23.95 dB.
    assert pytest.approx(23.95, abs=0.005) == 27.57 * DB_PER_UNIT


def test_errors_are_those_of_torchmetrics_and_scipy(signals: tuple[np.ndarray, np.ndarray]) -> None:
    given, wanted = signals
    scores = score_chunks(given, wanted, len(wanted))
    first, second = torch.from_numpy(given).flatten(), torch.from_numpy(wanted).flatten()
    assert scores.mse == pytest.approx(float(MeanSquaredError()(FULL_SCALE * first, FULL_SCALE * second)), rel=1e-4)
    assert quartile_range(wanted) == pytest.approx(float(stats.iqr(wanted)), rel=1e-6)
    root = NormalizedRootMeanSquaredError(normalization="l2")(first, second)
    assert scores.nrmse == scores.pooled_nrmse
    assert scores.nrmse == pytest.approx(float(root) * float(second.norm()) / stats.iqr(wanted))


def test_a_mean_over_batches_is_not_that_of_all_samples(signals: tuple[np.ndarray, np.ndarray]) -> None:
    given, wanted = signals
    single, pairs = score_chunks(given, wanted, 1), score_chunks(given, wanted, 2)
    by_hand = np.mean([snr_unit(given[n : n + 2], wanted[n : n + 2]) for n in (0, 2, 4)])
    assert pairs.snr_unit == pytest.approx(by_hand) and single.snr_unit != pytest.approx(pairs.snr_unit)
    assert single.mse == pytest.approx(pairs.mse) and single.pooled_snr_db == pairs.pooled_snr_db
    assert single.nrmse < single.pooled_nrmse  # a mean of roots is less than the root of the mean


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_interpolations_pass_through_the_samples(factor: int) -> None:
    low = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    for how in ("linear", "spline"):
        assert np.allclose(interpolate(low, factor, how)[:, ::factor], low, atol=1e-5)
    time = np.arange(factor * 64) / factor
    other = scipy_interpolate.interp1d(np.arange(64), low, "cubic", axis=-1, fill_value="extrapolate")(time)
    assert np.allclose(interpolate(low, factor, "spline"), other, atol=1e-4)
    # Band-limited, a slow sine is restored.
    sine = np.sin(2 * np.pi * 0.03 * np.arange(400)).astype(np.float32)
    restored = interpolate(sine, factor, "sinc")
    wanted = np.sin(2 * np.pi * 0.03 / factor * np.arange(400 * factor))
    assert np.allclose(restored[600:-600], wanted[600:-600], atol=1e-3)
    assert all(interpolate(low, factor, how).shape == (3, 64 * factor) for how in BASELINES)


def test_isolated_chunks_are_put_side_by_side() -> None:
    low = speech_like(0.1)[::4]
    spline = Contender("spline")
    pieces = on_recording(spline, low, 4, 1024)
    assert pieces.shape == (4 * len(low),)
    assert np.allclose(pieces[:1024], interpolate(low[:256], 4, "spline"))
    whole = on_recording(spline, low, 4, None)
    assert np.allclose(pieces[400:600], whole[400:600], atol=1e-4) and not np.allclose(pieces, whole, atol=1e-4)


def test_a_planted_click_at_the_borders_is_found() -> None:
    error = 1e-3 * np.random.default_rng(2).standard_normal(10_000).astype(np.float32)
    assert border_error_db(error, 1000) == pytest.approx(0.0, abs=0.5)
    clicking = error.copy()
    clicking[1000::1000] += 0.1
    assert border_error_db(clicking, 1000) > 15.0
    smooth = np.sin(2 * np.pi * np.arange(10_000) / 500.0).astype(np.float32)
    stepped = smooth + 0.05 * (np.arange(10_000) // 1000 % 2)
    assert border_step_db(stepped, 1000) > 20.0 > border_step_db(smooth, 1000) + 10.0


def test_folding_is_measured(tmp_path: Path) -> None:
    from model.data.corpus import find_clips

    clips = find_clips(write_corpus(tmp_path / "voices", 1, 2), "test")
    found = aliasing(clips, PairsSection(clips=None))
    assert 0.3 < found.share_above < 0.9  # pulses and hiss are bright
    assert found.filtered_low_snr_db > found.folded_low_snr_db + 10.0
    assert found.filtered_snr_db > found.folded_snr_db
    assert found.folded_snr_db == pytest.approx(found.bound_db, abs=1.5)


def test_a_leak_is_found_where_there_is_one(tmp_path: Path) -> None:
    voices = write_corpus(tmp_path / "voices", speakers=5, clips=2, seconds=0.6)
    pairs: Pairs = make(voices, tmp_path / "pairs", PairsSection(chunk=1024, overlap=512, clips=None), 1)
    shuffled, speaker = leak(pairs, "shuffled", None), leak(pairs, "speaker", None)
    assert (speaker.speaker, speaker.recording, speaker.samples) == (0.0, 0.0, 0.0)
    assert shuffled.speaker == shuffled.recording == 1.0 and shuffled.samples > 0.8
    assert speaker.lookup_db == speaker.spline_db and shuffled.lookup_db > shuffled.spline_db + 3.0


def test_what_an_interpolation_off_centre_costs_is_measured(tmp_path: Path) -> None:
    ramp = np.arange(64, dtype=np.float32)[None]
    assert np.allclose(off_centre(ramp, 4)[0, 8:-8], np.arange(8, 248) / 4 - 0.375)
    from model.data.corpus import find_clips

    clips = find_clips(write_corpus(tmp_path / "voices", 1, 2), "train")
    (found,) = corpora(clips, PairsSection(clips=None))
    assert found.corpus == "voices" and found.recordings == 2 and 0.3 < found.share_above < 0.9
    assert found.off_centre < found.linear and found.quartile_range > 0.0


def test_rivals_are_named() -> None:
    def standing(name: str, snr: float, lsd: float) -> Standing:
        return Standing(name, clips=[ClipScores("one", {"snr_db": snr, "lsd": lsd})])

    found = rivalry([standing("a", 20.0, 3.0), standing("b", 18.0, 2.0), standing("c", 16.0, 1.0)])
    assert (found.rank_correlation, found.best_snr, found.best_lsd) == (pytest.approx(-1.0), "a", "c")


def test_places_are_spread_evenly() -> None:
    assert evenly(np.arange(10), 3) == (0, 4, 9) and evenly(np.arange(3), None) == (0, 1, 2)
