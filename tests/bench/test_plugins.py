"""No parameter of a stage, and no bypass, is heard as a click when it is moved from end to end while audio runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from numba import cfunc

from bench.plugins import moves
from bench.plugins.report import plugins_run
from bench.report.document import tables_of
from realtime.native import COMPILE
from realtime.native.memory import floats_at, record_at
from realtime.native.ramp import RAMP
from realtime.native.stage import STEP
from realtime.native.stages.gain import GAIN
from realtime.plugins.gain import GainStage
from realtime.plugins.ladspa.catalogue import folders
from tests.models import identity_model


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adds the voice once more: what is added has nothing either where clicks are looked for."""
    return identity_model(tmp_path_factory.mktemp("models") / "doubling.onnx", mode="additive")


def _needs(plugin: str) -> None:
    if not any((folder / plugin.partition(":")[0]).is_file() for folder in folders()):
        pytest.skip("needs real plugins: apt install swh-plugins cmt")


@pytest.mark.slow
@pytest.mark.parametrize(
    "plugin",
    [
        "gain",
        "high-pass",
        "noise-gate",
        "compressor",
        "network",
        "limiter",
        "dither",
        "amp_1181.so:amp",
        "cmt.so:hpf",
        "cmt.so:delay_0.01s",
        "comb_1190.so:comb",
    ],
)
def test_no_parameter_clicks(plugin: str, doubling: Path) -> None:
    if ".so" in plugin:
        _needs(plugin)
    stages = [{"plugin": "gain", "name": "first"}, {"plugin": plugin}]
    found = moves.sweep_stage(stages, 1, doubling, slide=".so" in plugin)
    assert found[-1].name == "bypass"
    assert {move.name: move.excess for move in found if move.verdict != "silent"} == {}


#: They hold audio and ring on with it, whatever becomes of their controls.
RINGING = [
    ("cmt.so:freeverb3", "freeze_mode", (0.0, 1.0)),
    ("cmt.so:fbdelay_0.1s", "feedback", (-1.0, 1.0)),
    ("gverb_1216.so:gverb", "roomsize_m", (1.0, 300.0)),
    ("gverb_1216.so:gverb", "roomsize_m", (75.0, 80.0)),
    ("plate_1423.so:plate", "damping", (0.0, 1.0)),
    ("phasers_1217.so:autoPhaser", "feedback", (-1.0, 1.0)),
    ("phasers_1217.so:fourByFourPole", "feedback_1", (-1.0, 1.0)),
]


def _ways(plugin: str, name: str, ends: tuple[float, float]) -> list[list[dict[str, Any]]]:
    _needs(plugin)
    return [[{"plugin": plugin, name: value}] for value in ends]


@pytest.mark.parametrize(("plugin", "name", "ends"), RINGING)
def test_what_rings_on_does_not_click(plugin: str, name: str, ends: tuple[float, float]) -> None:
    assert moves.clicks_between(_ways(plugin, name, ends)).excess < 1.0


def test_a_room_that_is_resized_while_it_is_heard_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: along a ramp of the same instances."""
    monkeypatch.setattr("realtime.plugins.ladspa.stage.leap_of", lambda facts, parameter: math.inf)
    assert moves.clicks_between(_ways("gverb_1216.so:gverb", "roomsize_m", (75.0, 80.0))).excess > 10.0


@cfunc(STEP, **{**COMPILE, "cache": False})
def _abrupt(state, source, target, frames):  # type: ignore[no-untyped-def]
    """A gain that follows at once."""
    gain = record_at(state, GAIN)
    factor = record_at(gain.ramp, RAMP).wanted
    x = floats_at(source, (gain.lanes, frames))
    y = floats_at(target, (gain.lanes, frames))
    for lane in range(gain.lanes):
        for i in range(frames):
            y[lane, i] = factor * x[lane, i]
    return 0


def test_a_gain_that_follows_at_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    monkeypatch.setattr(GainStage, "step", _abrupt.address)
    ways = [[{"plugin": "gain", "gain_db": db}] for db in (0.0, -12.0)]
    assert moves.clicks_between(ways).count > 0


def test_a_plugin_that_clicks_with_its_controls_at_rest_is_told_from_one_that_clicks_as_they_move() -> None:
    """cmt's gate cuts hard where the voice passes its threshold; a gain that is kept in place is silent."""
    _needs("cmt.so:hard_gate")
    passage = moves.Passage(_ways("cmt.so:hard_gate", "threshold", (0.0, 0.05)))
    found = passage.moved()
    between = _ways("cmt.so:hard_gate", "threshold", (0.01, 0.025))
    rest = passage.rest_excess(between, found.excess)
    assert found.excess > 1.0
    assert moves.Move("threshold", found.count, found.excess, rest).verdict == moves.AT_REST
    gains = [[{"plugin": "gain", "gain_db": db}] for db in (0.0, -12.0)]
    quiet = moves.Passage(gains).rest_excess(gains, 1.0)
    assert quiet < 1.0
    assert moves.Move("gain_db", 1, 1.1, quiet).verdict == moves.AS_MOVED


def test_a_report_fails_where_a_stage_that_is_built_in_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.plugins.moves.catalogue", lambda: ([], []))
    sound = plugins_run("gain", False, lambda name: None)
    assert sound.problems == []
    (table,) = tables_of(sound.as_dict())
    assert [row["name"] for row in table.rows] == ["gain_db", "bypass"]
    assert {row["verdict"] for row in table.rows} == {"silent"}
    monkeypatch.setattr(GainStage, "step", _abrupt.address)
    (problem,) = plugins_run("gain", False, lambda name: None).problems
    assert "gain.gain_db" in problem


def test_a_report_fails_where_a_plugin_clicks_as_it_moves_and_not_where_it_always_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = moves.PluginRow("a.so:own", None, moves=(moves.Move("level", 3, 5.0, 6.0),))
    moved = moves.PluginRow("b.so:moved", None, moves=(moves.Move("level", 3, 5.0, 0.2),))
    refused = moves.PluginRow("c.so:refused", "it crashed")
    monkeypatch.setattr("bench.plugins.moves.catalogue", lambda: ([], [own, moved, refused]))
    document = plugins_run(".so", True, lambda name: None)
    assert document.problems == ["1 LADSPA plugins click as they move: b.so:moved level"]
    assert "2 of 3 LADSPA plugins" in document.verdicts[-1]
    monkeypatch.setattr("bench.plugins.moves.catalogue", lambda: ([], [own, refused]))
    assert plugins_run(".so", True, lambda name: None).problems == []
