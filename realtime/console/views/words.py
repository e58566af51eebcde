"""A terminal too small for pictures: what matters, in words, the most telling first."""

from __future__ import annotations

from ..canvas import Area, Canvas
from ..snapshot import Snapshot
from ..styles import Style
from . import header
from .meters import shown


def rows(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Lines of some 40 columns, and their styles."""
    s = snapshot.statistics
    xruns = s.xruns + s.device_xruns
    faults = s.deadline_misses or s.dull_seconds or xruns
    words = " ".join(word for word, _ in header.flags(snapshot))
    found: list[tuple[str, int]] = [
        (f"fullband {header.clock(s.seconds)} {words or header.model(snapshot)}", Style.BOLD),
        (f"in {shown(snapshot.before.held_dbfs)}  out {shown(snapshot.after.held_dbfs)} dBFS", Style.PLAIN),
        (f"misses {s.deadline_misses} dull {s.dull_seconds:.1f} s xruns {xruns}", Style.BAD if faults else Style.PLAIN),
        (f"hop {s.hop_p50_ms:.2f}/{s.hop_p99_ms:.2f} ms load {100.0 * s.load:.0f} %", Style.PLAIN),
        (f"latency {snapshot.budget.total_ms:.1f} ms guard {s.guard_ms:.1f}", Style.PLAIN),
        (f"band ends at {s.cutoff_hz / 1000.0:.1f} kHz", Style.PLAIN),
    ]
    if snapshot.notices:
        found.insert(1, (snapshot.notices[-1], Style.WARN))
    found += [
        (f"{stage['name']} {stage['mean_us']:.0f} µs {100.0 * stage['load']:.1f} %", Style.PLAIN)
        for stage in snapshot.chain
    ]
    return found


def draw(canvas: Canvas, area: Area, snapshot: Snapshot, keys: str) -> None:
    """As many lines as there are rows, the *keys* in the last where there is one to spare."""
    found = rows(snapshot)
    room = area.height - 1 if area.height > 3 else area.height
    for row, (text, style) in enumerate(found[:room], area.row):
        canvas.put(row, area.column, text, style)
    if room < area.height:
        canvas.put(area.row + area.height - 1, area.column, keys, Style.DIM)
