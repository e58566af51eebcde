"""The engine as a whole: exact latency, the same samples by every way, dull at worst when things go wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.backends.wavfile import FileStream, output_length, process
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.kernel import upsample
from realtime.native import COMPILE_NOGIL
from realtime.native.callbacks import PORT
from realtime.native.capture import CAPTURE, capture_block
from realtime.native.memory import float_pointer, record_at
from realtime.native.playback import PLAYBACK, playback_block
from realtime.native.worker import WORKER, serve
from realtime.paths import find_model
from realtime.statistics import Statistics
from tests.models import HOP, identity_model

BLOCKS = [32, 64, 127, 128, 480, 1024]


def _freewheel(
    x: NDArray[np.float32], rate_hz: int, settings: EngineSettings, block_frames: int, playback_rate_hz: int = 48_000
) -> tuple[NDArray[np.float32], int, Statistics]:
    """Play *x* through an engine; gives what was heard, its delay in 48 kHz samples, and the counters."""
    with (
        SimulatedDevice(
            x, rate_hz, block_frames=block_frames, freewheel=True, playback_rate_hz=playback_rate_hz
        ) as device,
        Engine(device.stream, settings) as engine,
    ):
        engine.start()
        device.start(engine)
        device.wait()
        return device.played.copy(), engine.delay_samples, engine.statistics()


def _file(x: NDArray[np.float32], rate_hz: int, settings: EngineSettings, piece: int = 7_001) -> NDArray[np.float32]:
    stream = FileStream(x.shape[0], rate_hz, settings)
    pieces = [x[:, start : start + piece] for start in range(0, x.shape[1], piece)]
    result = np.concatenate(list(process(pieces, stream)), axis=1)
    stream.close()
    return result


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_latency_is_exactly_as_reported(identity: Path, block: int, rate_hz: int) -> None:
    x = (np.random.default_rng(3).standard_normal((1, rate_hz // 2)) * 0.1).astype(np.float32)
    heard, delay, statistics = _freewheel(x, rate_hz, EngineSettings(identity), block)
    expected = upsample(x, rate_hz)[0]
    count = min(heard.shape[1] - delay, len(expected))
    np.testing.assert_allclose(heard[0, delay : delay + count], expected[:count], atol=1e-5)
    assert statistics.dull_seconds == 0.0
    assert statistics.deadline_misses == 0


@njit(**{**COMPILE_NOGIL, "cache": False})
def _just_in_time(port_address, worker_address, source, sink, block):  # type: ignore[no-untyped-def]
    """Blocks through an engine that always ends at the last moment: just before the next callback."""
    port = record_at(port_address, PORT)
    for start in range(0, len(source) - block + 1, block):
        capture_block(record_at(port.capture, CAPTURE), float_pointer(source.ctypes.data + 4 * start), block, 0)
        playback_block(record_at(port.playback, PLAYBACK), float_pointer(sink.ctypes.data + 4 * start), block, 0)
        serve(record_at(worker_address, WORKER))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000, 96_000])
def test_the_delay_is_enough_and_not_a_sample_more(doubling: Path, block: int, rate_hz: int) -> None:
    x = (np.random.default_rng(7).standard_normal(2 * rate_hz) * 0.1).astype(np.float32)
    for too_early in (0, 1):
        with Engine(StreamFormat(rate_hz, rate_hz, block), EngineSettings(doubling)) as engine:
            engine.playback["cursor"] += too_early
            _just_in_time(engine.port_address, engine.worker.address, x, np.zeros_like(x), block)
            assert (engine.statistics().dropouts > 0) == bool(too_early)


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000])
def test_live_and_file_give_the_same_samples_with_the_shipped_network(rate_hz: int) -> None:
    model = find_model("default")
    rng = np.random.default_rng(4)
    voice = np.cumsum(rng.standard_normal((1, rate_hz)), axis=1)
    voice = (0.1 * (voice - voice.mean()) / np.abs(voice).max()).astype(np.float32)
    voice += (0.01 * rng.standard_normal(voice.shape)).astype(np.float32)
    whole = _file(voice, rate_hz, EngineSettings(model))
    for block in BLOCKS:
        heard, delay, _ = _freewheel(voice, rate_hz, EngineSettings(model), block)
        count = heard.shape[1] - delay
        np.testing.assert_allclose(heard[:, delay:], whole[:, :count], atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("frames", [1, 2, 479, 5_000])
def test_a_file_is_as_long_as_its_input_and_aligned(identity: Path, rate_hz: int, frames: int) -> None:
    x = (np.random.default_rng(5).standard_normal((2, frames)) * 0.1).astype(np.float32)
    y = _file(x, rate_hz, EngineSettings(identity), piece=333)
    expected = upsample(x, rate_hz)
    assert y.shape == (2, output_length(frames, rate_hz))
    count = min(y.shape[1], expected.shape[1])
    np.testing.assert_allclose(y[:, :count], expected[:, :count], atol=1e-5)


def test_channels_do_not_touch(doubling: Path) -> None:
    x = (np.random.default_rng(6).standard_normal((3, 4_800)) * 0.1).astype(np.float32)
    together = _file(x, 48_000, EngineSettings(doubling))
    alone = np.concatenate([_file(x[k : k + 1], 48_000, EngineSettings(doubling)) for k in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_without_a_model_the_voice_passes_unchanged(noise: NDArray[np.float32]) -> None:
    heard, delay, _ = _freewheel(noise, 48_000, EngineSettings(None), 128)
    assert delay == 0
    np.testing.assert_array_equal(heard[:, : noise.shape[1]], noise)


def test_bad_samples_from_a_device_become_silence_and_are_counted(identity: Path, noise: NDArray[np.float32]) -> None:
    spoilt = noise.copy()
    spoilt[0, [1_000, 2_000, 3_000]] = [np.nan, np.inf, -np.inf]
    cleaned = noise.copy()
    cleaned[0, [1_000, 2_000, 3_000]] = 0.0
    heard, delay, statistics = _freewheel(spoilt, 48_000, EngineSettings(identity), 128)
    assert statistics.cleaned_samples == 3
    np.testing.assert_allclose(heard[0, delay:], cleaned[0, : heard.shape[1] - delay], atol=1e-6)


def test_nan_from_the_network_costs_one_fade_and_no_click(tmp_path: Path) -> None:
    """In a sine, a click is a second difference that the sine itself never has."""
    model = identity_model(tmp_path / "poison.onnx", poison_hop=100)
    tone = (0.5 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)).astype(np.float32)[None]
    heard, delay, statistics = _freewheel(tone, 48_000, EngineSettings(model), 128)
    assert statistics.bad_chunks >= 1
    assert np.isfinite(heard).all()
    bend = np.abs(np.diff(heard[0, delay + 10 :], n=2)).max()
    clean = np.abs(np.diff(tone[0], n=2)).max()
    assert bend < 3 * clean


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_a_state_that_is_not_finite_is_forgotten_though_its_output_is_sound(tmp_path: Path, poison: float) -> None:
    """Such a state never heals: what comes of it later must not be waited for."""
    model = identity_model(tmp_path / "poison.onnx", poison_state_hop=100, poison=poison)
    tone = (0.5 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)).astype(np.float32)[None]
    heard, delay, statistics = _freewheel(tone, 48_000, EngineSettings(model), 128)
    # The count of hops begins anew; another hundred are run, and spoil it again.
    assert statistics.bad_chunks == 2
    assert np.isfinite(heard).all()
    assert np.abs(np.diff(heard[0, delay + 10 :], n=2)).max() < 3 * np.abs(np.diff(tone[0], n=2)).max()


def test_bypass_fades_without_a_click_and_leaves_the_voice(doubling: Path) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)).astype(np.float32)[None]
    with (
        SimulatedDevice(tone, 48_000, block_frames=128, seconds=0.9) as device,
        Engine(device.stream, EngineSettings(doubling, guard_ms=20.0)) as engine,
    ):
        engine.start()
        device.start(engine)
        while device.record["played_frames"] < 24_000:
            pass
        engine.set_enabled(False)
        device.wait()
        heard, delay = device.played[0].copy(), engine.delay_samples
    assert np.abs(heard[-4_800:]).max() == pytest.approx(0.3, abs=0.01)
    settled = heard[delay + 10 : -10]
    assert np.abs(np.diff(settled, n=2)).max() < 3 * 2 * np.abs(np.diff(tone[0], n=2)).max()


def test_a_late_network_is_heard_as_dull_never_as_a_click(doubling: Path) -> None:
    """The engine thread is not running for the first half: the voice goes out alone, then the rest fades in."""
    tone = (0.3 * np.sin(2 * np.pi * 300 * np.arange(96_000) / 48_000)).astype(np.float32)[None]
    with (
        SimulatedDevice(tone, 48_000, block_frames=128) as device,
        Engine(device.stream, EngineSettings(doubling, guard_ms=30.0)) as engine,
    ):
        device.start(engine)
        while device.record["played_frames"] < 48_000:
            pass
        engine.start()
        device.wait()
        heard, statistics, delay = device.played[0].copy(), engine.statistics(), engine.delay_samples
    assert statistics.dropouts >= 1
    assert statistics.dull_seconds > 0.5
    assert statistics.skipped_hops > 0
    np.testing.assert_allclose(heard[20_000:40_000], tone[0, 20_000 - delay : 40_000 - delay], atol=1e-5)
    assert np.abs(heard[-9_600:]).max() == pytest.approx(0.6, abs=0.02)
    assert np.abs(np.diff(heard[delay + 10 : -10], n=2)).max() < 3 * 2 * np.abs(np.diff(tone[0], n=2)).max()


def test_reset_is_a_fresh_stream(noise: NDArray[np.float32]) -> None:
    model = find_model("default")
    first = _file(noise, 48_000, EngineSettings(model, cutoff_hz=8_000.0))
    stream = FileStream(1, 48_000, EngineSettings(model, cutoff_hz=8_000.0))
    inference = stream.engine.inference
    assert inference is not None
    list(process([noise[:, ::-1].copy()], stream))
    stream.close()
    again = _file(noise, 48_000, EngineSettings(model, cutoff_hz=8_000.0))
    np.testing.assert_array_equal(first, again)


def test_hops_are_counted_one_per_192_samples(identity: Path, noise: NDArray[np.float32]) -> None:
    _, _, statistics = _freewheel(noise, 48_000, EngineSettings(identity), 128)
    assert statistics.hops == noise.shape[1] // HOP
