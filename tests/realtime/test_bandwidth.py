"""The detector tells where a voice's band ends, soon, and is not fooled by silence and noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from bench.bandwidth.cases import TOLERANCE, path_edge_hz
from bench.bandwidth.flips import NOISES, false_flips, noise_of
from bench.signals.cvsd import through_cvsd
from model.degrade.filters import decimate, fir_taps, iir_sections, upsample, zero_phase
from realtime.bandwidth import EDGE_OF_CUTOFF, BandwidthDetector, recording_cutoff_hz
from realtime.paths import VOICE_CLIP


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    samples, _ = soundfile.read(VOICE_CLIP, dtype="float32")
    rng = np.random.default_rng(0)
    return (samples + 1e-5 * rng.standard_normal(len(samples))).astype(np.float32)


def _narrow(x: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """As a 48 kHz device delivers a voice that has come by way of *rate_hz*."""
    return soxr.resample(soxr.resample(x, 48_000, rate_hz), rate_hz, 48_000).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000])
def test_a_narrow_voice_in_a_48_khz_stream_is_recognised_within_a_second_of_speech(
    voice: NDArray[np.float32], rate_hz: int
) -> None:
    detector = BandwidthDetector()
    narrow = _narrow(voice, rate_hz)[int(0.2 * 48_000) :]  # speech begins after 0.2 s
    for start in range(0, 48_000, 4_800):
        detector.push(narrow[start : start + 4_800])
    assert detector.cutoff_hz == pytest.approx(rate_hz / 2, rel=0.08)
    detector.push(narrow[48_000:])
    assert detector.cutoff_hz == pytest.approx(rate_hz / 2, rel=0.08)


def _telephone(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """By a filter of 3.4 kHz, from a device at 8 kHz: the resampler's images are above it."""
    return upsample(decimate(x, fir_taps(299, 3_400.0), 6), 8_000)[: len(x)]


def _wide_telephone(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return _narrow(zero_phase(x, iir_sections("ellip", 6, 6_700.0)), 16_000)


@pytest.mark.parametrize("path", [_telephone, _wide_telephone, through_cvsd])
def test_the_crossover_is_put_where_a_path_is_6_db_down(
    voice: NDArray[np.float32], path: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    heard = path(voice)
    edge_hz = path_edge_hz([voice[: len(heard)]], [heard])
    detector = BandwidthDetector()
    said = [detector.push(heard[k : k + 4_800]) for k in range(0, len(heard), 4_800)]
    assert EDGE_OF_CUTOFF * said[-1] == pytest.approx(edge_hz, rel=TOLERANCE)
    assert len({*said[12:]}) <= 2, "it stays where it is, but for one correction"


def test_the_edge_of_a_path_is_measured(voice: NDArray[np.float32]) -> None:
    for edge_hz in (3_400.0, 6_800.0):
        filtered = decimate(voice, fir_taps(299, edge_hz), 1)
        assert path_edge_hz([voice], [filtered]) == pytest.approx(edge_hz, rel=0.01)
    assert path_edge_hz([voice], [voice]) == 24_000.0


def test_a_full_band_voice_is_left_alone(voice: NDArray[np.float32]) -> None:
    detector = BandwidthDetector()
    seen = {detector.push(voice[start : start + 4_800]) for start in range(0, len(voice), 4_800)}
    assert seen == {24_000.0}


def test_silence_and_steady_noise_change_nothing(voice: NDArray[np.float32]) -> None:
    detector = BandwidthDetector()
    detector.push(_narrow(voice, 16_000))
    assert detector.cutoff_hz == 8_000.0
    rng = np.random.default_rng(1)
    for level in (0.0, 1e-4, 1e-2):
        noise = (level * rng.standard_normal(20 * 48_000)).astype(np.float32)
        for start in range(0, len(noise), 48_000):
            assert detector.push(noise[start : start + 48_000]) == 8_000.0


@pytest.mark.parametrize("kind", sorted({*NOISES} - {"ambience"}))
def test_noise_before_between_and_after_voices_changes_nothing(voice: NDArray[np.float32], kind: str) -> None:
    for rate_hz, level_dbfs in ((8_000, -60.0), (16_000, -30.0)):
        narrow = _narrow(voice, rate_hz)
        noise = noise_of(kind, 4 * 48_000, level_dbfs, voice)
        minutes, flips = false_flips((narrow, narrow), noise)
        assert minutes > 0.15
        assert flips == 0


def test_false_flips_are_counted(voice: NDArray[np.float32]) -> None:
    """With a voice of another band in the place of the noise there are some."""
    assert false_flips((_narrow(voice, 8_000), _narrow(voice, 8_000)), voice)[1] > 0


def test_a_change_of_bandwidth_is_followed(voice: NDArray[np.float32]) -> None:
    detector = BandwidthDetector()
    detector.push(_narrow(voice, 8_000))
    assert detector.cutoff_hz == 4_000.0
    detector.push(np.tile(_narrow(voice, 16_000), 2))
    assert detector.cutoff_hz == 8_000.0
    detector.push(np.tile(_narrow(voice, 8_000), 6))
    assert detector.cutoff_hz == 4_000.0


def test_any_block_size_gives_the_same(voice: NDArray[np.float32]) -> None:
    narrow = _narrow(voice, 12_000)
    whole, pieces = BandwidthDetector(), BandwidthDetector()
    whole.push(narrow)
    for start in range(0, len(narrow), 777):
        pieces.push(narrow[start : start + 777])
    assert whole.cutoff_hz == pieces.cutoff_hz


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_a_recording_has_at_most_half_its_rate(voice: NDArray[np.float32], rate_hz: int) -> None:
    narrow = soxr.resample(voice, 48_000, rate_hz)
    assert recording_cutoff_hz(narrow, rate_hz) == pytest.approx(rate_hz / 2, rel=0.08)
    assert recording_cutoff_hz(np.zeros(1, np.float32), rate_hz) == rate_hz / 2
