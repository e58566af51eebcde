"""Other devices under a running engine: nothing old is heard, nothing clicks, the delay is again the reported one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.kernel import upsample
from realtime.taps import Tap


def _noise(seconds: float, rate_hz: int, level: float) -> NDArray[np.float32]:
    return (level * np.random.default_rng(rate_hz).standard_normal((1, int(seconds * rate_hz)))).astype(np.float32)


def _play(engine: Engine, device: SimulatedDevice) -> NDArray[np.float32]:
    device.start(engine)
    while device.active:
        time.sleep(0.005)
    device.stop()
    return device.played[0].copy()


@pytest.mark.parametrize(
    ("rate_hz", "block", "rate_before_hz", "block_before"),
    [(48_000, 128, 48_000, 128), (48_000, 480, 16_000, 128), (16_000, 256, 48_000, 127), (44_100, 64, 8_000, 480)],
)
def test_new_devices_are_heard_after_exactly_the_delay_reported_and_the_old_ones_never_again(
    identity: Path, rate_hz: int, block: int, rate_before_hz: int, block_before: int
) -> None:
    before = SimulatedDevice(
        _noise(0.3, rate_before_hz, 0.5), rate_before_hz, block_frames=block_before, freewheel=True
    )
    x = _noise(0.5, rate_hz, 0.1)
    after = SimulatedDevice(x, rate_hz, block_frames=block, freewheel=True)
    with Engine(before.stream, EngineSettings(identity)) as engine:
        engine.start()
        low, mix = Tap(engine.low), Tap(engine.mix)
        assert np.abs(_play(engine, before)).max() > 0.3
        played_before = engine.statistics().seconds
        engine.rebind(after.stream)
        heard = _play(engine, after)
        delay = engine.delay_samples
        expected = upsample(x, rate_hz)[0]
        count = min(len(heard) - delay, len(expected))
        faded = 480 + 64
        np.testing.assert_array_equal(heard[:delay], 0.0)
        np.testing.assert_allclose(heard[delay + faded : delay + count], expected[faded:count], atol=1e-5)
        assert np.abs(heard[delay : delay + 5]).max() < 1e-3
        statistics = engine.statistics()
        assert (statistics.dropouts, statistics.deadline_misses, statistics.underruns) == (0, 0, 0)
        assert statistics.dull_seconds == 0.0
        assert statistics.seconds == pytest.approx(played_before + len(heard) / 48_000)
        assert (low.lost_samples, mix.lost_samples) == (0, 0)
        captured, mixed = low.read()[0], mix.read()[0]
        assert len(captured) == pytest.approx(len(mixed), abs=2 * 480)
        np.testing.assert_array_equal(mixed[-len(heard) :], heard)


def test_bypass_gain_and_guard_outlive_the_devices(doubling: Path, noise: NDArray[np.float32]) -> None:
    with Engine(StreamFormat(48_000, 48_000, 128), EngineSettings(doubling)) as engine:
        engine.start()
        engine.set_enabled(False)
        engine.wishes.set_gain_db(-6.0)
        engine.set_guard_ms(7.0)
        _play(engine, SimulatedDevice(noise[:, :9_600], 48_000, freewheel=True))
        device = SimulatedDevice(noise, 48_000, block_frames=256, freewheel=True)
        engine.rebind(device.stream)
        heard = _play(engine, device)
        delay = engine.delay_samples
        assert engine.latency.guard_ms == pytest.approx(7.0)
    settled = slice(9_600, 40_000)
    expected = 10 ** (-6 / 20) * noise[0, settled]
    np.testing.assert_allclose(heard[settled.start + delay : settled.stop + delay], expected, atol=1e-5)


def test_two_clocks_are_steered_again_from_the_start(noise: NDArray[np.float32]) -> None:
    def device(ppm: float | None) -> SimulatedDevice:
        return SimulatedDevice(np.tile(noise, 4), 48_000, freewheel=True, capture_ppm=ppm)

    first, second = device(200.0), device(-300.0)
    with Engine(first.stream, EngineSettings(None)) as engine:
        engine.start()
        _play(engine, first)
        engine.pass_silence(10_000)
        engine.rebind(second.stream)
        heard = _play(engine, second)
        statistics = engine.statistics()
        # The device itself holds a block before it hands it over.
        expected = engine.delay_samples + second.stream.block_frames
    assert (statistics.resyncs, statistics.underruns) == (0, 0)
    end = 47_000
    piece = heard[end : end + 512]
    lags = range(expected - 60, expected + 60)
    scores = [np.dot(piece, noise[0, end - lag : end - lag + 512]) for lag in lags]
    assert lags[int(np.argmax(scores))] == pytest.approx(expected, abs=16)
