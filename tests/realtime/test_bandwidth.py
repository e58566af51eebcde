"""The detector tells where a voice's band ends, soon, and is not fooled by silence and noise."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.bandwidth import BandwidthDetector, recording_cutoff_hz
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
