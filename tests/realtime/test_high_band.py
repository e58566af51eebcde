"""The listener's level and tilt of the high band: what they say, in the model or after it, and never a click."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.errors import FullbandError
from realtime.paths import find_model
from realtime.session import Session
from realtime.settings.live import LiveSettings
from realtime.wishes import HIGH_LEVEL_RANGE_DB
from tests.models import identity_model
from tests.realtime.playing import bend, play, tone

STREAM = StreamFormat(48_000, 48_000, 128)
PIECE = 9_600


@pytest.fixture
def adding(tmp_path: Path) -> Path:
    """Its high band is the voice itself; it takes no level."""
    return identity_model(tmp_path / "adding.onnx", mode="additive")


def test_a_model_without_a_level_has_it_applied_to_what_it_gives(adding: Path) -> None:
    x = tone(1.0)
    with Engine(STREAM, EngineSettings(adding)) as engine:
        before = play(engine, x[:PIECE])
        engine.wishes.set_high_level_db(-6.0)
        after = play(engine, x[PIECE : 3 * PIECE])
        delay = engine.delay_samples
    late = np.arange(PIECE, 2 * PIECE)
    np.testing.assert_allclose(after[late], (1 + 10 ** (-6 / 20)) * x[PIECE + late - delay], atol=1e-5)
    assert bend(np.concatenate([before, after])[4_000:]) < 1.3 * bend(2 * x)


def _high_db(wish: str | None, value: float, pivot_hz: float | None = None) -> float:
    """Level at 8 kHz of the shipped model's output for noise that ends at 4 kHz."""
    rng = np.random.default_rng(3)
    voice = np.fft.irfft(np.fft.rfft(rng.standard_normal(48_000)) * (np.fft.rfftfreq(48_000, 1 / 48_000) < 3_800.0))
    voice = (0.05 * voice * np.hanning(48_000) / voice.std()).astype(np.float32)
    with Engine(STREAM, EngineSettings(find_model("default"), cutoff_hz=4_000.0)) as engine:
        if wish is not None:
            getattr(engine.wishes, wish)(value)
        engine.wishes.set_high_pivot_hz(pivot_hz)
        heard = play(engine, voice)
    power = np.abs(np.fft.rfft(heard)) ** 2
    frequency_hz = np.fft.rfftfreq(len(heard), 1 / 48_000)
    octave = (frequency_hz > 7_900.0) & (frequency_hz < 8_100.0)
    return float(10.0 * np.log10(power[octave].sum()))


@pytest.mark.parametrize("wish", ["set_high_level_db", "set_high_tilt_db"])
def test_the_shipped_model_takes_level_and_tilt(wish: str) -> None:
    # An octave above the cutoff both change as much.
    assert _high_db(wish, -9.0) - _high_db(None, 0.0) == pytest.approx(-9.0, abs=0.5)


def test_a_tilt_turns_at_its_pivot() -> None:
    assert _high_db("set_high_tilt_db", -9.0, 8_000.0) == pytest.approx(_high_db(None, 0.0), abs=0.5)
    assert _high_db("set_high_tilt_db", -6.0, 16_000.0) - _high_db(None, 0.0) == pytest.approx(6.0, abs=0.5)


def test_a_line_over_frequency_stays_where_it_is_when_the_band_ends_elsewhere() -> None:
    with Engine(STREAM, EngineSettings(find_model("default"), cutoff_hz=8_000.0)) as engine:
        engine.wishes.set_high_level_db(-2.0)
        engine.wishes.set_high_tilt_db(3.0)
        assert engine.inference is not None
        told = engine.inference.controls
        for pivot_hz, cutoff_hz, level_db in (
            (None, 4_000.0, -2.0),
            (8_000.0, 4_000.0, -5.0),
            (8_000.0, 16_000.0, 1.0),
        ):
            engine.set_cutoff_hz(cutoff_hz)
            engine.wishes.set_high_pivot_hz(pivot_hz)
            assert (told["level_db"].item(), told["tilt_db"].item()) == pytest.approx((level_db, 3.0))
        engine.wishes.set_high_tilt_db(12.0)
        engine.set_cutoff_hz(1_000.0)
        assert told["level_db"].item() == HIGH_LEVEL_RANGE_DB[0], "no further than can be set"


def test_tilt_of_a_model_that_has_none_is_refused_in_one_line(adding: Path) -> None:
    settings = LiveSettings(backend="simulated", model=str(adding), seconds=0.1)
    with Session(settings) as session:
        session.set_high_tilt_db(0.0)
        with pytest.raises(FullbandError, match="has no tilt"):
            session.set_high_tilt_db(-3.0)
        session.set_high_level_db(3.0)
        assert session.settings.high_level_db == 3.0
        with pytest.raises(FullbandError, match="high_level_db"):
            session.set_high_level_db(40.0)
