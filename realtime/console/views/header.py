"""The first line: that it runs, for how long, with which model, and what is set to something else than usual."""

from __future__ import annotations

from ..canvas import Area, Canvas
from ..snapshot import Snapshot
from ..styles import Style

_LONGEST_MODEL = 24


def clock(seconds: float) -> str:
    """Minutes and seconds, and hours where there are any."""
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"


def flags(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Words and their styles; none where all is as usual."""
    s = snapshot.statistics
    found: list[tuple[str, int]] = []
    if snapshot.lost:
        found.append(("DEVICE AWAY", Style.BAD))
    if snapshot.comparing == "A":
        found.append(("A/B: A full-band", Style.MARK))
    elif snapshot.comparing == "B":
        found.append(("A/B: B as it came", Style.MARK))
    elif s.bypass:
        found.append(("BYPASS", Style.MARK))
    if s.muted:
        found.append(("MUTED", Style.BAD))
    if s.gain_db != 0.0:
        found.append((f"{s.gain_db:+g} dB", Style.MARK))
    if snapshot.recording_seconds is not None:
        found.append((f"● REC {clock(snapshot.recording_seconds)}", Style.BAD))
    return found


def model(snapshot: Snapshot) -> str:
    """What makes the high band."""
    if snapshot.chain:
        return f"chain of {len(snapshot.chain)}"
    name = snapshot.statistics.model
    return name[:_LONGEST_MODEL] if name else "low band alone"


def draw(canvas: Canvas, area: Area, snapshot: Snapshot) -> None:
    """One row."""
    column = canvas.put(area.row, area.column, " fullband ", Style.BANNER) + 1
    column = canvas.put(area.row, column, clock(snapshot.statistics.seconds), Style.BOLD) + 2
    column = canvas.put(area.row, column, model(snapshot)) + 2
    for word, style in flags(snapshot):
        column = canvas.put(area.row, column, word, style) + 2
    left = area.column + area.width - column
    devices = devices_line(snapshot)
    canvas.put(
        area.row, column, devices if len(devices) <= left else f"{devices[: max(left - 1, 0)]}…", Style.DIM, left
    )


def devices_line(snapshot: Snapshot) -> str:
    """The devices and the block that they bring."""
    return f"{snapshot.devices}, block {snapshot.block_frames}"
