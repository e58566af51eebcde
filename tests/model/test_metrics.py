"""Metrics have the values that theory, or the same formula written another way, gives them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal

from model.metrics.conditions import protocol
from model.metrics.intervals import bootstrap
from model.metrics.scores import METRICS, PASS_FRACTION, prepare, score
from model.metrics.spectral import (
    ROUNDING_POWER,
    crossover_error_db,
    edge_bin,
    high_level_errors_db,
    log_spectral_distance,
    power_spectrum,
)
from model.metrics.voice import find_voiced, pitch_modulation, voiced_level_error_db
from model.metrics.waveform import level_dbfs, low_band_snr_db, si_sdr_db, snr_db

from .speech import RATE_HZ, speech_like


def noise(seed: int, seconds: float = 2.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)).astype(np.float32)


def published_distance(given: np.ndarray, wanted: np.ndarray) -> float:
    """LSD as AP-BWE's script computes it, in torch."""
    logarithms = []
    for samples in (given, wanted):
        spectrum = torch.stft(torch.from_numpy(samples), 2048, 512, window=torch.hann_window(2048), return_complex=True)
        logarithms.append(torch.log10(spectrum.abs().square().clamp(1e-8)))
    return float((logarithms[0] - logarithms[1]).square().mean(0).sqrt().mean())


def test_distance_agrees_with_the_published_script() -> None:
    first, second = speech_like(1.0, 1), speech_like(1.0, 2)
    ours = log_spectral_distance(power_spectrum(first), power_spectrum(second))
    assert ours == pytest.approx(published_distance(first, second), rel=1e-4)


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


def test_rounding_power_is_that_of_rounded_noise() -> None:
    speech = noise(0)
    error = np.round(speech * 32_768.0) / 32_768.0 - speech
    assert power_spectrum(error.astype(np.float32)).mean() == pytest.approx(ROUNDING_POWER, rel=0.05)


def test_level_errors_tell_speech_from_pauses() -> None:
    wanted = np.ones((10, 1025))
    wanted[5:] = 1e-4
    given = wanted.copy()
    given[:5] *= 2.0
    given[5:] *= 0.5
    active_db, pause_db = high_level_errors_db(given, wanted, 8_000.0)
    assert active_db == pytest.approx(3.0, abs=0.02) and pause_db == pytest.approx(-3.0, abs=0.02)
    assert math.isnan(high_level_errors_db(given[:5], wanted[:5], 8_000.0)[1])


@pytest.mark.parametrize("planted_db", [-6.0, 4.0])
def test_a_hole_and_a_line_at_the_crossover_are_found(planted_db: float) -> None:
    samples = noise(3)
    band = signal.firwin(511, [7_000.0, 9_100.0], pass_zero=False, fs=RATE_HZ)
    change = signal.fftconvolve(samples, band, mode="same") * (10.0 ** (planted_db / 20.0) - 1.0)
    found_db = crossover_error_db(power_spectrum(samples + change), power_spectrum(samples), 8_000.0)
    assert found_db == pytest.approx(planted_db, abs=0.2)


def test_ratios_agree_with_their_definitions() -> None:
    wanted, error = speech_like(1.0), 0.01 * noise(1, 1.0)
    given = wanted + error
    assert snr_db(given, wanted) == pytest.approx(
        20.0 * np.log10(np.linalg.norm(wanted) / np.linalg.norm(error)), abs=1e-3
    )
    # Scale-invariant: what is left after a least-squares fit is the error, whatever the scale.
    scale, residue, *_ = np.linalg.lstsq(wanted.astype(float)[:, None], given.astype(float), rcond=None)
    fitted = 10.0 * np.log10(np.sum((scale[0] * wanted) ** 2) / residue[0])
    assert si_sdr_db(given, wanted) == pytest.approx(fitted, abs=1e-3)
    assert si_sdr_db(0.2 * given, wanted) == pytest.approx(fitted, abs=1e-3)


def test_low_band_ratio_ignores_the_high_band() -> None:
    speech = speech_like(1.0)
    time = np.arange(len(speech)) / RATE_HZ
    high = (0.1 * np.hanning(len(time)) * np.sin(2 * np.pi * 12_000.0 * time)).astype(np.float32)
    assert low_band_snr_db(speech + high, speech, 8_000.0) > 60.0
    assert low_band_snr_db(np.float32(1.1) * speech, speech, 8_000.0) == pytest.approx(20.0, abs=0.1)


def test_level() -> None:
    assert level_dbfs(np.ones(10, np.float32)) == pytest.approx(0.0)
    assert level_dbfs(np.zeros(10, np.float32)) == pytest.approx(-300.0)


