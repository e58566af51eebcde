"""A chain in TOML: what is wrong with it is told in one line that names the stage, the key and what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.backends.simulated import SimulatedDevice
from realtime.errors import FullbandError
from realtime.session import Session
from realtime.settings.live import LiveSettings, StageSettings, load_live_settings
from realtime.stages import StageWatch, amended, specs_of
from tests.models import identity_model


def _load(folder: Path, text: str, name: str = "chain.toml") -> LiveSettings:
    path = folder / name
    path.write_text(text)
    settings = load_live_settings(str(path), {})
    specs_of(settings)
    return settings


def test_stages_are_tables_with_their_parameters_beside_their_names(tmp_path: Path) -> None:
    settings = _load(
        tmp_path, '[[chain]]\nplugin = "gain"\ngain_db = -3\n[[chain]]\nplugin = "gain"\nname = "b"\nbypass = true'
    )
    first, second = specs_of(settings)
    assert (first.name, dict(first.values), first.bypass) == ("gain", {"gain_db": -3.0}, False)
    assert (second.name, second.bypass) == ("b", True)
    assert LiveSettings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('chain = "gain"', ["chain.toml:1: 'chain'", "[[chain]]"]),
        ('[[chain]]\nname = "x"', ["stage 1 of the chain", "'plugin' is missing"]),
        ('[[chain]]\nplugin = "gian"', ["stage 1", "no plugin 'gian'", "did you mean 'gain'"]),
        ('[[chain]]\nplugin = "gain"\ngain = 3', ["'gain'", "unknown parameter", "did you mean 'gain_db'"]),
        ('[[chain]]\nplugin = "gain"\ngain_db = 99', ["'gain_db' is 99", "from -60 to 24 dB"]),
        ('[[chain]]\nplugin = "gain"\ngain_db = "loud"', ["'gain_db' is 'loud'", "from -60 to 24 dB"]),
        ('[[chain]]\nplugin = "gain"\ngain_db = nan', ["'gain_db' is nan"]),
        ('[[chain]]\nplugin = "dither"\nbits = 15.5', ["'bits' is 15.5", "whole number from 4 to 24"]),
        ('[[chain]]\nplugin = "gain"\nbypass = "maybe"', ["stage 1", "'bypass' is 'maybe'"]),
        ('[[chain]]\nplugin = "gain"\nmodel = "default"', ["only the plugin 'network' has a 'model'"]),
        ('[[chain]]\nplugin = "network"\nmodel = "defualt"', ["no model named 'defualt'", "default"]),
        ('[[chain]]\nplugin = "gain"\n[[chain]]\nplugin = "gain"', ["stage 2", "another stage is called 'gain'"]),
        ('[[chain]]\nplugin = "gain"\nname = "on"', ["a name is of letters"]),
        ('[[chain]]\nplugin = "gate_1410.so"', ["stage 1"]),
        ('[[chain]]\ninclude = "chain.toml"', ["leads back to itself", "chain.toml → chain.toml"]),
        ('[[chain]]\ninclude = "chain.toml"\nplugin = "gain"', ["'include'", "stands alone"]),
        ('[[chain]]\ninclude = "nowhere"', ["no preset named 'nowhere'"]),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    monkeypatch.setenv("LADSPA_PATH", str(tmp_path))
    with pytest.raises(FullbandError) as caught:
        _load(tmp_path, text)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_loop_over_several_files_is_told_with_its_way(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('[[chain]]\ninclude = "c.toml"')
    (tmp_path / "c.toml").write_text('[[chain]]\nplugin = "gain"\n[[chain]]\ninclude = "b.toml"')
    with pytest.raises(FullbandError, match=r"c\.toml:4: stage 2 .* b\.toml → c\.toml → b\.toml"):
        _load(tmp_path, '[[chain]]\ninclude = "b.toml"')


def test_an_included_chain_stands_where_it_is_included(tmp_path: Path) -> None:
    (tmp_path / "clean.toml").write_text('[[chain]]\nplugin = "high-pass"\n[[chain]]\nplugin = "noise-gate"')
    settings = _load(
        tmp_path, '[[chain]]\nplugin = "gain"\n[[chain]]\ninclude = "clean.toml"\n[[chain]]\nplugin = "limiter"'
    )
    assert [spec.name for spec in specs_of(settings)] == ["gain", "high-pass", "noise-gate", "limiter"]


def test_a_model_for_another_rate_is_refused_as_the_chain_is_made(tmp_path: Path) -> None:
    model = identity_model(tmp_path / "slow.onnx", metadata={"sample_rate_hz": "16000"})
    stages = (StageSettings(plugin="gain"), StageSettings(plugin=str(model)))
    with (
        SimulatedDevice(np.zeros((1, 4_800), np.float32), 48_000) as device,
        pytest.raises(FullbandError, match=r"slow\.onnx .*'sample_rate_hz' is '16000'; models are run at 48000"),
    ):
        Session(LiveSettings(chain=stages), device)


def test_one_thing_is_changed_and_the_rest_kept() -> None:
    settings = LiveSettings(
        gain_db=-1.0, chain=(StageSettings(plugin="gain"), StageSettings(plugin="limiter", ceiling_db=-3.0))
    )
    changed, spec = amended(settings, "limiter", {"release_ms": 20.0})
    assert dict(spec.values) == {"ceiling_db": -3.0, "release_ms": 20.0}
    assert changed.gain_db == -1.0
    with pytest.raises(FullbandError, match=r"no stage 'limter'; did you mean 'limiter'"):
        amended(settings, "limter", {})


@pytest.fixture
def session() -> Any:
    x = (0.1 * np.random.default_rng(0).standard_normal((1, 480_000))).astype(np.float32)
    stages = (StageSettings(plugin="gain"), StageSettings(plugin="limiter", ceiling_db=-3.0))
    device = SimulatedDevice(x, 48_000, freewheel=True)
    with Session(LiveSettings(model="none", chain=stages, cutoff_hz=8_000.0), device) as session:
        session.start()
        yield session


def test_a_running_chain_is_told_and_its_settings_follow(session: Session) -> None:
    from realtime.control.commands import Commands
    from realtime.control.protocol import parse

    def ask(line: str) -> dict[str, Any]:
        return Commands(session).execute(parse(line.encode()))

    assert ask('{"command": "set", "stage": "gain", "parameter": "gain_db", "value": -6}')["value"] == -6.0
    assert ask('{"command": "bypass", "stage": "limiter", "state": "toggle"}') == {"stage": "limiter", "bypass": True}
    told = ask('{"command": "chain"}')
    gain, limiter = told["stages"]
    assert gain["parameters"][0]["value"] == -6.0
    assert (limiter["bypass"], limiter["latency_ms"]) == (True, 1.5)
    assert told["latency"]["stages_ms"] == pytest.approx({"chain step": 64 / 48, "limiter": 1.5}, abs=1e-3)
    assert session.settings.stages[0] == {"plugin": "gain", "gain_db": -6.0}
    for line, words in [
        ('{"command": "set", "stage": "gian", "parameter": "gain_db", "value": 0}', "did you mean 'gain'"),
        ('{"command": "set", "stage": "gain", "parameter": "gain_db", "value": 60}', "from -60 to 24 dB"),
        ('{"command": "bypass", "stage": "gate", "state": "on"}', "no stage 'gate'"),
    ]:
        with pytest.raises(FullbandError, match=words):
            ask(line)
    session.reload(session.settings.model_copy(update={"chain": (StageSettings(plugin="high-pass"),)}))
    assert [stage["name"] for stage in session.engine.describe_chain()] == ["high-pass"]


def test_a_stage_that_gives_no_audio_is_told_once_and_again_when_it_is_back() -> None:
    counts = iter([0, 3, 9, 9])
    watch = StageWatch(lambda: [{"name": "gate", "faults": next(counts)}, {"name": "gain", "faults": 0}])
    told = [watch.poll(float(second)) for second in range(1, 5)]
    assert watch.poll(4.5) == []
    assert told[0] == told[2] == []
    assert told[1] == ["stage 'gate' gives no audio (NaN, or far too loud): the voice goes past it"]
    assert told[3] == ["stage 'gate' is heard again"]


def test_a_reload_that_fails_leaves_the_chain_as_it_was(session: Session) -> None:
    before = session.settings.chain
    wanted = {"chain": (StageSettings(plugin="high-pass"),), "model": "defualt"}
    with pytest.raises(FullbandError, match="no model named 'defualt'"):
        session.reload(session.settings.model_copy(update=wanted))
    assert session.settings.chain == before
    assert [stage["name"] for stage in session.engine.describe_chain()] == ["gain", "limiter"]
