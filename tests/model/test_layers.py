"""Layers stream what they compute whole; the level of a voice follows it, and only it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.networks.layers import (
    CausalConv,
    FloorLevel,
    Gru,
    RecentMean,
    RowCounter,
    StreamingLayer,
    VoiceLevel,
)
from model.networks.transforms import Framing

TOLERANCE = 1e-5
HOPS_PER_SECOND = Framing().hops_per_second


@pytest.mark.parametrize(
    "layer",
    [
        CausalConv(6, 1),
        CausalConv(6, 4),
        Gru(6, 0.1),
        RecentMean(3, 6),
    ],
    ids=["conv", "dilated", "gru", "mean"],
)
def test_layer_streams_what_it_computes_whole(layer: StreamingLayer) -> None:
    frames = torch.rand(3, 40, 6)
    whole = layer(frames)
    state = torch.zeros(3, *layer.state_shape())
    for time, given in enumerate(frames.unbind(1)):
        output, state = layer.step(given, state)
        assert torch.allclose(output, whole[:, time], atol=TOLERANCE)


def test_floors_and_the_level_of_a_voice_stream_what_they_compute_whole() -> None:
    bands, power, flags = torch.rand(3, 40, 6).log(), torch.rand(3, 40, 1) ** 8, torch.rand(3, 40, 1) < 0.7
    floor, voice = FloorLevel(0.5, 6), VoiceLevel(0.5, 20.0)
    floors = floor(bands, flags)
    levels, told = voice(power, flags)
    assert told.any() and not told.all() and not torch.equal(levels, power)
    floor_state, voice_state = (torch.zeros(3, *layer.state_shape()) for layer in (floor, voice))
    for time in range(40):
        given, flag = power[:, time], flags[:, time]
        one, floor_state = floor.step(bands[:, time], flag, floor_state)
        assert torch.allclose(one, floors[:, time], atol=TOLERANCE)
        one, tells, voice_state = voice.step(given, flag, voice_state)
        assert torch.allclose(one, levels[:, time], rtol=TOLERANCE)
        assert torch.equal(tells, told[:, time])


def test_what_the_recurrent_layer_knows_fades_even_where_it_would_keep_it() -> None:
    gru = Gru(4, 0.05)
    with torch.no_grad():
        for parameter in gru.cell.parameters():
            parameter.zero_()
        gru.cell.bias_hh_l0[4:8] = 30.0  # the gate that keeps the state, wide open
        state = torch.ones(1, 4)
        for _ in range(100):
            _, state = gru.step(torch.rand(1, 4), state)
    assert float(state.max()) == pytest.approx(0.95**100, rel=1e-3)


def syllables(seconds: float, level_db: float) -> Tensor:
    """Power [1, T, 1] of five syllables a second, 25 dB deep."""
    time = torch.arange(round(seconds * HOPS_PER_SECOND)) / HOPS_PER_SECOND
    depth_db = 12.5 * (torch.cos(2 * torch.pi * 5.0 * time) - 1.0)
    return torch.pow(10.0, 0.1 * (level_db + depth_db)).reshape(1, -1, 1)


def levels_db(power: Tensor) -> tuple[Tensor, Tensor]:
    """What the quick and the plain level make of *power*, [T] each."""
    quick, _ = VoiceLevel(8.0, HOPS_PER_SECOND)(power, torch.ones_like(power, dtype=torch.bool))
    power_db = 10.0 * torch.log10(power[0, :, 0])
    line_db = 8.0 / HOPS_PER_SECOND * torch.arange(len(power_db))
    return 10.0 * torch.log10(quick[0, :, 0]), torch.cummax(power_db + line_db, dim=0).values - line_db


QUIET = torch.full((1, 50, 1), 1e-10)


def test_the_level_follows_a_voice_that_became_softer_in_half_a_second() -> None:
    quick, plain = levels_db(torch.cat([QUIET, syllables(2.0, -20.0), syllables(2.0, -40.0)], dim=1))
    later = 50 + round(2.5 * HOPS_PER_SECOND)
    assert float((quick[later:] + 40.0).abs().max()) < VoiceLevel.NEAR_DB
    assert float(plain[later]) > -26.0 > float(quick[later])


@pytest.mark.parametrize("floor_db", [-55.0, -90.0, -160.0])
def test_the_level_of_a_voice_is_remembered_through_its_pauses(floor_db: float) -> None:
    floor = torch.full((1, 500, 1), 10.0 ** (0.1 * floor_db))
    quick, plain = levels_db(torch.cat([floor, syllables(2.0, -20.0), floor, syllables(1.0, -20.0)], dim=1))
    assert torch.allclose(quick, plain, atol=1e-3)


def test_where_noise_hides_the_pauses_the_level_falls_slowly() -> None:
    quick, plain = levels_db(torch.cat([syllables(2.0, -20.0), syllables(2.0, -40.0)], dim=1))
    assert torch.allclose(quick, plain, atol=1e-3)


def test_the_level_of_a_voice_scales_with_it() -> None:
    power = torch.cat([QUIET, syllables(2.0, -20.0), syllables(2.0, -45.0)], dim=1)
    loud, soft = levels_db(power)[0], levels_db(1e-2 * power)[0]
    assert torch.allclose(loud, soft + 20.0, atol=1e-3)


def test_rows_stream_what_they_count_whole_and_repeat_after_their_period() -> None:
    counter = RowCounter((5, 7))
    whole = counter(37)
    state = torch.zeros(1, 2)
    for expected in whole:
        rows, state = counter.step(state)
        assert torch.equal(rows[0], expected)
    assert torch.equal(whole[:2], whole[35:])
    assert len({tuple(row) for row in whole[:35].tolist()}) == 35
