"""The study's networks have its sizes, and the causal one is the same streamed as whole."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from model.study.unet import RunningMaximum, UNet, UNetConfig, count_parameters, subpixel

FIVE = UNetConfig()


def small(**options: Any) -> UNetConfig:
    return UNetConfig(**{"down_filters": (4, 6), "bottleneck_filters": 8, "up_filters": (6, 4), "kernel": 8} | options)


@pytest.mark.parametrize(("tail", "exact", "millions"), [("plain", 9_443_553, 9.44), ("inception", 11_377_241, 11.38)])
def test_the_networks_of_five_blocks_have_the_studys_parameters(tail: Any, exact: int, millions: float) -> None:
    with torch.device("meta"):
        counted = count_parameters(UNet(UNetConfig(tail=tail)))
    assert counted == exact
    assert round(counted / 1e6, 2) == millions


def test_subpixel_sampling_by_hand() -> None:
    # Four channels of two samples: channels 0 and 1 are the even samples of the two that come out, 2 and 3 the odd.
    signal = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]])
    wanted = torch.tensor([[[1.0, 5.0, 2.0, 6.0], [3.0, 7.0, 4.0, 8.0]]])
    assert torch.equal(subpixel(signal, 2), wanted)
    assert torch.equal(subpixel(torch.tensor([[[1.0], [2.0], [3.0]]]), 3), torch.tensor([[[1.0, 2.0, 3.0]]]))


def test_padding_is_that_of_keras() -> None:
    # An impulse through a kernel of ones shows what each output saw: with "same", 15 before and 16 after of 32.
    maximum = RunningMaximum(1, 32, causal=False)
    impulse = torch.zeros(1, 1, 100)
    impulse[..., 50] = 1.0
    seen = torch.nonzero(maximum(impulse)[0, 0]).flatten()
    assert (int(seen[0]), int(seen[-1])) == (50 - 16, 50 + 15)


@pytest.mark.parametrize("factor", [2, 4, 6])
@pytest.mark.parametrize("tail", ["plain", "inception"])
@pytest.mark.parametrize("samples", [64, 75, 1])
def test_any_length_comes_out_factor_times_as_long(factor: int, tail: Any, samples: int) -> None:
    network = UNet(small(factor=factor, tail=tail)).eval()
    assert network(torch.randn(3, samples)).shape == (3, factor * samples)


def test_every_option_changes_the_network() -> None:
    def dropouts(config: UNetConfig) -> list[bool]:
        network = UNet(config)
        return [block.dropout.p > 0.0 for block in (*network.up, *network.tail)]  # type: ignore[union-attr]

    assert dropouts(small(dropout="all")) == [True] * 5
    assert dropouts(small(dropout="not-last-two")) == [True] * 3 + [False] * 2
    assert dropouts(small(dropout="none")) == [False] * 5
    sizes = [count_parameters(UNet(small(batch_norm=norm, skips=skips))) for norm, skips in product((0, 1), (0, 1))]
    assert len(set(sizes)) == 4
    assert UNetConfig().narrowed(0.25).down_filters == (16, 16, 32, 32, 64)


def test_a_silenced_part_is_the_only_thing_that_changes() -> None:
    torch.manual_seed(0)
    network = UNet(small()).eval()
    assert network.parts() == ["skip 1", "skip 2", "residual"]
    low = 0.1 * torch.randn(2, 64)
    whole = network(low)
    assert torch.equal(network(low, ()), whole)
    for part in network.parts():
        assert not torch.allclose(network(low, {part}), whole)


@pytest.mark.parametrize("tail", ["plain", "inception"])
@pytest.mark.parametrize("blocks_per_step", [1, 3])
@pytest.mark.parametrize("shortcut", [False, True])
def test_the_causal_network_streams_as_it_runs_whole(tail: Any, blocks_per_step: int, shortcut: bool) -> None:
    torch.manual_seed(1)
    config = small(causal=True, tail=tail, shortcut=shortcut, lookahead_samples=12 * shortcut)
    network = UNet(config)
    torch.nn.init.xavier_uniform_(network.last.weight)
    network(0.1 * torch.randn(4, 256))  # so that the running statistics are no identity
    network.eval()
    size = blocks_per_step * config.stride
    low = 0.3 * torch.randn(2, 6 * size)
    state = network.initial_state(2)
    outputs = []
    with torch.no_grad():
        whole = network(low)
        for start in range(0, low.shape[1], size):
            output, state = network.step(low[:, start : start + size], state)
            outputs.append(output)
    assert torch.allclose(torch.cat(outputs, dim=1), whole, atol=1e-5)
    assert whole.abs().max() > 0.01


@pytest.mark.parametrize("factor", [2, 4, 6])
@pytest.mark.parametrize("causal", [False, True])
def test_a_network_with_a_shortcut_begins_as_an_interpolation(factor: int, causal: bool) -> None:
    network = UNet(small(factor=factor, shortcut=True, causal=causal, lookahead_samples=12 * causal)).eval()
    times = torch.arange(256 * factor) / factor
    tone = torch.sin(0.5 * times)  # at a sixth of the low rate's Nyquist frequency
    with torch.no_grad():
        output = network(tone[None, ::factor])[0]
    delay = network.delay_samples
    inside = slice(32 * factor, -32 * factor)
    assert torch.allclose(output[delay:][inside], tone[: len(tone) - delay][inside], atol=1e-3)


def test_the_causal_network_sees_no_further_than_its_block() -> None:
    torch.manual_seed(2)
    config = small(causal=True)
    network = UNet(config).eval()
    low = torch.randn(1, 8 * config.stride)
    changed = low.clone()
    changed[:, 5 * config.stride :] = 0.0
    heard = config.factor * 5 * config.stride
    with torch.no_grad():
        assert torch.equal(network(low)[:, :heard], network(changed)[:, :heard])
    with pytest.raises(ValueError, match="whole signal"):
        UNet(small()).step(low, [])
