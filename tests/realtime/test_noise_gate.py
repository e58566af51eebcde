"""The noise gate: it opens for what is loud and closes after it, without a bend in its gain."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.plugins.spec import resolve
from tests.realtime.playing import play

STREAM = StreamFormat(48_000, 48_000, 128)
LEVEL = 0.1


def test_a_gate_that_opens_while_it_is_closing_goes_up_at_once() -> None:
    gate = {"plugin": "noise-gate", "hold_ms": 0.0, "depth_db": -24.0}
    steady = np.full(9_600, LEVEL, np.float32)
    with Engine(STREAM, EngineSettings(None, chain=resolve([{**gate, "threshold_db": -40.0}]))) as engine:
        opened = play(engine, steady)
        engine.set_chain(resolve([{**gate, "threshold_db": -3.0}]))
        closing = play(engine, steady)
        engine.set_chain(resolve([{**gate, "threshold_db": -40.0}]))
        opening = play(engine, steady)
    assert opened[-1] == pytest.approx(LEVEL, rel=1e-3)
    assert closing[-1] < 0.7 * LEVEL
    lowest = int(np.argmin(opening))
    # What is heard comes a little later than it was asked for; from there on it only rises.
    assert opening[lowest] > 0.98 * closing[-1]
    assert (np.diff(opening[lowest:]) >= -1e-7).all()
    assert opening[-1] == pytest.approx(LEVEL, rel=1e-3)
