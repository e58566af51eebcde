"""The streaming resampler: equal to the whole-signal kernel, flat below, clean above, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from realtime.kernel import HALF_LENGTH_MS, upsample
from realtime.native import COMPILE_NOGIL
from realtime.native.memory import record_at
from realtime.native.resampler import RESAMPLER, Resampler, needed, push, resample

RATES_HZ = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 96_000]


@njit(**{**COMPILE_NOGIL, "cache": False})
def _push(address, block, count, out):  # type: ignore[no-untyped-def]
    r = record_at(address, RESAMPLER)
    push(r, block, 0, count)
    return resample(r, out, out.shape[1])


@njit(**{**COMPILE_NOGIL, "cache": False})
def _needed(address, count):  # type: ignore[no-untyped-def]
    return needed(record_at(address, RESAMPLER), count)


def _stream(
    x: NDArray[np.float32], rate_in_hz: int, rate_out_hz: int, block: int, ppm: float = 0.0
) -> NDArray[np.float32]:
    resampler = Resampler(rate_in_hz, rate_out_hz, x.shape[0], block)
    resampler.record["ppm"] = ppm
    out = np.zeros((x.shape[0], 8 * block + 4_000), np.float32)
    pieces = []
    for start in range(0, x.shape[1], block):
        piece = np.ascontiguousarray(x[:, start : start + block])
        count = _push(resampler.address, piece, piece.shape[1], out)
        pieces.append(out[:, :count].copy())
    return np.concatenate(pieces, axis=1)


def _tone(frequency_hz: float, rate_hz: int, seconds: float = 0.5) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz).astype(np.float32)[None]


def _gain_and_spurs_db(x: NDArray[np.float32], tone_hz: float, rate_hz: int) -> tuple[float, float]:
    """Level of a fitted tone, and of the strongest line that is left without it, in dB of full scale."""
    y = x[0, 2_000:-2_000].astype(np.float64)
    phase = 2 * np.pi * tone_hz * np.arange(len(y)) / rate_hz
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    fit, *_ = np.linalg.lstsq(basis, y, rcond=None)
    window = np.kaiser(len(y), 20.0)
    rest = np.abs(np.fft.rfft((y - basis @ fit) * window)) * 2 / window.sum()
    return 20 * np.log10(np.hypot(*fit)), 20 * np.log10(rest.max() + 1e-12)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("block", [1, 37, 512])
def test_streamed_equals_whole(rate_hz: int, block: int) -> None:
    x = np.random.default_rng(1).standard_normal((2, 2_000)).astype(np.float32)
    streamed = _stream(x, rate_hz, 48_000, block)
    whole = upsample(x, rate_hz)
    assert streamed.shape[1] > whole.shape[1] - 0.002 * 48_000 - 8
    np.testing.assert_allclose(streamed, whole[:, : streamed.shape[1]], atol=1e-5)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_waits_no_longer_than_it_says(rate_hz: int) -> None:
    resampler = Resampler(rate_hz, 48_000, 1, 1_000)
    out = np.zeros((1, 20_000), np.float32)
    count = _push(resampler.address, np.zeros((1, 1_000), np.float32), 1_000, out)
    assert resampler.delay_ms <= HALF_LENGTH_MS
    assert 1_000 * 48_000 / rate_hz - count <= resampler.delay_out_samples


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 24_000, 44_100])
def test_images_are_80_db_down_and_the_passband_is_flat(rate_hz: int) -> None:
    passband_hz = rate_hz / 2 - 1_000.0
    for tone_hz in (0.11 * rate_hz, passband_hz):
        gain_db, spurs_db = _gain_and_spurs_db(_stream(_tone(tone_hz, rate_hz), rate_hz, 48_000, 64), tone_hz, 48_000)
        assert abs(gain_db) < 0.05
        assert spurs_db < -80.0


@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), [(48_000, 16_000), (96_000, 48_000), (48_000, 44_100)])
def test_downsampling_removes_what_would_alias(rate_in_hz: int, rate_out_hz: int) -> None:
    too_high = _stream(_tone(rate_out_hz / 2 + 1_000.0, rate_in_hz), rate_in_hz, rate_out_hz, 64)
    assert _gain_and_spurs_db(too_high, 100.0, rate_out_hz)[1] < -80.0


@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_the_ratio_can_be_steered(ppm: float) -> None:
    streamed = _stream(_tone(1_000.0, 48_000), 48_000, 48_000, 64, ppm)
    gain_db, spurs_db = _gain_and_spurs_db(streamed, 1_000.0 * (1 + 1e-6 * ppm), 48_000)
    assert abs(gain_db) < 0.01
    assert spurs_db < -80.0
    assert streamed.shape[1] == pytest.approx(24_000 / (1 + 1e-6 * ppm), abs=80)


@pytest.mark.parametrize("rate_out_hz", [8_000, 44_100, 96_000])
def test_pulling_takes_exactly_what_is_needed(rate_out_hz: int) -> None:
    x = np.random.default_rng(2).standard_normal((1, 40_000)).astype(np.float32)
    resampler = Resampler(48_000, rate_out_hz, 1, 8_000)
    out = np.zeros((1, 128), np.float32)
    position, pieces = 0, []
    for _ in range(40):
        count = _needed(resampler.address, 128)
        given = _push(resampler.address, np.ascontiguousarray(x[:, position : position + count]), count, out)
        assert given == 128
        position += count
        pieces.append(out.copy())
    pulled = np.concatenate(pieces, axis=1)
    np.testing.assert_allclose(pulled, upsample(x, 48_000, rate_out_hz)[:, : pulled.shape[1]], atol=1e-5)
