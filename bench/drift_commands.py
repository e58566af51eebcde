"""What ``fullband bench drift`` prints."""

from __future__ import annotations

from dataclasses import asdict

from rich import box
from rich.table import Table

from realtime.errors import FullbandError, nearest
from realtime.report import Report

from . import drift
from .machine import machine


def drift_run(report: Report, minutes: float, ppm: float, timings: list[str]) -> None:
    """Let clocks run apart both ways, and tell what came of it; fails when the delay moves or the tone is not clean."""
    known = {timing.name: timing for timing in drift.TIMINGS}
    for name in timings:
        if name not in known:
            near = ", ".join(nearest(name, list(known)) or known)
            raise FullbandError(f"no timing named '{name}'; there are: {near}", exit_status=2)
    signs = (ppm, -ppm) if ppm else (0.0,)
    rows = []
    with report.console.status("") as status:
        for timing in [known[name] for name in timings or known]:
            for signed in signs:

                def show(seconds: float, words: str = f"{timing.name}, {signed:+g} ppm") -> None:
                    status.update(f"{words}: {seconds / 60:.1f} of {minutes:g} min")

                rows.append(drift.play(timing, signed, minutes, show))
    headings = (
        "timing",
        "ppm",
        "settled s",
        "delay off ms",
        "spurs dB",
        "steered ppm",
        "resyncs",
        "holes",
        "took s",
        "",
    )
    table = Table(*headings, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(
            row.timing,
            f"{row.ppm:+g}",
            f"{row.settle_s:.1f}",
            f"{row.least_off_ms:+.4f} … {row.most_off_ms:+.4f}",
            f"{row.spurs_db:.1f}",
            f"{row.steered_ppm:+.2f}",
            f"{row.late_resyncs}/{row.resyncs}",
            f"{row.late_holes}/{row.holes}",
            f"{row.seconds:.0f}",
            "holds" if row.holds else ", ".join(row.problems),
        )
    if report.json_target != "-":
        report.console.width = max(report.console.width, 110)
        report.console.print(table)
        report.say(
            f"After {drift.SETTLED_S:g} s: delay against its median, the worst line beside a tone of 1 kHz in 5 s"
        )
        report.say("of it; resyncs and holes then and in all. Without either no sample is lost or repeated.")
        report.say("Callbacks come late by up to 6 ms (jitter), two at a time (pairs), 20 ms late every 10 s (stalls).")
    settings = {"minutes": minutes, "ppm": ppm, "block_frames": drift.BLOCK_FRAMES}
    listed = [{**asdict(row), "holds": row.holds} for row in rows]
    report.finish({"machine": machine(), "settings": settings, "rows": listed})
    broken = [f"{row.timing} at {row.ppm:+g} ppm" for row in rows if not row.holds]
    if broken:
        raise FullbandError(f"{len(broken)} of {len(rows)} do not hold: {', '.join(broken)}")
