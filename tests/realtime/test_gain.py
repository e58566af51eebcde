"""Gain, mute and the fade before a stop: reached exactly, in 10 ms, and never heard as such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.errors import FullbandError
from realtime.native.ramp import RAMP_SAMPLES
from tests.realtime.playing import bend, play, tone

STREAM = StreamFormat(48_000, 48_000, 128)
PIECE = 4_864  # 38 blocks


def test_a_gain_is_reached_exactly_and_without_a_bend(doubling: Path) -> None:
    x = tone(1.0)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        before = play(engine, x[: 2 * PIECE])
        engine.wishes.set_gain_db(-6.0)
        after = play(engine, x[2 * PIECE : 6 * PIECE])
        delay = engine.delay_samples
    gain = 10 ** (-6 / 20)
    late = np.arange(PIECE, 2 * PIECE)
    np.testing.assert_allclose(after[late], 2 * gain * x[2 * PIECE + late - delay], atol=1e-6)
    settled = np.concatenate([before, after])[4_000:]
    assert bend(settled) < 1.3 * bend(2 * x)


def test_a_gain_that_is_moved_all_the_time_is_not_heard_as_steps(doubling: Path) -> None:
    x = tone(1.0)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        pieces = [play(engine, x[:PIECE])]
        for k in range(60):
            engine.wishes.set_gain_db(-6.0 * (k % 3))
            pieces.append(play(engine, x[PIECE + 128 * k : PIECE + 128 * (k + 1)]))
    assert bend(np.concatenate(pieces)[4_000:]) < 1.3 * bend(2 * x)


def test_a_mute_fades_within_a_ramp_and_says_when_it_is_done(doubling: Path) -> None:
    x = tone(1.0)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        engine.wishes.set_gain_db(3.0)
        start = play(engine, x[: 2 * PIECE])
        engine.wishes.set_muted(True)
        assert not engine.wishes.faded_out
        muted = play(engine, x[2 * PIECE : 3 * PIECE])
        assert engine.wishes.faded_out
        assert not engine.mix.data[0, 3 * PIECE - 256 : 3 * PIECE].any(), "what is recorded is what is heard"
        engine.wishes.set_muted(False)
        again = play(engine, x[3 * PIECE : 5 * PIECE])
        assert not engine.wishes.faded_out
    assert muted[: RAMP_SAMPLES - 10].any()
    assert not muted[RAMP_SAMPLES:].any()
    assert np.abs(again[PIECE:]).max() == pytest.approx(0.6 * 10 ** (3 / 20), abs=0.01)
    assert bend(np.concatenate([start, muted, again])[4_000:]) < 1.3 * bend(2 * 10 ** (3 / 20) * x)


def test_a_gain_out_of_range_is_one_line() -> None:
    with Engine(STREAM, EngineSettings(None)) as engine:
        for gain_db in (60.0, -90.0, float("nan")):
            with pytest.raises(FullbandError, match=r"gain_db is .*from -60 to 24"):
                engine.wishes.set_gain_db(gain_db)
