"""Load, deadlines and faults in numbers, the most telling first."""

from __future__ import annotations

from ..canvas import Area, Canvas
from ..snapshot import Snapshot
from ..styles import Style
from . import title


def rows(snapshot: Snapshot) -> list[tuple[str, str, int]]:
    """Name, value and style of each."""
    s = snapshot.statistics

    def fault(count: float) -> int:
        return Style.BAD if count else Style.PLAIN

    xruns = s.xruns + s.device_xruns
    return [
        ("hop p50/99 ms", f"{s.hop_p50_ms:.2f}/{s.hop_p99_ms:.2f}", Style.PLAIN),
        ("load", f"{100.0 * s.load:.1f} %", Style.WARN if s.load > 0.5 else Style.PLAIN),
        ("deadline misses", f"{s.deadline_misses}", fault(s.deadline_misses)),
        ("dull", f"{s.dull_seconds:.2f} s", fault(s.dull_seconds)),
        ("xruns", f"{xruns}", fault(xruns)),
        ("guard", f"{s.guard_ms:.1f} ms", Style.PLAIN),
        ("drift", f"{s.drift_ppm:+.1f} ppm" if snapshot.separate_clocks else "one clock", Style.PLAIN),
        ("band end", f"{s.cutoff_hz / 1000.0:.1f} kHz", Style.PLAIN),
        ("resyncs", f"{s.resyncs}", fault(s.resyncs)),
        ("bad chunks", f"{s.bad_chunks}", fault(s.bad_chunks)),
        ("device losses", f"{s.device_losses}", fault(s.device_losses)),
        ("step downs", f"{s.step_downs}", fault(s.step_downs)),
        ("feedback ducks", f"{s.feedback_ducks}", fault(s.feedback_ducks)),
    ]


def draw(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """As many as there are rows."""
    title.draw(canvas, area, "engine", f"{snapshot.statistics.hops} hops")
    for row, (name, value, style) in enumerate(rows(snapshot)[: area.height - 1], area.row + 1):
        canvas.put(row, area.column, name, Style.PLAIN, area.width)
        canvas.put_right(row, area.column + area.width, value, style, area.width)