def voice_with_puffs(pitch_hz: float, depth: float) -> np.ndarray:
    """A voice whose high band is noise, its amplitude modulated at the pitch by *depth*."""
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    low = sum(np.cos(2 * np.pi * pitch_hz * n * time) / n for n in range(1, 12))
    sections = signal.butter(8, 4_200.0, "high", fs=RATE_HZ, output="sos")
    carrier = signal.sosfilt(sections, np.random.default_rng(0).standard_normal(len(time)))
    high = carrier * (1.0 + depth * np.cos(2 * np.pi * pitch_hz * time))
    return (0.1 * low + 0.01 * high).astype(np.float32)


@pytest.mark.parametrize("pitch_hz", [95.0, 140.0, 230.0])
def test_the_pitch_of_voiced_frames_is_found(pitch_hz: float) -> None:
    voicing = find_voiced(voice_with_puffs(pitch_hz, 0.5))
    assert len(voicing.starts) > 150
    assert np.median(voicing.pitch_hz) == pytest.approx(pitch_hz, rel=0.01)
    assert len(find_voiced(noise(0)).starts) < 10
    assert len(find_voiced(np.zeros(100, np.float32)).starts) == 0


@pytest.mark.parametrize("length", [4_801, 46_078, 46_079, 46_080])
def test_any_length_can_be_scored(length: int) -> None:
    voice = voice_with_puffs(120.0, 0.5)[:length]
    assert math.isfinite(score(voice, prepare(voice), 8_000.0).modulation)


def test_modulation_at_the_pitch_is_its_depth_above_that_of_noise() -> None:
    smooth, rough = voice_with_puffs(120.0, 0.0), voice_with_puffs(120.0, 0.8)
    voicing = find_voiced(rough)
    measured = [pitch_modulation(samples, voicing, 4_000.0) for samples in (smooth, rough)]
    assert measured[0] < 0.2
    assert measured[1] == pytest.approx(0.8, abs=0.08)
    assert math.isnan(pitch_modulation(rough, find_voiced(noise(0)[:100]), 4_000.0))


def test_a_planted_error_of_the_voiced_high_band_is_found() -> None:
    wanted = voice_with_puffs(120.0, 0.5)
    sections = signal.butter(8, 4_100.0, "high", fs=RATE_HZ, output="sos")
    given = (wanted + signal.sosfiltfilt(sections, wanted)).astype(np.float32)  # the high band doubled
    assert voiced_level_error_db(given, wanted, find_voiced(wanted), 4_500.0) == pytest.approx(6.0, abs=0.3)


def test_the_interval_holds_the_mean_and_narrows_with_more_clips() -> None:
    values = np.random.default_rng(1).normal(3.0, 1.0, 400)
    few, many = bootstrap(values[:16].tolist()), bootstrap(values.tolist())
    assert few is not None and many is not None
    assert few.low < values[:16].mean() < few.high and few.value == pytest.approx(values[:16].mean())
    assert many.high - many.low < 0.5 * (few.high - few.low)
    # What the normal distribution gives for a mean of 400.
    assert many.high - many.low == pytest.approx(2 * 1.96 * values.std() / 20.0, rel=0.1)
    assert bootstrap([math.nan]) is None
    single = bootstrap([2.0, math.nan])
    assert single is not None and (single.low, single.value, single.high, single.count) == (2.0, 2.0, 2.0, 1)


def test_the_truth_scores_best_and_the_low_band_alone_badly() -> None:
    speech = speech_like(1.0)
    original = prepare(speech, 20_000.0)
    best = score(speech, original, 8_000.0)
    assert best.lsd == best.lsd_masked == best.lsd_pass == 0.0 and math.isnan(best.visqol)
    assert best.level_error_db == best.crossover_error_db == best.voiced_error_db == 0.0
    assert best.modulation == best.modulation_wanted
    dull = score(protocol(16_000).apply(speech), original, 8_000.0)
    assert dull.lsd_high > 1.5 and dull.level_error_db < -10.0
    assert dull.low_snr_db > 20.0 and dull.lsd_low < 0.5 and dull.lsd_pass < dull.lsd_low
    assert list(dull.as_dict()) == list(METRICS)


def test_what_lies_above_the_recordings_own_end_is_masked() -> None:
    speech = speech_like(1.0)
    sections = signal.butter(12, 19_000.0, fs=RATE_HZ, output="sos")
    ended = signal.sosfiltfilt(sections, speech).astype(np.float32)
    scores = score(speech, prepare(ended, 17_000.0), 8_000.0)
    assert scores.lsd > 5.0 * scores.lsd_masked


def test_the_untouched_band_is_the_one_below_nine_tenths_of_the_cutoff() -> None:
    speech = speech_like(1.0)
    time = np.arange(len(speech)) / RATE_HZ
    near = (0.05 * np.hanning(len(time)) * np.sin(2 * np.pi * 0.97 * 8_000.0 * time)).astype(np.float32)
    scores = score(speech + near, prepare(speech), 8_000.0)
    assert PASS_FRACTION < 0.97 and scores.lsd_pass < 0.02 < scores.lsd_low
