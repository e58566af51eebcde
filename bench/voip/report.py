"""``fullband bench voip``: from calls to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from ..report.document import Document, Table, Timeline, Waterfall, columns, rounded
from . import calls, mouth_to_ear

Progress = Callable[[str], None]

_CONDITIONS = columns(
    ("condition", "network"), ("way", "buffer"), ("lost_percent", "lost %", ".1f"),
    ("concealed_percent", "made up %", ".1f"), ("delay_p5_ms", "delay p5", ".0f"), ("delay_p50_ms", "p50", ".0f"),
    ("delay_p95_ms", "p95", ".0f"), ("delay_max_ms", "max", ".0f"), ("drift_ms", "drift", ".0f"),
    ("visqol", "ViSQOL", ".2f"),
)  # fmt: skip
_NOTE = (
    "adaptive: fullband's jitter buffer; fixed: aiortc's, four packets, on the same packets at the same time; silence "
    "counts as made up there. Delay in ms from mouth to ear by the sound itself (450 at most can be found), without "
    "devices and network model; drift: its end against its beginning. ViSQOL: against the clean call."
)
_CALLS = columns(
    ("lanes", "most in a batch", "d"), ("calls", "calls", "d"), ("seconds", "s", ".0f"),
    ("tick_p50_ms", "frame p50 ms", ".2f"), ("tick_p99_ms", "p99 ms", ".2f"), ("tick_max_ms", "max ms", ".1f"),
    ("late_percent", "late %", ".2f"), ("dull_percent", "dull %", ".2f"), ("floor_percent", "floor %", ".2f"),
    ("longest_stall_ms", "stall ms", ".1f"), ("cores", "cores", ".2f"), ("held", "held"),
)  # fmt: skip
_CALLS_NOTE = (
    "Telephone in (PCMU), network, {codec} out; every 10 ms one frame of each call. late: left more than 10 ms after "
    "they were due; dull: without the network. floor: what the machine's own stalls would have made late of as much "
    "work, as a thread on each core tells that only sleeps; stall: the longest. held: late and dull, less floor, are "
    "0.1 % at most, and it was tried for as long as was asked for. cores: busy ones, of this process."
)


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    codec: str
    seconds: float
    conditions: tuple[str, ...]
    seed: int
    calls: bool
    call_seconds: float
    model: str
    codec_out: str
    visqol: bool


def measure(request: Request, progress: Progress) -> Document:
    """Measure what *request* asks for."""
    document = Document("voip", asdict(request))
    if request.conditions:
        _conditions(document, request, progress)
    if request.calls:
        _calls(document, request, progress)
    return document


def _conditions(document: Document, request: Request, progress: Progress) -> None:
    ran = mouth_to_ear.run(request.codec, request.seconds, list(request.conditions), request.seed, progress)
    results = ran.results
    scored = request.visqol and find_spec("visqol") is not None and "clean" in request.conditions
    if scored:
        results = mouth_to_ear.score(ran, progress)
    rows = [_row(result) for result in results]
    document.tables.append(Table(f"Mouth to ear over {request.codec}", _CONDITIONS, rows, _NOTE))
    document.figures["conditions"] = rows
    document.figures["exchange"] = ran.exchange
    for result in results:
        if result.way == "adaptive" and result.delays_ms:
            step_s = request.seconds / max(len(result.delays_ms), 1)
            times = [round(index * step_s, 2) for index in range(len(result.delays_ms))]
            document.timelines.append(Timeline("Mouth to ear", result.condition, "ms", times, list(result.delays_ms)))
    if "clean" in request.conditions:
        parts, measured = mouth_to_ear.budget(request.codec, results)
        document.waterfalls.append(Waterfall("From mouth to ear, clean", parts, measured))
    adaptive = [r for r in results if r.way == "adaptive" and r.delay_p95_ms is not None]
    if adaptive:
        worst = max(adaptive, key=lambda r: r.delay_p95_ms or 0.0)
        document.verdicts.append(
            f"over {request.codec} the delay stays below {worst.delay_p95_ms:.0f} ms in 95 of 100 moments, "
            f"whatever the network does (worst: {worst.condition})"
        )
    if not scored and request.visqol:
        document.verdicts.append("no ViSQOL: it needs the extra 'train' and the condition 'clean'")


def _row(result: mouth_to_ear.Result) -> dict[str, Any]:
    row = asdict(replace(result, delays_ms=()))
    del row["delays_ms"]
    row["lost_percent"] = 100.0 * row.pop("lost_share")
    row["concealed_percent"] = 100.0 * row.pop("concealed_share")
    return rounded(row, 3)


def _calls(document: Document, request: Request, progress: Progress) -> None:
    loads = calls.run(request.model, request.call_seconds, request.codec_out, progress)
    rows = []
    for load in loads:
        row = {**asdict(load), "held": load.held and load.seconds >= request.call_seconds}
        for name in ("late", "dull", "floor"):
            row[f"{name}_percent"] = 100.0 * row.pop(f"{name}_share")
        rows.append(rounded(row, 3))
    document.tables.append(Table("Calls at once", _CALLS, rows, _CALLS_NOTE.format(codec=request.codec_out)))
    held = {lanes: calls.most_held(loads, lanes, request.call_seconds) for lanes in calls.LANES}
    document.figures["calls_held"] = {str(lanes): most for lanes, most in held.items()}
    best = max(held, key=lambda lanes: held[lanes])
    document.verdicts.append(f"{held[best]} calls held at once, up to {best} in a batch; {held[1]} without batches")
