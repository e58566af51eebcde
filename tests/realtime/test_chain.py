"""A chain of stages: latency as computed, the same samples live and from a file, and audio that never breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cfunc
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.backends.wavfile import FileStream, process
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.native import COMPILE
from realtime.native.memory import floats_at, record_at
from realtime.native.stage import FAULT, HEAD, STEP
from realtime.plugins.chain import Chain
from realtime.plugins.spec import resolve
from tests.models import identity_model
from tests.realtime.playing import bend, play, tone

STREAM = StreamFormat(48_000, 48_000, 128)
BLOCKS = [64, 128, 480]


def _settings(*stages: dict[str, Any], model: Path | None = None, **values: Any) -> EngineSettings:
    return EngineSettings(model, chain=resolve(stages), **values)


def _chain(engine: Engine) -> Chain:
    assert isinstance(engine.inference, Chain)
    return engine.inference


def _set(engine: Engine, *stages: dict[str, Any]) -> None:
    engine.set_chain(resolve(stages))


@contextmanager
def _live(x: NDArray[np.float32], settings: EngineSettings, block: int = 128, **device: Any) -> Iterator[Any]:
    with (
        SimulatedDevice(x, 48_000, block_frames=block, **device) as simulated,
        Engine(simulated.stream, settings) as engine,
    ):
        engine.start()
        simulated.start(engine)
        yield simulated, engine


def _lag(x: NDArray[np.float32], heard: NDArray[np.float32]) -> int:
    """By how many samples *heard* is late, by correlation."""
    size = 1 << (len(x) + len(heard)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(x, size).conj(), size)
    return int(np.argmax(product[: len(heard)]))


@pytest.mark.parametrize("block", BLOCKS)
def test_the_latency_of_a_chain_is_the_one_computed(
    doubling: Path, identity: Path, noise: NDArray[np.float32], block: int
) -> None:
    stages = (
        {"plugin": "high-pass"},
        {"plugin": "network"},
        {"plugin": "network", "name": "second", "model": str(identity)},
        {"plugin": "limiter"},
    )
    with _live(noise, _settings(*stages, model=doubling), block, freewheel=True) as (device, engine):
        device.wait()
        statistics = engine.statistics()
        assert _lag(noise[0], device.played[0]) == engine.delay_samples
        # Two networks of 384 samples with a hop of 192, which they share; 72 to look ahead.
        assert engine.latency.network_ms == pytest.approx((192 + 2 * (384 - 192) + 72) / 48)
        assert dict(engine.latency.stages) == pytest.approx(
            {"chain step": 4.0, "network": 4.0, "second": 4.0, "limiter": 1.5}
        )
        assert sum(value or 0.0 for value in engine.latency.parts().values()) == pytest.approx(engine.latency.total_ms)
    assert (statistics.dull_seconds, statistics.deadline_misses, statistics.bad_chunks) == (0.0, 0, 0)


def test_hops_of_two_lengths_meet_in_one_chain(doubling: Path, tmp_path: Path, noise: NDArray[np.float32]) -> None:
    other = identity_model(tmp_path / "other.onnx", hop=128)
    stages = ({"plugin": "network"}, {"plugin": str(other)})
    swell = 1.0 - 0.9 * np.cos(2 * np.pi * 8.0 * np.arange(noise.shape[1]) / 48_000)  # what is steady is no voice
    quiet = (0.3 * swell * noise).astype(np.float32)  # below where the output is limited
    with _live(quiet, _settings(*stages, model=doubling), freewheel=True) as (device, engine):
        device.wait()
        delay = engine.delay_samples
        heard = device.played[0]
    settled = heard[delay + 2_000 :]
    np.testing.assert_allclose(settled, 2 * quiet[0, 2_000 : 2_000 + len(settled)], atol=1e-5)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_live_and_file_give_the_same_samples_through_a_chain(doubling: Path, rate_hz: int) -> None:
    x = (0.3 * np.random.default_rng(1).standard_normal((1, rate_hz))).astype(np.float32)
    stages = (
        {"plugin": "high-pass", "frequency_hz": 200},
        {"plugin": "noise-gate", "threshold_db": -20},
        {"plugin": "network"},
        {"plugin": "gain", "gain_db": 6},
        {"plugin": "limiter", "ceiling_db": -6},
        {"plugin": "dither", "bits": 12},
    )
    settings = _settings(*stages, model=doubling)
    stream = FileStream(1, rate_hz, settings)
    whole = np.concatenate(list(process([x[:, :7_001], x[:, 7_001:]], stream)), axis=1)
    stream.close()
    for block in BLOCKS:
        with (
            SimulatedDevice(x, rate_hz, block_frames=block, freewheel=True) as device,
            Engine(device.stream, settings) as engine,
        ):
            engine.start()
            device.start(engine)
            device.wait()
            heard = device.played[:, engine.delay_samples :]
        np.testing.assert_array_equal(heard, whole[:, : heard.shape[1]])


def test_a_chain_of_nothing_but_the_network_is_the_network_itself(doubling: Path) -> None:
    x = tone(0.5, level=0.2)
    heard = []
    for settings in (EngineSettings(doubling), _settings({"plugin": "network"}, model=doubling)):
        with Engine(STREAM, settings) as engine:
            heard.append(play(engine, x))
            assert engine.describe_chain() == []
    np.testing.assert_array_equal(heard[0], heard[1])


def test_a_chain_without_a_network_needs_no_model() -> None:
    x = tone(0.5, level=0.2)
    with Engine(STREAM, _settings({"plugin": "gain", "gain_db": 6.0})) as engine:
        heard = play(engine, x)
        delay = engine.delay_samples
        assert engine.latency.network_ms == pytest.approx(64 / 48)
    late = np.arange(1_000, len(heard))
    np.testing.assert_allclose(heard[late], 10 ** (6 / 20) * x[late - delay], atol=1e-5)


@cfunc(STEP, **{**COMPILE, "cache": False})
def _faulty(state, source, target, frames):  # type: ignore[no-untyped-def]
    """Doubles, says that it failed where the input is above 0.9, and makes NaN where it is below -0.9."""
    head = record_at(state, HEAD)
    x = floats_at(source, (head.lanes, frames))
    y = floats_at(target, (head.lanes, frames))
    status = 0
    for lane in range(head.lanes):
        for i in range(frames):
            y[lane, i] = 2 * x[lane, i] if x[lane, i] > -0.9 else np.float32(np.nan)
            if x[lane, i] > 0.9:
                status = FAULT
    return status


@pytest.mark.parametrize("trigger", [0.95, -0.95])
def test_a_stage_that_gives_no_audio_is_gone_past_without_a_click_and_heard_again(trigger: float) -> None:
    x = tone(1.0, level=0.3)
    with Engine(STREAM, _settings({"plugin": "gain"})) as engine:
        link = _chain(engine).links[0]
        link.record["step"] = _faulty.address
        spoilt = x.copy()
        spoilt[12_000] = trigger
        heard = play(engine, spoilt)
        delay = engine.delay_samples
        assert link.record["faults"] == 1
        assert engine.statistics().bad_chunks == 1
    assert np.isfinite(heard).all()
    around = np.arange(13_000, 15_000)
    np.testing.assert_allclose(heard[around], x[around - delay], atol=1e-5)
    again = np.arange(20_000, len(heard))
    np.testing.assert_allclose(heard[again], 2 * x[again - delay], atol=1e-5)
    at = 12_000 + delay  # where the trigger itself passes, which is a click
    heard[at] = (heard[at - 1] + heard[at + 1]) / 2
    assert bend(heard[2_000:]) < 16 * 2 * bend(x)


def test_a_network_that_begins_afresh_in_a_chain_costs_a_fade_and_no_click(tmp_path: Path) -> None:
    poisoned = identity_model(tmp_path / "poison.onnx", mode="additive", poison_hop=100)
    x = tone(1.0, level=0.3)
    with Engine(STREAM, _settings({"plugin": "gain"}, {"plugin": "network"}, model=poisoned)) as engine:
        heard = play(engine, x)
        delay = engine.delay_samples
        assert engine.statistics().dropouts == 0, "the chain itself goes on"
    assert np.isfinite(heard).all()
    quiet = np.arange(100 * 192 + 1_000, 100 * 192 + 3_000)
    np.testing.assert_allclose(heard[quiet], x[quiet - delay], atol=1e-5)
    np.testing.assert_allclose(heard[-4_000:], 2 * x[-4_000 - delay : -delay], atol=1e-5)
    assert bend(heard[1_000:]) < 3 * 2 * bend(x)


def test_a_late_chain_is_heard_as_the_raw_voice_never_as_a_click() -> None:
    x = tone(2.0, level=0.2)[None]
    settings = _settings({"plugin": "gain", "gain_db": 6.0}, guard_ms=30.0)
    with SimulatedDevice(x, 48_000, block_frames=128) as device, Engine(device.stream, settings) as engine:
        device.start(engine)
        while device.played_frames < 48_000:
            time.sleep(0.005)
        engine.start()
        device.wait()
        heard, statistics, delay = device.played[0].copy(), engine.statistics(), engine.delay_samples
    assert statistics.skipped_hops > 0
    assert statistics.dull_seconds > 0.5
    np.testing.assert_allclose(heard[20_000:40_000], x[0, 20_000 - delay : 40_000 - delay], atol=1e-5)
    assert np.abs(heard[-9_600:]).max() == pytest.approx(0.4, abs=0.01)
    assert bend(heard[delay + 10 :]) < 3 * 2 * bend(x[0])


def test_the_whole_chain_and_every_stage_are_bypassed_at_an_equal_delay_without_a_click(doubling: Path) -> None:
    x = tone(2.0, level=0.2)
    stages = [{"plugin": "gain", "gain_db": 3.0}, {"plugin": "network"}, {"plugin": "limiter", "ceiling_db": -20}]
    piece = 9_600
    heard = []
    with Engine(STREAM, _settings(*stages, model=doubling)) as engine:
        delay = engine.delay_samples
        for k in range(len(stages) + 1):
            _set(engine, *({**stage, "bypass": j < k} for j, stage in enumerate(stages)))
            heard.append(play(engine, x[k * piece : (k + 1) * piece]))
        engine.set_enabled(False)
        heard.append(play(engine, x[4 * piece : 5 * piece]))
        assert engine.delay_samples == delay
    whole = np.concatenate(heard)
    for k in (3, 4):
        late = np.arange(k * piece + 2_000, (k + 1) * piece)
        np.testing.assert_allclose(whole[late], x[late - delay], atol=1e-5)
    assert bend(whole[2_000:]) < 3 * 2 * 1.42 * bend(x)


def test_the_model_of_a_chain_is_switched_and_other_stages_take_over_without_a_click(
    doubling: Path, tmp_path: Path
) -> None:
    other = identity_model(tmp_path / "tripling.onnx", mode="additive", gain=2.0)
    x = tone(2.0, level=0.1)
    piece = 9_600
    gain = {"plugin": "gain", "gain_db": 6.0}
    heard = []
    with Engine(STREAM, _settings(gain, {"plugin": "network"}, model=doubling)) as engine:
        delay = engine.delay_samples
        heard.append(play(engine, x[:piece]))
        engine.switch_model(other)
        heard.append(play(engine, x[piece : 2 * piece]))
        _set(engine, {"plugin": "network"}, {**gain, "name": "after"})
        heard.append(play(engine, x[2 * piece : 3 * piece]))
        engine.set_chain(())
        heard.append(play(engine, x[3 * piece : 4 * piece]))
        assert engine.delay_samples == delay
        assert engine.statistics().deadline_misses == 0
        engine.models.free()
        assert engine.models.unfreed == 0
    whole = np.concatenate(heard)
    for k, factor in enumerate((2 * 10 ** (6 / 20), 3 * 10 ** (6 / 20), 3 * 10 ** (6 / 20), 3)):
        late = np.arange(k * piece + 2_000, (k + 1) * piece)
        np.testing.assert_allclose(whole[late], factor * x[late - delay], atol=1e-4)
    assert bend(whole[2_000:]) < 16 * 3 * bend(x)


def test_overload_leaves_out_the_chain_and_takes_it_back(doubling: Path) -> None:
    x = tone(1.0, level=0.2)
    with Engine(STREAM, _settings({"plugin": "gain", "gain_db": 6.0}, {"plugin": "network"}, model=doubling)) as engine:
        delay = engine.delay_samples
        engine.drop_to_low_band()
        heard = play(engine, x[:9_600])
        assert engine.delay_samples == delay
        np.testing.assert_allclose(heard[4_000:], x[4_000 - delay : 9_600 - delay], atol=1e-6)
        engine.switch_model(doubling)
        play(engine, x[9_600:19_200])
        assert [stage["name"] for stage in engine.describe_chain()] == ["gain", "network"]


def test_level_and_tilt_of_host_and_stage_add_up(doubling: Path) -> None:
    x = tone(0.5, level=0.1)
    stages = ({"plugin": "gain"}, {"plugin": "network", "level_db": -3.0})
    with Engine(STREAM, _settings(*stages, model=doubling)) as engine:
        engine.wishes.set_high_level_db(-3.0)
        heard = play(engine, x)
        delay = engine.delay_samples
    late = np.arange(12_000, len(heard))
    np.testing.assert_allclose(heard[late], (1 + 10 ** (-6 / 20)) * x[late - delay], atol=1e-5)


def test_every_stage_tells_its_load(doubling: Path) -> None:
    with Engine(STREAM, _settings({"plugin": "gain"}, {"plugin": "network"}, model=doubling)) as engine:
        play(engine, tone(0.5))
        told = engine.describe_chain()
        hops = engine.statistics().hops
    assert [stage["name"] for stage in told] == ["gain", "network"]
    assert all(stage["mean_us"] > 0.0 and 0.0 < stage["load"] < 1.0 for stage in told)
    assert hops == 124
