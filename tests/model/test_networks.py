"""Whole and streamed forms agree, nothing looks ahead, silence stays silent, loudness does not matter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from model.metrics.voice import FRAME_SAMPLES, Voicing, pitch_modulation
from model.networks.core import FLOOR_RISE_DB_PER_S, Core, CoreConfig
from model.networks.layers import RowCounter, SignNoise, TableNoise
from model.networks.shaper import CROSSOVER, LARGEST_RISE, Shaper
from model.networks.smooth_noise import PERIOD_SAMPLES, smooth_noise, spectrogram
from model.networks.transforms import (
    CHUNK_SAMPLES,
    Analysis,
    Framing,
    Synthesis,
    frame,
    overlap_add,
    sine_window,
    triangular_bands,
)

from .speech import speech_like

TOLERANCE = 1e-5
HOP_SAMPLES = Framing().hop_samples

#: The framings that ship: half a window shared, and less than half for less latency.
FRAMINGS = [Framing(), Framing(96, 168)]


def small(framing: Framing, pulsed: bool = True) -> Core:
    """A small network whose last layer is large enough to show what its states do."""
    torch.manual_seed(0)
    core = Core(CoreConfig(channels=16, dilations=(1, 3), gain_bands=12, pulsed=pulsed, framing=framing))
    with torch.no_grad():
        core.leave.weight.mul_(20.0)
    return core.eval()


@pytest.fixture(scope="module")
def network() -> Core:
    return small(Framing())


def streamed(core: Core, low: Tensor, cutoff_hz: Tensor, level_db: Tensor, tilt_db: Tensor) -> Tensor:
    state = core.initial_state(low.shape[0])
    frames = []
    for chunk in frame(low, core.framing).unbind(1):
        output, state = core.step(chunk, cutoff_hz, level_db, tilt_db, state)
        frames.append(output)
    return overlap_add(torch.stack(frames, dim=1), core.framing)


def speech(hops: int, batch: int = 1, hop_samples: int = HOP_SAMPLES) -> Tensor:
    seconds = hops * hop_samples / 48_000
    return torch.from_numpy(np.stack([speech_like(seconds, seed) for seed in range(batch)]))


@pytest.mark.parametrize("window", (512, 1024, 2048, 4096))
def test_steady_noise_scatters_less_than_chance_in_windows_that_it_was_not_made_for(window: int) -> None:
    def scatter_db(noise: torch.Tensor) -> float:
        return float((20.0 * torch.log10(spectrogram(noise, window) + 1e-6)).std())

    white = torch.randn(PERIOD_SAMPLES, generator=torch.Generator().manual_seed(1))
    assert scatter_db(smooth_noise()) < 4.5 < 5.4 < scatter_db(white)


def test_steady_noise_is_of_one_level_at_all_frequencies() -> None:
    power = spectrogram(smooth_noise(), 1024).square().mean(0)[:-1]
    octaves = power.unfold(0, 40, 40).mean(-1)
    assert float((10.0 * torch.log10(octaves)).abs().max()) < 0.5


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_steady_noise_frame_by_frame_is_the_noise(framing: Framing) -> None:
    hop, window = framing.hop_samples, framing.window_samples
    analysis, synthesis = Analysis(framing.window(), 1, window // 2), Synthesis(framing, 1, window // 2)
    table = TableNoise(smooth_noise(), hop, window, analysis)
    heard = overlap_add(synthesis(table(torch.arange(200)[None])), framing)[0, hop:-hop]
    wanted = smooth_noise()[window - hop :][hop : len(heard) + hop]
    assert float(torch.corrcoef(torch.stack([heard, wanted]))[0, 1]) > 0.99


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_pulsed_noise_is_one_white_signal_seen_through_overlapping_frames(framing: Framing) -> None:
    rows = RowCounter(SignNoise.LENGTHS)(500)
    frames = SignNoise(framing.hop_samples, framing.window_samples)(rows)[:, 0]
    assert torch.equal(frames[1:, : framing.overlap_samples], frames[:-1, -framing.overlap_samples :])
    signal = frames[:, framing.overlap_samples :].flatten()
    for lag in (1, 7, framing.hop_samples):
        assert abs(float((signal[lag:] * signal[:-lag]).mean())) < 0.02


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_analysis_and_synthesis_reconstruct(framing: Framing) -> None:
    samples, hop = framing.window_samples, framing.hop_samples
    last = samples // 2 - 1
    analysis, synthesis = Analysis(framing.window(), 1, last), Synthesis(framing, 1, last)
    time = torch.arange(40 * hop) / 48_000
    # A window spreads a tone over a few bins, so the tones keep off the two bins that are left out.
    tone = torch.stack([torch.sin(2 * torch.pi * frequency * time) for frequency in (4_000.0, 11_111.0)])
    rebuilt = overlap_add(synthesis(analysis(frame(tone, framing, samples))), framing)
    inner = slice(2 * hop, -2 * hop)
    assert torch.allclose(rebuilt[:, inner], tone[:, inner], atol=5e-3)


def test_analysis_powers_sum_to_the_mean_square() -> None:
    noise = torch.randn(200, 384)
    spectrum = Analysis(sine_window(384), 1, 191)(noise)
    assert float(spectrum.square().sum(-1).mean()) == pytest.approx(1.0, rel=0.03)


def test_bands_sum_to_one_everywhere() -> None:
    bands = triangular_bands(np.array([100.0, 300.0, 900.0]), np.linspace(0.0, 1_200.0, 50))
    assert np.allclose(bands.sum(axis=0), 1.0)


def shaped(framing: Framing, pitch_hz: float, mean: Callable[[Tensor], Tensor] | None) -> Tensor:
    """High band [samples] of a second of a steady vowel, of its own harmonics alone and of even gain."""
    shaper, time = Shaper(framing, 24, True), torch.arange(48_000 // framing.hop_samples * framing.hop_samples) / 48_000
    voice = sum(0.1 * torch.cos(2 * torch.pi * pitch_hz * n * time) for n in range(1, int(4_000.0 / pitch_hz)))
    assert isinstance(voice, Tensor)
    newest = frame(voice[None], framing, framing.window_samples + 1)
    hops = newest.shape[1]
    mix = torch.tensor([1.0, 0.0, 0.0])[:, None].expand(1, hops, 3, 24)
    mask = shaper.crossover(torch.tensor([[4_000.0]]), torch.zeros(1, 1), torch.zeros(1, 1))
    rows, gain = RowCounter(shaper.tables)(hops)[None], torch.ones(1, hops, 24)
    return overlap_add(shaper(newest, rows, gain, mix, mask, mean or shaper.recent), framing)[0]


@pytest.mark.parametrize(("framing", "pitch_hz"), list(zip(FRAMINGS, (85.0, 120.0), strict=True)), ids=str)
def test_the_pulses_of_a_low_voice_are_not_levelled(framing: Framing, pitch_hz: float) -> None:
    starts = np.arange(4_800, 40_000, 480)
    voicing = Voicing(starts, np.full(len(starts), pitch_hz))
    kept, levelled = (
        pitch_modulation(shaped(framing, pitch_hz, mean).numpy(), voicing, 4_000.0) for mean in (None, lambda x: x)
    )
    assert starts[-1] + FRAME_SAMPLES < 48_000
    assert kept > 1.2 * levelled


def test_an_onset_is_not_louder_than_a_pulse_may_be() -> None:
    onset, even = (shaped(Framing(), 100.0, mean) for mean in (torch.zeros_like, lambda power: power))
    assert float(onset.square().mean() / even.square().mean()) == pytest.approx(LARGEST_RISE, rel=1e-3)


@pytest.mark.parametrize("pulsed", [True, False])
@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_core_streams_what_it_computes_whole(framing: Framing, pulsed: bool) -> None:
    core = small(framing, pulsed)
    low = speech(120, 3, framing.hop_samples)
    low[1, : 20 * framing.hop_samples] = low[2, 60 * framing.hop_samples : 80 * framing.hop_samples] = 0.0
    controls = (
        torch.tensor([[3_400.0], [8_000.0], [12_000.0]]),
        torch.tensor([[0.0], [-6.0], [6.0]]),
        torch.tensor([[0.0], [3.0], [-3.0]]),
    )
    with torch.no_grad():
        difference = streamed(core, low, *controls) - core(low, *controls)
    assert float(difference.abs().max()) < TOLERANCE


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_core_does_not_look_ahead(framing: Framing) -> None:
    core, hop = small(framing), framing.hop_samples
    low = speech(60, 1, hop)
    changed = low.clone()
    changed[:, 40 * hop :] = torch.randn(1, 20 * hop)
    cutoff_hz = torch.tensor([[4_000.0]])
    with torch.no_grad():
        difference = core(low, cutoff_hz) - core(changed, cutoff_hz)
    # A frame begins a window before the end of its newest hop: that much reaches back, and is the latency.
    first = 41 * hop - framing.window_samples
    assert float(difference[:, :first].abs().max()) == 0.0
    assert float(difference[:, first:].abs().max()) > 0.0


def test_level_and_tilt_are_what_they_say(network: Core) -> None:
    low, cutoff_hz = speech(250), torch.tensor([[4_000.0]])

    def band_db(low_hz: float, high_hz: float, *wishes: Tensor) -> float:
        with torch.no_grad():
            power = torch.fft.rfft(network(low, cutoff_hz, *wishes)).abs().square()[0]
        frequency_hz = torch.linspace(0.0, 24_000.0, len(power))
        return 10.0 * float(torch.log10(power[(frequency_hz > low_hz) & (frequency_hz < high_hz)].sum()))

    none, six, minus_three = torch.zeros(1, 1), torch.tensor([[6.0]]), torch.tensor([[-3.0]])
    assert band_db(6_000.0, 20_000.0, six, none) - band_db(6_000.0, 20_000.0) == pytest.approx(6.0, abs=0.01)
    for octave in (1, 2):
        edges = 4_000.0 * 2**octave - 100.0, 4_000.0 * 2**octave + 100.0
        assert band_db(*edges, none, minus_three) - band_db(*edges) == pytest.approx(-3.0 * octave, abs=0.2)


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
    below = spectrum[frequency_hz < CROSSOVER[0] * cutoff_hz - 500.0].sum()
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


def floors_db(core: Core, low: Tensor) -> Tensor:
    return (10.0 / math.log(10.0)) * core.hear(frame(low, core.framing)).floor


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_what_is_heard_of_a_voice_is_the_same_after_digital_silence(framing: Framing) -> None:
    core, silence = small(framing), 5 * framing.hop_samples
    low = 0.1 * speech(300, 1, framing.hop_samples) + 1e-4 * torch.randn(1, 300 * framing.hop_samples)
    fresh = core.hear(frame(low, framing))
    later = core.hear(frame(torch.cat([torch.zeros(1, silence), low], dim=1), framing))
    assert torch.equal(later.amplitude[:, 5:], fresh.amplitude)
    assert torch.equal(later.floor[:, 5:], fresh.floor)


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_muting_does_not_change_what_bands_fall_to(framing: Framing) -> None:
    core, hop = small(framing), framing.hop_samples
    second = 48_000 // hop
    noise = 1e-3 * torch.randn(1, 3 * second * hop)
    muted = noise.clone()
    muted[:, second * hop + 17 : 2 * second * hop + 31] = 0.0
    steady, after = (floors_db(core, low)[:, 2 * second + CHUNK_SAMPLES // hop + 1 :] for low in (noise, muted))
    # What is remembered rises meanwhile, as it always does where nothing softer is heard.
    assert float((after - steady).min()) > -1.0
    assert float((after - steady).mean()) < FLOOR_RISE_DB_PER_S
    assert float((after - steady).max()) < 20.0


def test_a_microphone_that_is_turned_up_does_not_move_what_bands_fall_to() -> None:
    core, hops = small(Framing()), 1_000
    # Between these sounds is digital silence, which tells nothing.
    low = 0.1 * speech(hops) + 1e-4 * torch.randn(1, hops * HOP_SAMPLES)
    gain = torch.ones(1, hops * HOP_SAMPLES)
    gain[:, hops // 2 * HOP_SAMPLES :] = 10.0 ** (10.0 / 20.0)
    steady, turned_up = (floors_db(core, given) for given in (low, gain * low))
    later = slice(hops // 2 + 5, None)  # the longest window has left the step behind
    assert float((turned_up - steady)[:, later].abs().max()) < 1.0


def test_an_offset_changes_little(network: Core) -> None:
    low = speech(250)
    cutoff_hz = torch.tensor([[8_000.0]])
    with torch.no_grad():
        plain, shifted = network(low, cutoff_hz), network(low + 0.02, cutoff_hz)
    ratio_db = 10.0 * float(torch.log10(shifted.square().mean() / plain.square().mean()))
    assert abs(ratio_db) < 3.0
