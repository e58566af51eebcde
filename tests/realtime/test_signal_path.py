"""The sum below full scale, the high band in proportion, an offset harmless, denormals flushed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.native.limiter import CEILING
from realtime.paths import find_model
from tests.models import identity_model
from tests.realtime.playing import bend, play, tone

STREAM = StreamFormat(48_000, 48_000, 128)


def test_below_the_ceiling_no_bit_is_changed() -> None:
    x = tone(0.5, level=0.89)
    with Engine(STREAM, EngineSettings(None)) as engine:
        heard = play(engine, x)
    np.testing.assert_array_equal(heard, x[: len(heard)])


@pytest.mark.parametrize("gain_db", [3.0, 12.0])
def test_above_it_the_sum_stays_below_full_scale_without_a_click(doubling: Path, gain_db: float) -> None:
    x = tone(1.0, level=0.6)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        engine.wishes.set_gain_db(gain_db)
        heard = play(engine, x)
    assert np.abs(heard).max() < 1.0
    settled = heard[24_000:]
    assert CEILING - 0.05 < np.abs(settled).max() <= CEILING + 0.05
    assert bend(settled) < 3 * bend(tone(1.0, level=1.0))


def test_the_high_band_gives_way_first(doubling: Path) -> None:
    x = tone(1.0, level=0.5)
    with Engine(STREAM, EngineSettings(doubling)) as engine:
        heard = play(engine, x)
        limiter = engine.binding.limiter._records[0]
        assert limiter["high_gain"] < 0.9
        assert limiter["gain"] > 0.97
    assert np.abs(heard[24_000:]).max() <= CEILING + 0.01


def test_a_high_band_out_of_all_proportion_is_held_to_the_low_band(tmp_path: Path) -> None:
    mad = identity_model(tmp_path / "mad.onnx", mode="additive", gain=50.0)
    x = 0.001 * np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    with Engine(STREAM, EngineSettings(mad)) as engine:
        heard = play(engine, x)
        assert int(engine.tally.record["tied_hops"]) > 100
    assert np.std(heard[9_600:]) < 0.001 * (1 + 10 ** (9 / 20))


def test_an_offset_changes_the_high_band_not_and_stays_in_the_voice() -> None:
    rng = np.random.default_rng(1)
    voice = np.cumsum(rng.standard_normal(8 * 48_000))
    voice = voice - np.convolve(voice, np.ones(480) / 480, "same")
    voice *= 1.0 + 0.9 * np.sin(2 * np.pi * 3.0 * np.arange(len(voice)) / 48_000)  # what is steady is no voice
    voice = (0.1 * voice / np.abs(voice).max()).astype(np.float32)
    heard = []
    for offset in (0.0, 0.05):
        settings = EngineSettings(find_model("default"), cutoff_hz=8_000.0)
        with Engine(STREAM, settings) as engine:
            heard.append(play(engine, voice + np.float32(offset))[6 * 48_000 :])
    assert np.mean(heard[1]) - np.mean(heard[0]) == pytest.approx(0.05, abs=1e-4)
    change = heard[1] - heard[0] - 0.05
    added = heard[0] - voice[6 * 48_000 - engine.delay_samples :][: len(heard[0])]
    assert np.std(change) < 0.3 * np.std(added)


def test_denormals_are_zero_on_the_engine_thread() -> None:
    with Engine(STREAM, EngineSettings(None)) as engine:
        engine.start()
        deadline = time.monotonic() + 10.0
        while engine.denormals_flushed is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert engine.denormals_flushed
