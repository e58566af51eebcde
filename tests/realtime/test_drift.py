"""Two devices on two clocks: the delay between them stays put, and nothing is dropped, repeated or bent."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings

TONE_HZ = 1000.0


def _play(device: SimulatedDevice, engine: Engine) -> NDArray[np.float32]:
    engine.start()
    device.start(engine)
    while device.active:
        time.sleep(0.01)
    device.stop()
    return device.played[0]


def _tone(rate_hz: int, seconds: float) -> NDArray[np.float32]:
    t = np.arange(int((seconds + 1.0) * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * TONE_HZ * t)).astype(np.float32)[None]


def _delays_ms(played: NDArray[np.float32], rate_hz: int, tone_hz: float) -> NDArray[np.float64]:
    """The tone's delay, twice a second, up to a whole number of its periods."""
    t = np.arange(len(played)) / rate_hz
    pieces = np.arange(0, len(played) - rate_hz // 10, rate_hz // 2)
    window = np.hanning(rate_hz // 10)
    phases = [
        np.angle(np.sum(played[a : a + len(window)] * window * np.exp(-2j * np.pi * tone_hz * t[a : a + len(window)])))
        for a in pieces
    ]
    return -np.unwrap(np.array(phases)) / (2 * np.pi * tone_hz) * 1000.0


def _spurs_db(played: NDArray[np.float32], rate_hz: int, tone_hz: float) -> float:
    """The strongest line more than 5 Hz away from the tone, against the tone."""
    window = np.kaiser(len(played), 20)
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(played * window)) + 1e-12)
    away = np.abs(np.fft.rfftfreq(len(played), 1 / rate_hz) - tone_hz) > 5.0
    return float(spectrum[away].max() - spectrum.max())


@pytest.mark.parametrize(
    ("ppm", "capture_hz", "playback_hz"),
    [(300.0, 48_000, 48_000), (-300.0, 48_000, 48_000), (300.0, 16_000, 44_100), (-300.0, 44_100, 48_000)],
)
def test_ten_minutes_of_drift_leave_the_delay_alone_and_the_tone_clean(
    ppm: float, capture_hz: int, playback_hz: int
) -> None:
    seconds = 600.0
    with (
        SimulatedDevice(
            _tone(capture_hz, seconds),
            capture_hz,
            playback_rate_hz=playback_hz,
            seconds=seconds,
            freewheel=True,
            capture_ppm=ppm,
        ) as device,
        Engine(device.stream, EngineSettings(None, realtime_priority=0)) as engine,
    ):
        played = _play(device, engine)
        assert engine.drift_ppm == pytest.approx(ppm, abs=2.0)
        statistics = engine.statistics()
    assert (statistics.resyncs, statistics.underruns) == (0, 0)
    tone_hz = TONE_HZ * (1 + 1e-6 * ppm)
    settled = _delays_ms(played, playback_hz, tone_hz)[20:]
    assert np.ptp(settled) < 0.01
    assert _spurs_db(played[10 * playback_hz : 20 * playback_hz], playback_hz, tone_hz) < -80.0


def test_the_delay_is_the_reported_one(noise: NDArray[np.float32]) -> None:
    with (
        SimulatedDevice(noise, 48_000, seconds=4.0, freewheel=True, capture_ppm=100.0) as device,
        Engine(device.stream, EngineSettings(None, realtime_priority=0)) as engine,
    ):
        played = _play(device, engine)
        # The device itself holds a block before it hands it over.
        expected = engine.delay_samples + device.stream.block_frames
    # Across a drift the two are no longer equal sample by sample: a short piece is compared.
    end = noise.shape[1] - 1000
    piece = played[end : end + 512]
    scores = [np.dot(piece, noise[0, end - lag : end - lag + 512]) for lag in range(expected - 40, expected + 40)]
    assert int(np.argmax(scores)) + expected - 40 == pytest.approx(expected, abs=5)


def test_the_network_is_in_time_on_two_clocks(doubling: Path, noise: NDArray[np.float32]) -> None:
    with (
        SimulatedDevice(noise, 48_000, seconds=3.0, freewheel=True, capture_ppm=-300.0) as device,
        Engine(device.stream, EngineSettings(doubling, realtime_priority=0)) as engine,
    ):
        _play(device, engine)
        statistics = engine.statistics()
    assert (statistics.deadline_misses, statistics.dropouts, statistics.underruns) == (0, 0, 0)
