"""What a running host is set to is saved, and the file gives the same settings back."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.backends.simulated import SimulatedDevice
from realtime.control.commands import Commands
from realtime.control.protocol import parse
from realtime.errors import FullbandError
from realtime.paths import WEIGHTS
from realtime.session import Session
from realtime.settings.live import LiveSettings, StageSettings, load_live_settings
from realtime.settings.saving import RUN_KEYS, save_settings
from realtime.stages import specs_of
from realtime.virtualmic import VirtualMicrophone


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of the test's own, which is also where it runs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _without_run(settings: LiveSettings) -> LiveSettings:
    return settings.model_copy(update={key: LiveSettings.model_fields[key].default for key in RUN_KEYS})


def test_all_that_was_changed_while_it_ran_is_given_back() -> None:
    x = (0.1 * np.random.default_rng(0).standard_normal((1, 96_000))).astype(np.float32)
    stages = (StageSettings(plugin="gain"), StageSettings(plugin="limiter", name="last", ceiling_db=-3))
    settings = LiveSettings(model="light", chain=stages, cutoff_hz=8_000.0, seconds=9.0, guard_ms=4)
    with Session(settings, SimulatedDevice(x, 48_000, freewheel=True)) as session:
        session.start()
        commands = Commands(session)

        def ask(line: str) -> dict[str, Any]:
            return commands.execute(parse(line.encode()))

        ask('{"command": "gain", "db": -3.25}')
        ask('{"command": "level", "db": 2}')
        ask('{"command": "mute", "state": "on"}')
        ask('{"command": "model", "name": "default"}')
        ask('{"command": "guard", "ms": 7.5}')
        ask('{"command": "set", "stage": "last", "parameter": "release_ms", "value": 21.5}')
        ask('{"command": "bypass", "stage": "gain", "state": "on"}')
        path = ask('{"command": "save", "target": "desk"}')["path"]
        running, chain = session.settings, session.engine.chain
    read = load_live_settings("desk", {})
    assert (read.gain_db, read.muted, read.model, read.guard_ms) == (-3.25, True, "default", 7.5)
    assert read == _without_run(running)
    assert specs_of(read) == chain
    assert load_live_settings(path, {}) == read


def test_every_kind_of_value_survives(home: Path) -> None:
    settings = LiveSettings(
        backend="simulated",
        input='a "quoted" one \\ ü',
        device_latency=0.02,
        adaptive_guard=False,
        source=Path("call.wav"),
        model=str(WEIGHTS / "light.onnx"),
        block_frames=64,
        gain_db=1e-7,
        metrics_port=0,
        chain=(
            StageSettings(plugin="dither", bits=16),
            StageSettings(plugin="network", model="default", tilt_db=-1.5),
            StageSettings(plugin="plugins/own.so:label", on=True),
        ),
    )
    save_settings(settings, "all")
    read = load_live_settings("all", {})
    assert read.source == home / "call.wav"
    assert read.chain[2].plugin == f"{home}/plugins/own.so:label"
    assert read.chain[:2] == settings.chain[:2]
    expected = settings.model_copy(update={"source": read.source, "chain": read.chain})
    assert read == expected


def test_only_what_somebody_has_set_is_written(home: Path) -> None:
    microphone = VirtualMicrophone("Full Mic")
    microphone.output, microphone._default_input = "JACK: Full Mic sink", "JACK: mic"
    adopted = microphone.adopt(LiveSettings(virtual_mic="Full Mic"))
    assert (adopted.input, adopted.output) == ("JACK: mic", "JACK: Full Mic sink")
    path = save_settings(adopted.model_copy(update={"gain_db": 0.0}))
    assert tomllib.loads(path.read_text()) == {"virtual_mic": "Full Mic", "gain_db": 0.0}


def test_nothing_is_overwritten_unasked_but_the_preset_without_a_name(home: Path) -> None:
    quiet, loud = LiveSettings(gain_db=-6.0), LiveSettings(gain_db=6.0)
    for settings in (quiet, loud):
        assert save_settings(settings) == home / "config" / "fullband" / "saved.toml"
    assert load_live_settings("saved", {}) == loud
    for target in ("mine", "mine.toml"):
        path = save_settings(quiet, target)
        with pytest.raises(FullbandError, match=r"mine\.toml exists: .*--force"):
            save_settings(loud, target)
        assert load_live_settings(str(path), {}) == quiet
        save_settings(loud, target, force=True)
        assert load_live_settings(str(path), {}) == loud
    assert not list(home.glob(".*"))


def test_what_cannot_be_written_is_refused_by_a_line(home: Path) -> None:
    (home / "file").write_text("")
    for target, words in (
        ("default", "ships with fullband"),
        ("../up", "cannot be named"),
        ("a/b", "cannot be named"),
        (".hidden", "cannot be named"),
        ("file/x.toml", r"cannot write file/x\.toml"),
    ):
        with pytest.raises(FullbandError, match=words) as caught:
            save_settings(LiveSettings(), target)
        assert "\n" not in str(caught.value)


def test_a_preset_is_loaded_while_the_host_runs_and_its_devices_stay(home: Path) -> None:
    x = (0.1 * np.random.default_rng(0).standard_normal((1, 96_000))).astype(np.float32)
    (home / "other.toml").write_text('gain_db = -9\nname = "x"\n[[chain]]\nplugin = "gain"\n')
    settings = LiveSettings(model="none", input="a", guard_ms=4, cutoff_hz=8_000.0, high_level_db=3.0)
    with Session(settings, SimulatedDevice(x, 48_000, freewheel=True)) as session:
        session.start()
        told = Commands(session).execute(parse(b'{"command": "load", "source": "other.toml"}'))
        assert told["kept"] == ["name"]
        loaded = session.settings
        assert (loaded.gain_db, loaded.input, loaded.name) == (-9.0, "a", None)
        assert (loaded.guard_ms, loaded.high_level_db, loaded.model) == (2.0, 0.0, "default"), "as a start with it"
        assert [stage["name"] for stage in session.engine.describe_chain()] == ["gain"]
        for source, words in (("podkast", "podcast"), ("lost.toml", "cannot be read")):
            with pytest.raises(FullbandError, match=words):
                Commands(session).execute(parse(f'{{"command": "load", "source": "{source}"}}'.encode()))
        assert session.settings == loaded
