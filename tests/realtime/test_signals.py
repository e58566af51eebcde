"""SIGHUP takes over a changed configuration or keeps the old one; SIGTERM and Ctrl-C end softly and tidily."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from realtime.backends.simulated import SimulatedDevice
from realtime.errors import FullbandError
from realtime.session import Session
from realtime.settings.live import LiveSettings
from tests.realtime.playing import bend, tone
from tests.servers import poll


def test_a_reload_is_followed_or_refused_and_the_end_is_a_fade(tmp_path: Path, doubling: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(120.0), 48_000, subtype="FLOAT")
    config = tmp_path / "live.toml"
    lines = f'model = "{doubling}"\nsource = "tone.wav"\nsimulated_rate_hz = 48000\nadaptive_guard = false\n'
    config.write_text(lines + "guard_ms = 20.0\nbypass = true\n")
    command = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--config", str(config)]
    process = subprocess.Popen(
        [*command, "--plain", "--record", "kept.wav", "--json", "figures.json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    stdout = process.stdout
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(stdout), daemon=True).start()
    try:
        # The recording is opened just before the signals are listened to; audio in it comes after.
        poll(lambda: any(p.stat().st_size > 200_000 for p in tmp_path.glob(".fullband-*.part")), "audio", 120.0, 0.1)
        config.write_text(lines + "guard_ms = 30.0\nbypass = true\n")
        process.send_signal(signal.SIGHUP)
        poll(lambda: any("reloaded" in line for line in said), "the reload", 60.0, 0.1)
        config.write_text(lines + "guard_msec = 1\n")
        process.send_signal(signal.SIGHUP)
        poll(lambda: any("stay as they were" in line and "guard_ms" in line for line in said), "the refusal", 60.0, 0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60.0) == 0, process.stderr and process.stderr.read()
    finally:
        process.kill()
    assert json.loads((tmp_path / "figures.json").read_text())["latency"]["guard_ms"] == pytest.approx(30.0, abs=0.05)
    heard = soundfile.read(tmp_path / "kept.wav", dtype="float32")[0]
    assert np.abs(heard[-100:]).max() < 1e-4
    sounding = np.flatnonzero(np.abs(heard) > 1e-3)
    assert bend(heard[sounding[-1] - 960 :]) < 4 * bend(tone(0.1))


def test_devices_are_opened_anew_only_when_what_names_them_changed(doubling: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "other.wav", tone(60.0, level=0.1), 48_000, subtype="FLOAT")
    given = {"model": str(doubling), "guard_ms": 20.0, "adaptive_guard": False, "backend": "simulated"}
    with Session(LiveSettings.model_validate(given), SimulatedDevice(tone(60.0)[None], 48_000)) as session:
        session.start()
        first = session.backend
        session.reload(LiveSettings.model_validate(given | {"gain_db": -6.0}))
        assert session.backend is first
        assert session.engine.wishes.gain_db == -6.0
        with pytest.raises(FullbandError, match=r"absent\.wav"):
            session.reload(LiveSettings.model_validate(given | {"source": tmp_path / "absent.wav"}))
        assert session.settings.gain_db == -6.0
        assert not session.engine.wishes.muted
        poll(lambda: not (session.poll() or session.lost), "the old device", 30.0)
        assert session.backend is first
        session.reload(LiveSettings.model_validate(given | {"source": tmp_path / "other.wav"}))
        poll(lambda: not (session.poll() or session.lost), "the new device", 30.0)
        assert session.backend is not first
        assert session.backend.active


def test_a_reload_takes_the_fallback_model_and_names_what_only_another_start_can_change(
    doubling: Path, identity: Path
) -> None:
    given = {"model": str(doubling), "guard_ms": 20.0, "adaptive_guard": False, "backend": "simulated"}
    with Session(LiveSettings.model_validate(given), SimulatedDevice(tone(60.0)[None], 48_000)) as session:
        session.start()
        assert session.reload(LiveSettings.model_validate(given | {"fallback_model": str(identity)})) == []
        assert session.engine.settings.fallback_model == identity
        assert session.settings.fallback_model == str(identity)
        with pytest.raises(FullbandError, match="nobody"):
            session.reload(LiveSettings.model_validate(given | {"fallback_model": "nobody", "model": "light"}))
        assert (session.settings.model, session.settings.fallback_model) == (str(doubling), str(identity))
        assert session.engine.settings.fallback_model == identity
        changed = LiveSettings.model_validate(given | {"cpu": 0, "name": "other", "gain_db": 3.0})
        assert sorted(session.reload(changed)) == ["cpu", "name"]
        assert (session.settings.cpu, session.settings.name, session.settings.gain_db) == (None, None, 3.0)
        assert session.engine.settings.fallback_model is None


def test_a_hang_up_before_the_first_audio_is_kept_and_ends_nothing(tmp_path: Path) -> None:
    config = tmp_path / "live.toml"
    config.write_text('model = "none"\nsimulated_rate_hz = 48000\n')
    program = "import os, signal; import realtime.cli as cli; announce = cli._announce_compilation\n"
    program += "def hang_up(): os.kill(os.getpid(), signal.SIGHUP); announce()\n"
    program += "cli._announce_compilation = hang_up; cli.main()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        [*command, "live", "--config", str(config), "--backend", "simulated", "--seconds", "1", "--plain"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180.0,
    )
    assert done.returncode == 0, done.stderr
    assert "configuration reloaded" in done.stdout
