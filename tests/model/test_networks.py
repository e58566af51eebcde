"""Whole and streamed forms agree, nothing looks ahead, silence stays silent, loudness does not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from model.networks.core import Core, CoreConfig
from model.networks.layers import CausalConv, Gru, PeakLevel, PhasorNoise, StreamingLayer
from model.networks.transforms import (
    HOP_SAMPLES,
    WINDOW_SAMPLES,
    Analysis,
    Synthesis,
    frame,
    overlap_add,
    sine_window,
    triangular_bands,
)

from .speech import speech_like

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def network() -> Core:
    """A small network whose last layer is large enough to show what its states do."""
    torch.manual_seed(0)
    core = Core(CoreConfig(channels=16, dilations=(1, 3), gain_bands=12))
    with torch.no_grad():
        core.leave.weight.mul_(20.0)
    return core.eval()


def streamed(core: Core, low: Tensor, cutoff_hz: Tensor) -> Tensor:
    state = core.initial_state(low.shape[0])
    frames = []
    for chunk in frame(low).unbind(1):
        output, state = core.step(chunk, cutoff_hz, state)
        frames.append(output)
    return overlap_add(torch.stack(frames, dim=1))


def speech(hops: int, batch: int = 1) -> Tensor:
    seconds = hops * HOP_SAMPLES / 48_000
    return torch.from_numpy(np.stack([speech_like(seconds, seed) for seed in range(batch)]))


@pytest.mark.parametrize(
    "layer", [CausalConv(6, 1), CausalConv(6, 4), Gru(6), PeakLevel(0.5)], ids=["conv", "dilated", "gru", "peak"]
)
def test_layer_streams_what_it_computes_whole(layer: StreamingLayer) -> None:
    size = 1 if isinstance(layer, PeakLevel) else 6
    frames = torch.rand(3, 40, size)
    whole = layer(frames)
    state = torch.zeros(3, *layer.state_shape())
    for time, given in enumerate(frames.unbind(1)):
        output, state = layer.step(given, state)
        assert torch.allclose(output, whole[:, time], atol=TOLERANCE)


def test_noise_streams_what_it_computes_whole_and_repeats_after_its_period() -> None:
    noise = PhasorNoise(bins=3)
    period = noise.LENGTHS[0] * noise.LENGTHS[1]
    real, imaginary = noise(period + 2)
    state = torch.zeros(1, 2)
    for time in range(200):
        (step_real, step_imaginary), state = noise.step(state)
        assert torch.allclose(step_real[0], real[time]) and torch.allclose(step_imaginary[0], imaginary[time])
    assert torch.equal(real[:2], real[period:]) and torch.equal(imaginary[:2], imaginary[period:])


def test_noise_is_white_in_time() -> None:
    real, _ = PhasorNoise(bins=64)(4_087)
    for lag in (1, 2, 61, 67):
        assert abs(float((real[lag:] * real[:-lag]).mean())) < 0.02


def test_analysis_and_synthesis_reconstruct() -> None:
    window = sine_window(WINDOW_SAMPLES)
    last = WINDOW_SAMPLES // 2 - 1
    analysis, synthesis = Analysis(window, 1, last), Synthesis(WINDOW_SAMPLES, 1, last)
    time = torch.arange(20 * HOP_SAMPLES) / 48_000
    # A window spreads a tone over a few bins, so the tones keep off the two bins that are left out.
    tone = torch.stack([torch.sin(2 * torch.pi * frequency * time) for frequency in (2_000.0, 11_111.0)])
    rebuilt = overlap_add(synthesis(*analysis(frame(tone, WINDOW_SAMPLES))))
    inner = slice(HOP_SAMPLES, -HOP_SAMPLES)
    assert torch.allclose(rebuilt[:, inner], tone[:, inner], atol=2e-3)


def test_analysis_powers_sum_to_the_mean_square() -> None:
    noise = torch.randn(200, WINDOW_SAMPLES)
    real, imaginary = Analysis(sine_window(WINDOW_SAMPLES), 1, WINDOW_SAMPLES // 2 - 1)(noise)
    assert float((real**2 + imaginary**2).sum(-1).mean()) == pytest.approx(1.0, rel=0.03)


def test_bands_sum_to_one_everywhere() -> None:
    bands = triangular_bands(np.array([100.0, 300.0, 900.0]), np.linspace(0.0, 1_200.0, 50))
    assert np.allclose(bands.sum(axis=0), 1.0)


def test_core_streams_what_it_computes_whole(network: Core) -> None:
    low = speech(120, batch=3)
    cutoff_hz = torch.tensor([[3_400.0], [8_000.0], [12_000.0]])
    with torch.no_grad():
        difference = streamed(network, low, cutoff_hz) - network(low, cutoff_hz)
    assert float(difference.abs().max()) < TOLERANCE


def test_core_does_not_look_ahead(network: Core) -> None:
    low = speech(60)
    changed = low.clone()
    changed[:, 40 * HOP_SAMPLES :] = torch.randn(1, 20 * HOP_SAMPLES)
    cutoff_hz = torch.tensor([[4_000.0]])
    with torch.no_grad():
        difference = network(low, cutoff_hz) - network(changed, cutoff_hz)
    # A frame covers the hop before its newest one: that much reaches back, and is the latency.
    assert float(difference[:, : 39 * HOP_SAMPLES].abs().max()) == 0.0
    assert float(difference[:, 39 * HOP_SAMPLES :].abs().max()) > 0.0


def test_streams_of_a_batch_do_not_touch(network: Core) -> None:
    low = speech(60, batch=3)
    cutoff_hz = torch.tensor([[4_000.0], [6_000.0], [8_000.0]])
    with torch.no_grad():
        together = network(low, cutoff_hz)
        alone = network(low[1:2], cutoff_hz[1:2])
    assert torch.allclose(together[1:2], alone, atol=TOLERANCE)


@pytest.mark.parametrize("cutoff_hz", [3_400.0, 5_000.0, 8_000.0, 12_000.0, 16_000.0])
def test_output_lies_above_the_crossover(network: Core, cutoff_hz: float) -> None:
    with torch.no_grad():
        high = network(speech(120), torch.tensor([[cutoff_hz]]))[0].numpy()
    spectrum = np.abs(np.fft.rfft(high * np.hanning(len(high)))) ** 2
    frequency_hz = np.fft.rfftfreq(len(high), 1 / 48_000)
    below = spectrum[frequency_hz < 0.93 * cutoff_hz - 500.0].sum()
    assert spectrum.sum() > 0.0 and below < 1e-3 * spectrum.sum()


def test_nothing_is_added_to_full_band_input(network: Core) -> None:
    with torch.no_grad():
        assert float(network(speech(60), torch.tensor([[20_000.0]])).abs().max()) == 0.0


def test_digital_silence_stays_silent_even_after_speech(network: Core) -> None:
    low = torch.cat([speech(100), torch.zeros(1, 100 * HOP_SAMPLES)], dim=1)
    with torch.no_grad():
        high = network(low, torch.tensor([[4_000.0]]))
    assert float(high[:, : 100 * HOP_SAMPLES].abs().max()) > 1e-4
    assert float(high[:, 103 * HOP_SAMPLES :].abs().max()) < 10.0 ** (-90.0 / 20.0)


@pytest.mark.parametrize("gain_db", [-30.0, -10.0, 10.0])
def test_high_band_follows_the_level_of_the_input(network: Core, gain_db: float) -> None:
    # Pauses above the gate that closes at -100 dBFS.
    low = 0.3 * speech(250) + 1e-2 * torch.randn(1, 250 * HOP_SAMPLES)
    cutoff_hz = torch.tensor([[8_000.0]])
    gain = 10.0 ** (gain_db / 20.0)
    with torch.no_grad():
        ratio = network(gain * low, cutoff_hz).square().mean() / network(low, cutoff_hz).square().mean()
    assert 10.0 * float(torch.log10(ratio)) == pytest.approx(gain_db, abs=0.1)


def test_an_offset_changes_little(network: Core) -> None:
    low = speech(250)
    cutoff_hz = torch.tensor([[8_000.0]])
    with torch.no_grad():
        plain, shifted = network(low, cutoff_hz), network(low + 0.02, cutoff_hz)
    ratio_db = 10.0 * float(torch.log10(shifted.square().mean() / plain.square().mean()))
    assert abs(ratio_db) < 3.0
