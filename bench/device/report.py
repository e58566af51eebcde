"""``fullband bench device``: asked for, reported and measured, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.backends.portaudio import PortAudio
from realtime.errors import FullbandError
from realtime.paths import find_model

from ..report.document import Document, Series, Table, Timeline, Waterfall, columns, rounded
from .delay import LoopBackend, Measured, Part, measure
from .loop import Cable

_COLUMNS = columns(
    ("part", "part"), ("requested_ms", "requested ms", ".2f"), ("reported_ms", "reported ms", ".2f"),
    ("measured_ms", "measured ms", ".3f"), ("difference_ms", "difference ms", "+.3f"),
    ("difference_blocks", "in blocks", "+.2f"),
)  # fmt: skip
_NOTE = (
    "reported: by the driver, and for the host by the budget that 'live' shows. measured: by correlation with what was "
    "played. loop: from the playback device to the capture device; host: from a frame that the capture device hands "
    "over to the same frame handed to the playback device; total: both."
)
_COURSE = columns(
    ("state", "state"), ("path", "path"), ("ms", "median ms", ".3f"), ("iqr_samples", "IQR samples", ".2f"),
    ("least_samples", "least", ".2f"), ("most_samples", "most", ".2f"), ("slips", "slips", "d"),
    ("windows", "windows", "d"), ("confidence", "confidence", ".3f"),
)  # fmt: skip
_COURSE_NOTE = "In samples of the playback device. slips: times the delay went elsewhere and stayed there."

#: Rounds that a course of delays is split into, for ``compare``.
_ROUNDS = 4


def open_backend(
    capture: str | None, playback: str | None, block_frames: int | None, cable_frames: int | None, seconds: float
) -> tuple[LoopBackend, tuple[float | None, float | None]]:
    """The devices, or the simulated cable; and the latency that is asked of them, in ms."""
    if cable_frames is not None or (capture is None and playback is None):
        return Cable(cable_frames or 480, 2.0 * seconds + 4.0, block_frames or 128), (None, None)
    if capture is None or playback is None:
        raise FullbandError("name both devices that a cable joins: --output and --input", exit_status=2)
    backend = PortAudio(capture, playback, block_frames=block_frames)
    asked = backend.capture_device.low_input_latency_ms, backend.playback_device.low_output_latency_ms
    return backend, asked


def _difference(row: dict[str, Any], block_ms: float) -> dict[str, Any]:
    reported, measured = row.get("reported_ms"), row.get("measured_ms")
    if reported is not None and measured is not None:
        row["difference_ms"] = measured - reported
        row["difference_blocks"] = row["difference_ms"] / block_ms
    return rounded(row)


def rows_of(found: Measured, part: Part, requested_ms: tuple[float | None, float | None]) -> list[dict[str, Any]]:
    """The delay part by part: what is asked for, reported and measured in the state *part*."""

    def both(of: tuple[float | None, float | None]) -> float | None:
        return None if of[0] is None or of[1] is None else of[0] + of[1]

    budget = found.budget
    reported_loop = both(found.reported_ms)
    measured = {name: one.figures(found.rate_hz).get("ms") for name, one in part.paths.items()}
    rows: list[dict[str, Any]] = [
        {"part": "playback device", "requested_ms": requested_ms[1], "reported_ms": found.reported_ms[1]},
        {"part": "capture device", "requested_ms": requested_ms[0], "reported_ms": found.reported_ms[0]},
        {
            "part": "loop",
            "requested_ms": both(requested_ms),
            "reported_ms": reported_loop,
            "measured_ms": measured.get("loop"),
        },
        {"part": "capture resampler", "reported_ms": budget.capture_resampler_ms},
        {"part": "network", "reported_ms": budget.network_ms},
        {"part": "block", "reported_ms": budget.block_ms},
        {"part": "guard", "reported_ms": budget.guard_ms},
        {"part": "playback resampler", "reported_ms": budget.playback_resampler_ms},
        {"part": "host", "reported_ms": budget.host_ms, "measured_ms": measured.get("host")},
        {
            "part": "total",
            "reported_ms": None if reported_loop is None else reported_loop + budget.host_ms,
            "measured_ms": measured.get("total"),
        },
    ]
    return [{"state": part.name, **_difference(row, found.block_ms)} for row in rows]


def _verdicts(rows: list[dict[str, Any]], found: Measured) -> list[str]:
    lines = []
    for row in rows:
        difference = row.get("difference_blocks")
        if row["part"] not in ("host", "total", "loop") or difference is None:
            continue
        agrees = "within a block of it" if abs(difference) <= 1.0 else f"{abs(difference):.1f} blocks from it"
        lines.append(
            f"{row['state']}, {row['part']}: reported {row['reported_ms']:.2f} ms, measured "
            f"{row['measured_ms']:.2f} ms: {agrees} ({found.block_ms:.2f} ms)."
        )
    if found.two_clocks:
        lines.append("The devices run on two clocks: only the sum of loop and host can be measured.")
    if found.reported_ms[0] is None or found.reported_ms[1] is None:
        lines.append("The driver does not report what its devices add: only the host's own delay can be checked.")
    return lines


def _add_course(document: Document, found: Measured, part: Part) -> None:
    for name, one in part.paths.items():
        heard = one.heard
        milliseconds = [round(1000.0 * float(value) / found.rate_hz, 5) for value in heard.samples]
        times = [round(float(value), 3) for value in heard.at_s]
        document.timelines.append(Timeline(f"Delay over time, {name}", part.name, "ms", times, milliseconds))
        size = max(-(-len(milliseconds) // _ROUNDS), 1)
        rounds = [milliseconds[first : first + size] for first in range(0, len(milliseconds), size)]
        document.series[f"{part.name}, {name}: delay"] = Series("ms", rounds)


def make_report(
    capture: str | None,
    playback: str | None,
    model_name: str,
    block_frames: int | None,
    guard_ms: float,
    seconds: float,
    cable_frames: int | None,
    progress: Callable[[str], None],
) -> Document:
    """Measure, and tell. ``figures["agrees"]``: the delay is the reported one, to a block."""
    backend, requested_ms = open_backend(capture, playback, block_frames, cable_frames, seconds)
    settings = {
        "devices": backend.describe(),
        "model": model_name,
        "guard_ms": guard_ms,
        "seconds": seconds,
        "block_frames_asked": block_frames,
        "probe": "pseudo-random noise, 200 to 3400 Hz, -20 dBFS",
    }
    document = Document("device", settings)
    found = measure(backend, find_model(model_name), guard_ms, seconds, progress)
    rows = [row for part in found.parts for row in rows_of(found, part, requested_ms)]
    for part in found.parts:
        title = f"{backend.describe()}, {part.name}, blocks of {found.block_frames}"
        document.tables.append(Table(title, _COLUMNS, [row for row in rows if row["state"] == part.name], _NOTE))
    courses = [
        rounded({"state": part.name, "path": name, **one.figures(found.rate_hz)})
        for part in found.parts
        for name, one in part.paths.items()
    ]
    document.tables.append(Table("Over time", _COURSE, courses, _COURSE_NOTE))
    for part in found.parts:
        _add_course(document, found, part)
    budget = found.budget
    parts = [(name, value) for name, value in budget.parts().items() if value is not None]
    devices = [
        (name, value)
        for name, value in zip(("playback device", "capture device"), found.reported_ms[::-1], strict=True)
    ]
    known = [(name, value) for name, value in devices if value is not None]
    inner = [one for one in parts if "device" not in one[0]]
    measured_ms = found.parts[-1].total.figures(found.rate_hz).get("ms")
    document.waterfalls.append(
        Waterfall(
            "Where the delay comes from, as reported",
            known + inner,
            None if measured_ms is None else float(measured_ms),
        )
    )
    # On two clocks the host's own delay cannot be seen apart; with what the driver reports, the sum can.
    judged = [row for row in rows if row["part"] == ("total" if found.two_clocks else "host")]
    differences = [row.get("difference_blocks") for row in judged]
    statistics = found.statistics
    document.figures = {
        "parts": rows,
        "course": courses,
        "xruns": found.flags,
        "underruns": statistics.underruns,
        "resyncs": statistics.resyncs,
        "deadline_misses": statistics.deadline_misses,
        "dull_seconds": round(statistics.dull_seconds, 4),
        "drift_ppm": round(statistics.drift_ppm, 2),
        "block_frames": found.block_frames,
        "rate_hz": found.rate_hz,
        "two_clocks": found.two_clocks,
        "agrees": all(one is None or abs(one) <= 1.0 for one in differences),
    }
    document.verdicts = _verdicts(rows, found)
    slips = sum(int(one.get("slips", 0)) for one in courses if one["path"] == "total")
    document.verdicts.append(f"{found.flags} xruns, {slips} slips, {statistics.deadline_misses} hops late.")
    return document
