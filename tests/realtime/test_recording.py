"""Takes: both files are whole, of equal length, and begin at the same moment of the voice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from realtime import audiofile
from realtime.backends.simulated import SimulatedDevice
from realtime.errors import FullbandError
from realtime.recording import Take
from realtime.session import Session
from realtime.settings.live import LiveSettings
from tests.realtime.playing import RATE_HZ


def _wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _started(model: Path) -> Session:
    noise = (0.1 * np.random.default_rng(1).standard_normal((1, 60 * RATE_HZ))).astype(np.float32)
    settings = LiveSettings(model=str(model), adaptive_guard=False, cutoff_hz=8_000.0, feedback_guard=False)
    return Session(settings, SimulatedDevice(noise, RATE_HZ))


def test_both_sides_of_a_take_lie_on_one_another_to_the_sample(doubling: Path, tmp_path: Path) -> None:
    with _started(doubling) as session:
        session.set_bypass(True)
        session.start()
        time.sleep(0.3)
        take = Take(session.engine, tmp_path)
        _wait(lambda: take.seconds > 1.0)
        told = take.stop()
        assert not take.running
    assert take.lost_samples == 0
    assert str(tmp_path) in told and "recorded: fullband-" in told and "-before.wav and -after.wav" in told
    before, after = (soundfile.read(path, dtype="float32")[0] for path in take.paths)
    assert len(before) == len(after) == round(take.seconds * RATE_HZ) > RATE_HZ
    # Bypassed, what is heard is what came: 24 bits apart.
    np.testing.assert_allclose(after, before, atol=2.0**-22)
    assert not list(tmp_path.glob(".fullband-*.part"))


def test_a_second_take_has_names_of_its_own(doubling: Path, tmp_path: Path) -> None:
    with _started(doubling) as session:
        session.start()
        takes = []
        for _ in range(2):
            takes.append(Take(session.engine, tmp_path))
            takes[-1].stop()
    assert len({path for take in takes for path in take.paths}) == 4
    assert all(path.exists() for take in takes for path in take.paths)


def test_a_folder_that_cannot_be_written_is_refused_and_a_full_disk_ends_the_take(
    doubling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _started(doubling) as session:
        session.start()
        with pytest.raises(FullbandError, match="there is no folder"):
            Take(session.engine, tmp_path / "absent")
        take = Take(session.engine, tmp_path)
        _wait(lambda: take.seconds > 0.2)

        def full(*_: object) -> None:
            raise FullbandError("the disk is full")

        monkeypatch.setattr(audiofile.Writer, "write", full)
        _wait(lambda: not take.running)
        assert take.stop() == "the recording ended early: the disk is full"
        assert session.running, "the voice goes on"
    assert all(soundfile.info(path).frames > 0 for path in take.paths)
