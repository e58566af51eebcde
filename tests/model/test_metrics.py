"""Metrics have the values theory gives them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.metrics.evaluation import low_band, score_clip
from model.metrics.spectral import (
    edge_bin,
    high_level_errors_db,
    level_dbfs,
    log_spectral_distance,
    low_band_snr_db,
    power_spectrum,
)

from .speech import RATE_HZ, speech_like


def noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(2 * RATE_HZ).astype(np.float32)


def test_distance_of_independent_noises_is_what_theory_says() -> None:
    distance = log_spectral_distance(power_spectrum(noise(0)), power_spectrum(noise(1)))
    assert distance == pytest.approx(math.sqrt(math.pi**2 / 3) / math.log(10), abs=0.02)


def test_distance_of_a_gain_is_the_gain() -> None:
    spectrum = power_spectrum(noise(0))
    assert log_spectral_distance(100.0 * spectrum, spectrum) == pytest.approx(2.0)


def test_distance_has_the_floor_of_the_protocol() -> None:
    silence = np.zeros((3, 1025))
    assert log_spectral_distance(silence, silence) == 0.0
    assert log_spectral_distance(silence, silence + 1e-6) == pytest.approx(2.0)


def test_bands_split_at_the_cutoff() -> None:
    assert edge_bin(4_000.0) == 170
    spectrum = power_spectrum(noise(0))
    changed = spectrum.copy()
    changed[:, edge_bin(8_000.0) :] *= 10.0
    assert log_spectral_distance(changed, spectrum, 0, edge_bin(8_000.0)) == 0.0
    assert log_spectral_distance(changed, spectrum, edge_bin(8_000.0)) == pytest.approx(1.0)


def test_level_errors_tell_speech_from_pauses() -> None:
    wanted = np.ones((10, 1025))
    wanted[5:] = 1e-5
    given = wanted.copy()
    given[:5] *= 2.0
    given[5:] *= 0.5
    active_db, pause_db = high_level_errors_db(given, wanted, 8_000.0)
    assert active_db == pytest.approx(3.0, abs=0.02) and pause_db == pytest.approx(-3.0, abs=0.02)
    assert math.isnan(high_level_errors_db(given[:5], wanted[:5], 8_000.0)[1])


def test_low_band_ratio_ignores_the_high_band() -> None:
    speech = speech_like(1.0)
    time = np.arange(len(speech)) / RATE_HZ
    high = (0.1 * np.hanning(len(time)) * np.sin(2 * np.pi * 12_000.0 * time)).astype(np.float32)
    assert low_band_snr_db(speech + high, speech, 8_000.0) > 60.0
    assert low_band_snr_db(1.1 * speech, speech, 8_000.0) == pytest.approx(20.0, abs=0.1)


def test_level() -> None:
    assert level_dbfs(np.ones(10, np.float32)) == pytest.approx(0.0)
    assert level_dbfs(np.zeros(10, np.float32)) == pytest.approx(-300.0)


def test_the_truth_scores_best_and_the_low_band_alone_badly() -> None:
    speech = speech_like(1.0)
    best = score_clip(speech, speech, 8_000.0, None)
    dull = score_clip(low_band(speech, 16_000), speech, 8_000.0, None)
    assert best.lsd == 0.0 and best.visqol is None
    assert dull.lsd_high > 1.5 and dull.level_error_db < -10.0
    assert dull.low_snr_db > 20.0 and dull.lsd_low < 0.5
