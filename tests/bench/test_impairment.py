"""The bad network: as bad as it says, from a seed, and between sockets too."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from bench.voip.impairment import Impairment, Link, Proxy

PACKETS = 5_000


def _arrivals(impairment: Impairment, seed: int = 1) -> tuple[list[list[float]], Link]:
    link = Link(impairment, seed, 0.02 * PACKETS)
    return [link.arrivals_s(0.02 * k) for k in range(PACKETS)], link


def test_a_good_network_changes_nothing() -> None:
    arrivals, _ = _arrivals(Impairment())
    assert arrivals == [[0.02 * k] for k in range(PACKETS)]


def test_the_same_seed_is_the_same_network_and_another_is_not() -> None:
    impairment = Impairment(loss=0.1, jitter_ms=20.0, reorder=0.1, duplicate=0.1)
    assert _arrivals(impairment, 1)[0] == _arrivals(impairment, 1)[0]
    assert _arrivals(impairment, 1)[0] != _arrivals(impairment, 2)[0]


@pytest.mark.parametrize("loss", [0.01, 0.1])
def test_so_many_are_lost(loss: float) -> None:
    arrivals, link = _arrivals(Impairment(loss=loss))
    assert link.lost == sum(not one for one in arrivals)
    assert link.lost_share == pytest.approx(loss, abs=3.0 * np.sqrt(loss / PACKETS))


def test_bursts_have_the_length_they_should() -> None:
    arrivals, link = _arrivals(Impairment(burst_begin=0.02, burst_end=0.25))
    lost = np.array([not one for one in arrivals])
    bursts = int((np.diff(lost.astype(int), prepend=0) == 1).sum())
    assert lost.sum() / bursts == pytest.approx(4.0, rel=0.3)
    assert link.lost_share == pytest.approx(0.02 / 0.27, rel=0.3)


def test_jitter_is_even_and_bounded() -> None:
    arrivals, _ = _arrivals(Impairment(jitter_ms=60.0))
    late_ms = [1000.0 * (one[0] - 0.02 * k) for k, one in enumerate(arrivals)]
    assert 0.0 <= min(late_ms) < 1.0
    assert 59.0 < max(late_ms) <= 60.0
    assert np.mean(late_ms) == pytest.approx(30.0, abs=1.5)


@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_a_clock_that_is_off_moves_all_arrivals_and_none_comes_before_it_was_sent(ppm: float) -> None:
    arrivals, _ = _arrivals(Impairment(sender_ppm=ppm))
    slope = (arrivals[-1][0] - arrivals[0][0]) / (0.02 * (PACKETS - 1))
    assert 1e6 * (1.0 - slope) == pytest.approx(ppm, abs=1.0)
    assert all(one[0] >= 0.02 * k for k, one in enumerate(arrivals))


def test_one_impairment_does_not_move_another() -> None:
    lost_alone = [not one for one in _arrivals(Impairment(loss=0.1))[0]]
    lost_too = [not one for one in _arrivals(Impairment(loss=0.1, jitter_ms=30.0, duplicate=0.1))[0]]
    assert lost_alone == lost_too


def test_between_sockets_every_target_gets_the_same_packets() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for line in (one, two):
            line.bind(("127.0.0.1", 0))
            line.settimeout(0.3)
        link = Link(Impairment(loss=0.3, duplicate=0.2), 3)
        with Proxy(link, [one.getsockname(), two.getsockname()]) as proxy:
            for number in range(100):
                one.sendto(bytes([number]), proxy.address)
                time.sleep(0.001)
            heard = []
            for line in (one, two):
                got = []
                try:
                    while True:
                        got.append(line.recv(10)[0])
                except TimeoutError:
                    heard.append(got)
    assert heard[0] == heard[1]
    assert link.packets == 100
    assert len(heard[0]) == 100 - link.lost + link.copies
    assert 15 <= link.lost <= 45
