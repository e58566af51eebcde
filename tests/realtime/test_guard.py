"""The guard grows when hops come late as a habit, shrinks when margins are ample, and changes without a click."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numba import njit

from bench.signals.clicks import find_clicks, legal_jumps
from bench.signals.material import at_48_khz, telephone_voice
from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.guard import MAX_GUARD_MS, GuardKeeper
from realtime.native import COMPILE_NOGIL
from realtime.native.callbacks import PORT
from realtime.native.capture import CAPTURE, capture_block
from realtime.native.memory import float_pointer, record_at
from realtime.native.playback import PLAYBACK, playback_block
from realtime.native.worker import WORKER, serve


def test_one_stall_changes_nothing() -> None:
    keeper = GuardKeeper(2.0)
    assert all(keeper.observe(margin) is None for margin in [3.0, 3.0, -40.0, *[3.0] * 20, -40.0, 3.0])


def test_hops_that_come_late_again_and_again_get_what_they_lack() -> None:
    keeper = GuardKeeper(2.0)
    changes = [change for margin in (-18.0, -20.0, -19.0) if (change := keeper.observe(margin))]
    assert len(changes) == 1
    assert 20.0 < changes[0].guard_ms < 25.0


def test_the_guard_has_an_upper_end_and_the_asked_one_for_its_lower() -> None:
    keeper = GuardKeeper(2.0)
    for _ in range(100):
        keeper.observe(-50.0)
    assert keeper.guard_ms == MAX_GUARD_MS
    for _ in range(10_000):
        keeper.observe(70.0)
    assert keeper.guard_ms == 2.0


def test_ample_margins_are_given_back_slowly_and_not_entirely() -> None:
    keeper = GuardKeeper(0.0)
    for _ in range(2):
        keeper.observe(-20.0)
    raised = keeper.guard_ms
    seen = [keeper.guard_ms for _ in range(1_000) if keeper.observe(10.0 - (raised - keeper.guard_ms)) is not None]
    assert seen
    assert min(10.0 - (raised - guard) for guard in seen) >= 1.0


@njit(**{**COMPILE_NOGIL, "cache": False})
def _bursts(port_address, worker_address, source, sink, block, burst):  # type: ignore[no-untyped-def]
    """A device that calls back *burst* times in a row; the engine runs between bursts only."""
    port = record_at(port_address, PORT)
    for call in range(len(source) // block):
        start = call * block
        capture_block(record_at(port.capture, CAPTURE), float_pointer(source.ctypes.data + 4 * start), block, 0)
        playback_block(record_at(port.playback, PLAYBACK), float_pointer(sink.ctypes.data + 4 * start), block, 0)
        if call % burst == burst - 1:
            serve(record_at(worker_address, WORKER))


def test_a_device_that_calls_back_in_bursts_is_learnt_and_no_click_is_heard(doubling: Path) -> None:
    """As PipeWire does when its quantum is larger than the block: 1024 frames as eight callbacks of 128."""
    tone = (0.3 * np.sin(2 * np.pi * 300 * np.arange(480_000) / 48_000)).astype(np.float32)
    heard = np.zeros_like(tone)
    with Engine(StreamFormat(48_000, 48_000, 128), EngineSettings(doubling, guard_ms=2.0)) as engine:
        keeper = GuardKeeper(2.0)
        dropouts = []
        for start in range(0, len(tone) - 12_288, 12_288):
            piece = slice(start, start + 12_288)
            _bursts(engine.port_address, engine.worker.address, tone[piece], heard[piece], 128, 8)
            dropouts.append(engine.statistics().dropouts)
            margin = engine.take_least_margin()
            assert margin is not None
            change = keeper.observe(margin / 48.0)
            if change is not None:
                engine.set_guard_ms(change.guard_ms)
        assert dropouts[1] > 0
        assert dropouts[-1] == dropouts[6], "once learnt, nothing is missing any more"
        assert engine.latency.guard_ms == pytest.approx(keeper.guard_ms, abs=0.03)
    assert np.abs(heard[-60_000:-12_288]).max() == pytest.approx(0.6, abs=0.02)
    settled = heard[10_000:-24_576]
    assert np.abs(np.diff(settled, n=2)).max() < 5 * 2 * np.abs(np.diff(tone, n=2)).max()


def test_the_guard_grows_and_shrinks_under_a_voice_without_a_click(doubling: Path) -> None:
    """Larger after misses, back again slowly, by the detector's measure of what a legal fade of this voice gives."""
    piece, calm = 12_288, 170
    edge = np.hanning(2 * 2_400)
    voice = at_48_khz(telephone_voice(2.0))[0]
    voice[:2_400] *= edge[:2_400]
    voice[-2_400:] *= edge[-2_400:]
    source = np.ascontiguousarray(np.resize(voice, (12 + calm) * piece).astype(np.float32))
    # The model adds the voice once more.
    legal = np.resize(2.0 * legal_jumps(voice.astype(np.float64)), len(source))
    heard = np.zeros_like(source)
    limit = np.zeros(len(source))
    guards = [2.0]
    with Engine(StreamFormat(48_000, 48_000, 128), EngineSettings(doubling, guard_ms=2.0)) as engine:
        keeper = GuardKeeper(2.0)
        before = engine.delay_samples
        for number, start in enumerate(range(0, len(source), piece)):
            now = slice(start, start + piece)
            delay = engine.delay_samples
            _bursts(engine.port_address, engine.worker.address, source[now], heard[now], 128, 8 if number < 12 else 1)
            limit[now] = 1e-4 + 1.5 * (np.roll(legal, before)[now] + np.roll(legal, delay)[now])
            before = delay
            margin = engine.take_least_margin()
            assert margin is not None
            change = keeper.observe(margin / 48.0)
            if change is not None:
                engine.set_guard_ms(change.guard_ms)
                guards.append(change.guard_ms)
    assert max(guards) > 10.0
    assert guards.index(max(guards)) <= 3, guards
    assert len(guards) - guards.index(max(guards)) > 2, "it came back in more than one step"
    assert guards[-1] < 0.5 * max(guards)
    assert np.abs(heard).max() > 0.1
    clicks = find_clicks(heard, limit)
    assert clicks.count == 0, clicks
    # The same run with one change made at once would have been heard.
    cut = len(heard) // 2 + int(np.argmax(np.abs(heard[len(heard) // 2 : len(heard) // 2 + 48_000])))
    spoilt = np.concatenate([heard[:cut], heard[cut + 240 :], np.zeros(240, np.float32)])
    assert find_clicks(spoilt, limit).count > 0


def test_a_changed_delay_is_exactly_the_one_reported(identity: Path) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(96_000)).astype(np.float32)
    heard = np.zeros_like(noise)
    with Engine(StreamFormat(48_000, 48_000, 128), EngineSettings(identity)) as engine:
        changes = [lambda: None, lambda: engine.set_guard_ms(7.0), lambda: engine.set_block_frames(256)]
        for change, start in zip(changes, (0, 32_000, 64_000), strict=True):
            change()
            piece = slice(start, start + 32_000)
            _bursts(engine.port_address, engine.worker.address, noise[piece], heard[piece], 128, 1)
        delay = engine.delay_samples
    assert delay == 384 + 336 + 256 - 64
    late = slice(70_000, 90_000)
    np.testing.assert_allclose(heard[late], noise[late.start - delay : late.stop - delay], atol=1e-6)
