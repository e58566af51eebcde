"""``fullband bench drift``: from clocks to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..names import check_names
from ..report.document import Document, Table, columns, rounded
from . import run

_COLUMNS = columns(
    ("timing", "timing"), ("ppm", "ppm", "+g"), ("settle_s", "settled s", ".1f"),
    ("least_off_ms", "delay off ms", "+.4f"), ("most_off_ms", "to", "+.4f"), ("spurs_db", "spurs dB", ".1f"),
    ("steered_ppm", "steered ppm", "+.2f"), ("late_resyncs", "resyncs", "d"), ("resyncs", "in all", "d"),
    ("late_holes", "holes", "d"), ("holes", "in all", "d"), ("seconds", "took s", ".0f"), ("verdict", ""),
)  # fmt: skip
_NOTE = (
    f"After {run.SETTLED_S:g} s: delay against its median, the worst line beside a tone of 1 kHz in 5 s of it; "
    "resyncs and holes then and in all. Without either no sample is lost or repeated. Callbacks come late by up to "
    "6 ms (jitter), two at a time (pairs), 20 ms late every 10 s (stalls)."
)


def _row(row: run.Drift) -> dict[str, Any]:
    verdict = "holds" if row.holds else ", ".join(row.problems)
    return {**rounded(asdict(row)), "holds": row.holds, "verdict": verdict}


def drift_run(minutes: float, ppm: float, timings: list[str], progress: Callable[[str], None]) -> Document:
    """Let clocks run apart both ways; a delay that moves or a tone that is not clean is a problem of the report."""
    known = {timing.name: timing for timing in run.TIMINGS}
    check_names("timing", timings, known)
    document = Document("drift", {"minutes": minutes, "ppm": ppm, "block_frames": run.BLOCK_FRAMES})
    rows = []
    for timing in [known[name] for name in timings or known]:
        for signed in (ppm, -ppm) if ppm else (0.0,):

            def show(seconds: float, words: str = f"{timing.name}, {signed:+g} ppm") -> None:
                progress(f"{words}: {seconds / 60:.1f} of {minutes:g} min")

            rows.append(run.play(timing, signed, minutes, show))
    listed = [_row(row) for row in rows]
    document.tables.append(Table("Clocks that run apart", _COLUMNS, listed, _NOTE))
    document.figures = {"rows": listed}
    off_ms = max(max(abs(row.least_off_ms), abs(row.most_off_ms)) for row in rows)
    spurs_db = max(row.spurs_db for row in rows)
    document.verdicts.append(
        f"{minutes:g} minutes at ±{ppm:g} ppm: the delay stays within {off_ms:.4f} ms, spurs {spurs_db:.1f} dB."
    )
    broken = [f"{row.timing} at {row.ppm:+g} ppm" for row in rows if not row.holds]
    if broken:
        document.problems.append(f"{len(broken)} of {len(rows)} do not hold: {', '.join(broken)}")
    return document
