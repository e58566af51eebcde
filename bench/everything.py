"""``fullband bench all``: the whole of what people ask of a machine and of this program, in one report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.paths import shipped_models

from .device import report as device_report
from .engine import report as engine_report
from .engine.paths import PATHS
from .machine.loads import LOADS
from .model import report as model_report
from .report.document import together


def measure_all(quick: bool, engine_at_most_s: float | None, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure the shipped models, the engine with the default one, and the host's delay through a cable."""
    names = tuple(sorted(shipped_models(), key=lambda name: (name != "default", name)))
    seconds = 2.0 if quick else 10.0
    request = model_report.Request(names, seconds, rounds=8, batch=True, operators=not quick, sweep=False)
    plan = engine_report.make_plan(
        ["default"],
        [128],
        [2.0],
        list(LOADS),
        list(PATHS),
        1.25 if quick else 10.0,
        1 if quick else 4,
        at_most_s=engine_at_most_s,
    )
    return together(
        [
            model_report.measure(request, progress),
            engine_report.make_report(plan, progress),
            device_report.make_report(None, None, "default", 128, 2.0, seconds / 2.0, None, progress),
        ]
    )
