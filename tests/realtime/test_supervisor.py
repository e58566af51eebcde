"""A device that dies is waited for and used again: said once when lost and once when back, silent in between."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.errors import FullbandError
from realtime.session import Session
from realtime.settings.live import LiveSettings
from realtime.supervisor import Supervisor
from tests.realtime.playing import bend, tone


def _poll_until(session: Session, condition: object, seconds: float = 30.0) -> list[str]:
    lines = []
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        lines += session.poll()
        assert time.monotonic() < end
        time.sleep(0.01)
    return lines


def test_a_device_that_dies_and_returns_is_said_twice_and_plays_on(doubling: Path) -> None:
    x = tone(60.0)[None]
    device = SimulatedDevice(x, 48_000)
    settings = LiveSettings(model=str(doubling), guard_ms=30.0, adaptive_guard=False, bypass=True)
    with Session(settings, device) as session:
        session.start()
        _poll_until(session, lambda: int(device.record["played_frames"]) > 12_000)
        device.die()
        lost = _poll_until(session, lambda: session.lost)
        assert len(lost) == 1
        assert "gone" in lost[0]
        assert session.status()["lost"] is True
        assert session.running
        died_at = int(device.record["played_frames"])
        assert _poll_until(session, lambda: session._supervisor._pause_s > 0.6) == []  # type: ignore[union-attr]
        mix = session.engine.mix
        gap = mix.observe(mix.written - 8_000, 8_000)
        gap_samples = mix.written - died_at
        device.come_back()
        back = _poll_until(session, lambda: not session.lost)
        assert len(back) == 1
        assert "back after" in back[0]
        _poll_until(session, lambda: int(device.record["played_frames"]) > died_at + 24_000)
        status = session.status()
        assert (status["lost"], status["device_returns"], status["bypass"]) == (False, 1, True)
        delay = session.engine.delay_samples
    heard = device.played[0]
    # The recording went on, silent, for as long as the device was away.
    assert gap_samples > 10_000
    assert gap is not None
    assert np.abs(gap).max() == 0.0
    # Nothing that was captured before is played after; what comes then begins softly and is the voice again.
    assert np.abs(heard[died_at : died_at + delay]).max() == 0.0
    assert bend(heard[died_at + 1 :]) < 3 * bend(x[0])
    went_on = slice(died_at + delay + 4_800, died_at + 20_000)
    np.testing.assert_allclose(heard[went_on], x[0, went_on.start - delay : went_on.stop - delay], atol=1e-5)
    assert status["statistics"]["dull_seconds"] == 0.0


class _Mute(SimulatedDevice):
    """Opens well and says it is active, and calls nobody."""

    calls_back = True

    def start(self, engine: Engine) -> None:
        if self.calls_back:
            super().start(engine)

    @property
    def active(self) -> bool:
        return True


def _supervised(device: SimulatedDevice, engine: Engine) -> Supervisor:
    engine.start()
    device.start(engine)
    while int(engine.playback["blocks"]) == 0:
        time.sleep(0.001)
    return Supervisor(device, engine)


def test_a_device_that_stops_calling_back_is_lost_after_a_second_of_looking() -> None:
    device = _Mute(tone(60.0)[None], 48_000)
    with Engine(device.stream, EngineSettings(None)) as engine, device:
        supervisor = _supervised(device, engine)
        now = time.monotonic()
        device.stop()
        device.calls_back = False
        assert supervisor.poll(now) == []
        # One look after the machine stood still for an hour is no proof.
        assert supervisor.poll(now + 3_600.0) == []
        lines = [line for k in range(20) for line in supervisor.poll(now + 3_600.0 + 0.1 * k)]
        assert len(lines) == 1
        assert "no audio" in lines[0]
        # Opened, but mute again: it is opened anew, and nobody is told that it is back.
        assert [line for k in range(80) for line in supervisor.poll(now + 3_610.0 + 0.1 * k)] == []
        assert supervisor.lost
        device.calls_back = True
        lines = []
        later = 3_700.0
        while supervisor.lost:
            lines += supervisor.poll(now + later)
            time.sleep(0.02)
            later += 0.02
        assert len(lines) == 1


class _Suspended(SimulatedDevice):
    """Takes what fits its buffer and then no more, as a sink that a server has suspended does."""

    suspended = True
    starts = 0

    def start(self, engine: Engine) -> None:
        self.starts += 1
        super().start(engine)
        if self.suspended:
            deadline = time.monotonic() + 10.0
            before = int(engine.playback["blocks"])
            while int(engine.playback["blocks"]) < before + 2 and time.monotonic() < deadline:
                time.sleep(0.001)
            self.stop()

    @property
    def active(self) -> bool:
        return True


def test_a_device_that_takes_some_blocks_and_no_more_is_not_said_to_be_back() -> None:
    device = _Suspended(tone(60.0)[None], 48_000)
    with Engine(device.stream, EngineSettings(None)) as engine, device:
        supervisor = _supervised(device, engine)
        now = time.monotonic()
        lines = [line for k in range(600) for line in supervisor.poll(now + 0.1 * k)]
        assert len(lines) == 1
        assert "no audio" in lines[0]
        assert supervisor.lost
        assert device.starts >= 3
        device.suspended = False
        later = now + 100.0
        while supervisor.lost:
            later += 0.02
            lines += supervisor.poll(later)
            time.sleep(0.02)
        assert len(lines) == 2
        assert "back after" in lines[1]


def test_tries_get_rarer_up_to_five_seconds_and_never_end() -> None:
    device = SimulatedDevice(tone(60.0)[None], 48_000)
    tries: list[float] = []
    with Engine(device.stream, EngineSettings(None)) as engine, device:
        supervisor = _supervised(device, engine)
        device.die()
        while device.active:
            time.sleep(0.001)
        clock = [time.monotonic()]

        def reopen() -> None:
            tries.append(clock[0])
            raise FullbandError("not there")

        device.reopen = reopen  # type: ignore[method-assign]
        engine.pass_silence = lambda samples: None  # type: ignore[method-assign]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("realtime.supervisor.time.monotonic", lambda: clock[0])
            for _ in range(1_000):
                supervisor.poll(clock[0])
                clock[0] += 0.05
    pauses = np.diff(tries)
    assert pauses[0] == pytest.approx(0.25, abs=0.06)
    assert pauses[-1] == pytest.approx(5.0, abs=0.06)
    assert (np.diff(pauses) > -0.06).all()
