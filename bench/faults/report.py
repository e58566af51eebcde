"""``fullband bench engine --faults``: from faults to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realtime.errors import FullbandError
from realtime.paths import find_model

from ..report.document import Document, Table, columns, rounded
from . import trial
from .verdict import Row

_COLUMNS = columns(
    ("fault", "fault"), ("clicks", "clicks", "d"), ("largest_jump", "jump", ".4f"), ("threshold", "limit", ".4f"),
    ("lost", "lost", "d"), ("repeated", "twice", "d"), ("unheard", "unheard", "d"), ("dull_seconds", "dull s", ".2f"),
    ("latency_before_ms", "before", ".2f"), ("latency_after_ms", "after", ".2f"), ("shown_xruns", "xruns"),
    ("verdict", ""),
)  # fmt: skip
#: What the columns mean, and what is not looked at, with the reason.
_NOTE = (
    "jump: the largest between two samples above 6 kHz, against the limit that a legal fade sets there; lost, twice, "
    "unheard: samples found in what was heard; before, after: latency in ms; xruns: times the device itself was kept "
    "waiting, in real time beside a thread that only sleeps. "
    "Not looked at: the edge of the cut where a device dies, as its last sample is; for the model's own signal, a jump "
    "within 0.1 s of another delay, as the probe's is judged there; steps of the delay below 2.5 samples in the first "
    "1.5 s on two clocks, as steering makes them; single bits of 5 ms of the probe, where the network's signal ends."
)


def model_with_hops(name: str) -> Path:
    """The model that *name* means. Raises :class:`FullbandError` for none: faults are put into a network."""
    path = find_model(name)
    if path is None:
        raise FullbandError("faults are put into a model: 'none' has none", exit_status=2)
    return path


def _row(row: Row) -> dict[str, Any]:
    return {
        **rounded(asdict(row)),
        "holds": row.holds,
        "shown_xruns": f"{row.xruns}/{row.floor_xruns}" if row.real_time else str(row.xruns),
        "verdict": "holds" if row.holds else ", ".join(row.problems),
    }


def fault_table(
    model: str, guard_ms: float, block_frames: int, quick: bool, progress: Callable[[str], None]
) -> Document:
    """Try every fault; one that is heard is a problem of the report."""
    path = model_with_hops(model)
    document = Document("faults", {"model": model, "block_frames": block_frames, "guard_ms": guard_ms, "quick": quick})
    rows = trial.run(path, guard_ms, block_frames, quick=quick, progress=progress)
    listed = [_row(row) for row in rows]
    document.tables.append(Table("What is heard of faults", _COLUMNS, listed, _NOTE))
    document.figures = {"rows": listed}
    heard = [row.fault for row in rows if not row.holds]
    clicks = sum(row.clicks for row in rows)
    document.verdicts.append(f"{len(rows) - len(heard)} of {len(rows)} faults hold; {clicks} clicks.")
    if heard:
        document.problems.append(f"{len(heard)} of {len(rows)} faults are heard: {', '.join(heard)}")
    return document
