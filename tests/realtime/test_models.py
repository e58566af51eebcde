"""Another model while audio runs: no click, no late hop, the low band untouched, and the old one freed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.errors import FullbandError
from tests.models import identity_model
from tests.realtime.playing import bend, play, tone

STREAM = StreamFormat(48_000, 48_000, 128)
PIECE = 4_864  # 38 blocks


@pytest.fixture(scope="module")
def tripling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adds its input twice, in hops of another length."""
    return identity_model(tmp_path_factory.mktemp("models") / "tripling.onnx", mode="additive", gain=2.0, hop=96)


def test_a_switch_is_a_crossfade_and_then_exactly_the_new_model(doubling: Path, tripling: Path) -> None:
    x = tone(1.0, level=0.2)
    with Engine(STREAM, EngineSettings(doubling, fallback_model=tripling)) as engine:
        delay = engine.delay_samples
        before = play(engine, x[: 2 * PIECE])
        engine.switch_model(tripling)
        after = play(engine, x[2 * PIECE : 6 * PIECE])
        assert engine.delay_samples == delay, "planned for both"
        statistics = engine.statistics()
    late = np.arange(2_000, 4 * PIECE)
    np.testing.assert_allclose(after[late], 3 * x[2 * PIECE + late - delay], atol=1e-5)
    assert statistics.deadline_misses == statistics.dropouts == 0
    assert statistics.dull_seconds < 0.01
    # The tail of such a low tone is no smoother than this; a cut would be a hundred times as much.
    assert bend(np.concatenate([before, after])[4_000:]) < 16 * bend(x)


def test_switches_to_none_and_to_the_other_mode_leave_the_low_band_alone(doubling: Path, identity: Path) -> None:
    x = tone(1.5, level=0.3)
    heard = []
    with Engine(STREAM, EngineSettings(identity)) as engine:
        delay = engine.delay_samples
        for k, path in enumerate([identity, None, identity, None, doubling, identity]):
            engine.switch_model(path)
            heard.append(play(engine, x[k * 2 * PIECE : (k + 1) * 2 * PIECE]))
        assert engine.delay_samples == delay
    whole = np.concatenate(heard)
    for k, factor in enumerate([1, 1, 1, 1, 2, 1]):
        late = np.arange(k * 2 * PIECE + 1_000, (k + 1) * 2 * PIECE)
        np.testing.assert_allclose(whole[late], factor * x[late - delay], atol=1e-5)


def test_a_slower_model_gets_the_delay_that_it_needs(doubling: Path, tmp_path: Path) -> None:
    slow = identity_model(tmp_path / "slow.onnx", mode="additive", metadata={"latency_samples": "960"})
    x = tone(1.0, level=0.2)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        short = engine.delay_samples
        heard = [play(engine, x[: 2 * PIECE])]
        engine.switch_model(slow)
        assert engine.delay_samples == short + 960 - 384
        heard.append(play(engine, x[2 * PIECE : 4 * PIECE]))
        engine.switch_model(doubling)
        heard.append(play(engine, x[4 * PIECE : 6 * PIECE]))
        assert engine.delay_samples == short
        heard.append(play(engine, x[6 * PIECE : 8 * PIECE]))
        assert engine.statistics().deadline_misses == 0
        assert engine.latency.network_ms == 8.0
    end = np.arange(7 * PIECE, 8 * PIECE)
    np.testing.assert_allclose(np.concatenate(heard)[end], 2 * x[end - short], atol=1e-5)
    assert bend(np.concatenate(heard)[4_000:]) < 16 * bend(x)


def test_a_file_that_breaks_the_contract_leaves_the_old_model_running(doubling: Path, tmp_path: Path) -> None:
    broken = identity_model(tmp_path / "broken.onnx", metadata={"mode": None})
    x = tone(0.5)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        before = play(engine, x[:PIECE])
        with pytest.raises(FullbandError, match="metadata 'mode' is missing"):
            engine.switch_model(broken)
        after = play(engine, x[PIECE : 3 * PIECE])
        assert engine.models.path == doubling
        assert engine.statistics().dropouts == 0
    assert bend(np.concatenate([before, after])[4_000:]) < 2.1 * bend(x)


def test_models_are_switched_under_a_running_device_and_the_old_ones_freed(
    doubling: Path, tripling: Path, identity: Path
) -> None:
    x = tone(6.0, level=0.1)[None]
    with (
        SimulatedDevice(x, 48_000, block_frames=128, seconds=6.0) as device,
        Engine(device.stream, EngineSettings(doubling, guard_ms=30.0, fallback_model=tripling)) as engine,
    ):
        engine.start()
        device.start(engine)
        for path in (tripling, None, identity, doubling, identity, tripling, doubling):
            engine.switch_model(path)
            assert engine.models.unfreed == 0
            time.sleep(0.05)
        device.stop()
        heard = device.played[0].copy()
    assert bend(heard[4_000:]) < 16 * bend(x[0])
