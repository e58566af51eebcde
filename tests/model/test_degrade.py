"""Degradation keeps time and level, uses the host's resampler, and draws what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.degrade.chain import (
    CODECS_OF_RATE,
    FAMILIES,
    ROOM_DB,
    ROOM_DECAY_S,
    Degradation,
    add_room,
    apply,
    draw,
    make_pair,
)
from model.degrade.filters import decimate, fir_taps, iir_sections, sinc_decimate, upsample, zero_phase
from realtime import kernel

from .speech import RATE_HZ, speech_like


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000])
def test_upsampling_is_the_hosts(rate_hz: int) -> None:
    low = np.random.default_rng(0).standard_normal(rate_hz // 10).astype(np.float32)
    assert np.allclose(upsample(low, rate_hz), kernel.upsample(low, rate_hz), atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000])
@pytest.mark.parametrize("taps", [81, 193, 299])
def test_down_and_up_keeps_a_tone_in_place(rate_hz: int, taps: int) -> None:
    tone = np.sin(2 * np.pi * 1_000.0 * np.arange(RATE_HZ // 4) / RATE_HZ).astype(np.float32)
    low = upsample(decimate(tone, fir_taps(taps, 0.45 * rate_hz), RATE_HZ // rate_hz), rate_hz)
    inner = slice(2_000, -2_000)
    assert len(low) == len(tone)
    assert np.allclose(low[inner], tone[inner], atol=0.01)


def test_protocol_filter_keeps_a_tone_in_place() -> None:
    tone = np.sin(2 * np.pi * 1_000.0 * np.arange(RATE_HZ // 4) / RATE_HZ).astype(np.float32)
    low = upsample(sinc_decimate(tone, 16_000), 16_000)
    assert np.allclose(low[2_000:-2_000], tone[2_000:-2_000], atol=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_iir_filters_remove_the_high_band_without_delay(family: str) -> None:
    sections = iir_sections(family, 6, 4_000.0)
    time = np.arange(RATE_HZ // 4) / RATE_HZ
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (1_000.0, 12_000.0))
    inner = slice(2_000, -2_000)
    assert np.allclose(zero_phase(low, sections)[inner], low[inner], atol=0.15)
    assert np.abs(zero_phase(high, sections)[inner]).max() < 0.01


def test_telephone_band_leaves_out_the_lowest_octaves() -> None:
    chain = Degradation(8_000, 3_600.0, 3_400.0, 193, None, 4, telephone=True)
    time = np.arange(RATE_HZ // 2) / RATE_HZ
    rumble, voice = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (100.0, 1_000.0))
    inner = slice(6_000, -6_000)
    assert np.abs(apply(rumble, chain)[inner]).max() < 0.01
    assert np.abs(apply(voice, chain)[inner]).max() > 0.95


@pytest.mark.parametrize("rate_hz, codec", [(rate, codec) for rate, names in CODECS_OF_RATE.items() for codec in names])
def test_what_went_through_a_codec_is_in_line_with_what_did_not(rate_hz: int, codec: str) -> None:
    speech = speech_like(0.4)
    plain = Degradation(rate_hz, rate_hz / 2, 0.45 * rate_hz, 193, None, 4, telephone=False)
    coded = apply(speech, replace(plain, codec=codec))
    heard = apply(speech, plain)
    lags = range(-48, 49)
    matches = [float(np.dot(np.roll(coded, lag), heard)) for lag in lags]
    assert len(coded) == len(heard)
    assert abs(lags[int(np.argmax(matches))]) <= 6  # an eighth of a millisecond: parametric codecs move phases


def test_chains_stay_in_range() -> None:
    generator = np.random.default_rng(1)
    for _ in range(300):
        chain = draw(generator)
        assert 3_400.0 <= chain.cutoff_hz <= 16_000.0
        assert chain.edge_hz < 0.5 * chain.rate_hz
        assert 81 <= chain.taps <= 299 and chain.taps % 2 == 1


def test_pairs_depend_on_the_seed_alone() -> None:
    speech = speech_like(0.4)
    first, again, other = (make_pair(speech, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.low, again.low) and np.array_equal(first.target, again.target)
    assert first.low.shape == first.target.shape == speech.shape
    assert not np.array_equal(first.low, other.low)
    assert np.array_equal(speech, speech_like(0.4)), "the recording itself is left alone"


def test_hiss_reaches_through_the_whole_band_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOM_CHANCE", "NOISE_CHANCE"):  # both would sound in the silence
        monkeypatch.setattr(f"model.degrade.chain.{name}", 0.0)
    speech = speech_like(0.6)
    speech[10_000:20_000] = 0.0
    frequency_hz = np.fft.rfftfreq(8_000, 1 / RATE_HZ)
    hissing = 0
    for seed in range(40):
        pair = make_pair(speech, np.random.default_rng(seed))
        power = np.abs(np.fft.rfft(pair.target[11_000:19_000])) ** 2 / 8_000
        top = power[frequency_hz > 21_500.0].mean()
        if pair.hiss_rms > 0.0:
            hissing += 1
            # Within what its colour may take from white noise.
            assert top > 2e-3 * pair.hiss_rms**2
        else:
            assert top < 1e-9
    assert 8 < hissing < 32


@pytest.mark.parametrize("seed", range(4))
def test_a_room_keeps_the_voice_in_place_and_adds_a_tail_that_falls_first_at_the_top(seed: int) -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[100] = 1.0
    heard = add_room(click, np.random.default_rng(seed))
    assert np.all(np.abs(heard[:100]) < 1e-6) and heard[100] == pytest.approx(1.0, abs=1e-5)
    tail = heard[101:].astype(np.float64)
    assert ROOM_DB[0] - 1.0 < 10.0 * np.log10(np.sum(tail**2)) < ROOM_DB[1] + 1.0
    assert np.all(np.abs(tail[round(ROOM_DECAY_S[1] * RATE_HZ) + 1 :]) < 1e-6)
    sounding = np.trim_zeros(tail.round(6))
    early, late = (np.abs(np.fft.rfft(part)) ** 2 for part in np.array_split(sounding[: len(sounding) // 2 * 2], 2))
    top = len(early) * 8_000 // (RATE_HZ // 2)
    assert np.sum(late) < 0.1 * np.sum(early)
    assert np.sum(late[top:]) / np.sum(early[top:]) <= 1.2 * np.sum(late[1:top]) / np.sum(early[1:top])
