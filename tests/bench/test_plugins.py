"""No parameter of a stage, and no bypass, is heard as a click when it is moved from end to end while audio runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from numba import cfunc

from bench import plugins
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
    ],
)
def test_no_parameter_clicks(plugin: str, doubling: Path) -> None:
    if ".so" in plugin and not any((folder / plugin.partition(":")[0]).is_file() for folder in folders()):
        pytest.skip("needs real plugins: apt install swh-plugins cmt")
    found = plugins.sweep_stage(
        [{"plugin": "gain", "name": "first"}, {"plugin": plugin}], 1, doubling, slide=".so" in plugin
    )
    assert "bypass" in found
    assert {name: clicks.excess for name, clicks in found.items() if clicks.count} == {}


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
    assert plugins.clicks_between(ways).count > 0


@pytest.mark.slow
def test_a_plugin_that_clicks_with_its_controls_at_rest_is_told_from_one_that_clicks_as_they_move() -> None:
    """swh's valve divides by 1 - exp(-k (x - q)), which is all rounding error where the voice x passes its level q."""
    if not any((folder / "valve_1209.so").is_file() for folder in folders()):
        pytest.skip("needs real plugins: apt install swh-plugins")
    row = plugins.try_plugin("valve_1209.so:valve", sweep=True)
    assert row.problem is None
    assert row.clicks
    assert {name for name, _ in row.clicks} == set(row.at_rest)
    assert plugins.rest_jump([{"plugin": "gain"}], 0, "gain_db", -12.0, 0.0) < 1e-4
