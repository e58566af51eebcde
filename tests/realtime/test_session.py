"""The host as an object: what is set holds and is told, and audio goes through it until its end."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.errors import FullbandError
from realtime.session import Session
from realtime.settings.live import LiveSettings


def _tone(seconds: float) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * 48_000)) / 48_000)).astype(np.float32)[None]


def _settings(model: Path | str, **given: object) -> LiveSettings:
    return LiveSettings.model_validate({"model": str(model), "guard_ms": 20.0, "adaptive_guard": False} | given)


def _run(session: Session, seconds: float = 60.0) -> list[str]:
    """Poll until the session ends by itself, *seconds* at most."""
    notices = []
    end = time.monotonic() + seconds
    while session.running and time.monotonic() < end:
        notices += session.poll()
        time.sleep(0.01)
    return notices


def test_a_session_plays_its_source_and_ends(doubling: Path) -> None:
    device = SimulatedDevice(_tone(0.5), 48_000)
    with Session(_settings(doubling), device) as session:
        assert not session.running
        session.start()
        assert session.running
        assert _run(session) == []
        assert not session.running
        session.stop()
        assert session.figures()["statistics"]["seconds"] == pytest.approx(0.5, abs=0.01)
    assert np.abs(device.played[0, -4_800:]).max() == pytest.approx(0.6, abs=0.02)


def test_another_model_is_heard_and_one_that_is_not_there_changes_nothing(doubling: Path, identity: Path) -> None:
    device = SimulatedDevice(_tone(60.0), 48_000)
    with Session(_settings(doubling), device) as session:
        session.start()
        session.set_model(str(identity))
        time.sleep(0.2)
        heard = device.played[0, -2_400:].copy()
        with pytest.raises(FullbandError, match="no model named 'defualt'"):
            session.reload(session.settings.model_copy(update={"model": "defualt"}))
        assert session.settings.model == str(identity)
        session.reload(session.settings.model_copy(update={"model": str(doubling)}))
        time.sleep(0.2)
        assert session.poll() == []
    assert np.abs(heard).max() == pytest.approx(0.3, abs=0.01)
    assert np.abs(device.played[0, -2_400:]).max() == pytest.approx(0.6, abs=0.02)


def test_bypass_holds_and_is_told(doubling: Path) -> None:
    device = SimulatedDevice(_tone(60.0), 48_000)
    with Session(_settings(doubling), device) as session:
        session.start()
        assert session.status()["bypass"] is False
        session.set_bypass(True)
        time.sleep(0.2)
        assert session.status()["bypass"] is True
        assert session.status()["settings"]["bypass"] is True
    assert np.abs(device.played[0, -2_400:]).max() == pytest.approx(0.3, abs=0.01)


def test_gain_and_mute_are_heard_and_told(doubling: Path) -> None:
    device = SimulatedDevice(_tone(60.0), 48_000)
    with Session(_settings(doubling, bypass=True), device) as session:
        session.start()
        session.set_gain_db(-20.0)
        with pytest.raises(FullbandError, match="gain_db"):
            session.set_gain_db(99.0)
        time.sleep(0.2)
        assert session.status()["gain_db"] == -20.0
        assert np.abs(device.played[0, -2_400:]).max() == pytest.approx(0.03, abs=0.001)
        session.set_muted(True)
        time.sleep(0.2)
        assert session.status()["muted"] is True
        assert not device.played[0, -2_400:].any()


def test_a_guard_that_is_set_is_held(doubling: Path) -> None:
    with Session(_settings(doubling), SimulatedDevice(_tone(60.0), 48_000)) as session:
        session.start()
        session.set_guard_ms(7.0)
        assert session.latency.guard_ms == pytest.approx(7.0)
        assert session.status()["settings"]["guard_ms"] == 7.0


def test_the_status_survives_json(doubling: Path) -> None:
    with Session(_settings(doubling), SimulatedDevice(_tone(1.0), 48_000)) as session:
        session.start()
        status = session.status()
    assert json.loads(json.dumps(status)) == status
    assert status["model"] == "identity"
    assert status["running"] is True
    assert status["latency"]["guard_ms"] == pytest.approx(20.0)


def test_the_cutoff_is_found_unless_it_is_given(doubling: Path) -> None:
    for given, expected in ((None, 24_000.0), (5_000.0, 5_000.0)):
        with Session(_settings(doubling, cutoff_hz=given), SimulatedDevice(_tone(0.3), 48_000)) as session:
            session.start()
            _run(session)
            assert session.figures()["cutoff_hz"] == expected


def test_a_model_that_is_not_there_is_one_line() -> None:
    with pytest.raises(FullbandError, match="no model named 'defualt'"):
        Session(_settings("defualt"), SimulatedDevice(_tone(0.1), 48_000))
