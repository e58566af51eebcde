"""``fullband bench model``: from files to a report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from realtime.errors import FullbandError
from realtime.onnx.contract import read_contract
from realtime.onnx.session import Session, SessionOptions
from realtime.paths import find_model

from ..report.document import Distribution, Document, Series, Table, Timeline, columns, rounded
from ..report.samples import buckets, rounds_of
from . import hops as bench
from . import operators, sweep
from .peer import PeerRunner

Progress = Callable[[str], None]

_COLUMNS = columns(
    ("name", "model"), ("hop_ms", "hop", "g"), ("latency_ms", "latency", "g"), ("p50_ms", "p50", ".3f"),
    ("p90_ms", "p90", ".3f"), ("p99_ms", "p99", ".3f"), ("p999_ms", "p99.9", ".3f"), ("max_ms", "max", ".3f"),
    ("burst_p50_ms", "burst p50", ".3f"), ("rtf", "RTF", ".3f"), ("streams_per_core", "streams", "d"),
    ("first_hop_ms", "first", ".2f"), ("start_up_ms", "start-up", ".0f"), ("size_kb", "kB", "d"),
)  # fmt: skip
_NOTE = (
    "Times in ms. p50 … max: hops at their own pace, as in live use; burst: as fast as they go. RTF: p50 against the "
    "hop. streams: the largest batch, of 64 at most, whose median is within the hop. first, start-up: apart, before "
    "any that counts."
)


@dataclass(frozen=True)
class Request:
    """What was asked for. *peer_hop_ms* is the audio that a call of a file without our contract stands for.

    *shapes* are those of its inputs, where it leaves them open: ``input=1x512``.
    """

    names: tuple[str, ...]
    seconds: float
    rounds: int
    batch: bool
    operators: bool
    sweep: bool
    peer_hop_ms: float | None = None
    shapes: tuple[str, ...] = ()


def _path(name: str) -> Path:
    path = find_model(name)
    if path is None:
        raise FullbandError("'none' is no model to measure", exit_status=2)
    return path


def keeps_contract(path: Path) -> bool:
    """Whether the file at *path* declares itself a model of ours; one that does and breaks the contract is refused."""
    with Session(path) as session:
        if session.metadata("fullband.contract") is None:
            return False
        read_contract(session)
        return True


def _runner(path: Path, request: Request, options: SessionOptions | None = None) -> bench.Runner:
    if keeps_contract(path):
        return bench.ModelRunner(path, options=options)
    return PeerRunner(path, request.peer_hop_ms, options, dict(map(_shape, request.shapes)))


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.partition("=")
    if not name or not all(size.isdigit() for size in sizes.split("x")):
        raise FullbandError(f"'{text}' is no shape: write --shape NAME=1x512", exit_status=2)
    return name, tuple(int(size) for size in sizes.split("x"))


def _row(runner: bench.Runner, path: Path, timed: bench.Timed) -> dict[str, Any]:
    contract = runner.contract if isinstance(runner, bench.ModelRunner) else None
    row: dict[str, Any] = {
        "model": path.name,
        "name": runner.name,
        "contract": contract is not None,
        "hop_ms": runner.hop_ms,
        "latency_ms": contract.latency_ms if contract else None,
        **timed.figures(runner.hop_ms),
        "start_up_ms": runner.start_up_ms,
        **bench.warm_up(runner.warm_up_ms),
        "size_kb": round(path.stat().st_size / 1024),
        "streams_per_core": None,
    }
    return rounded(row)


def _add_plots(document: Document, name: str, timed: bench.Timed, hop_ms: float | None) -> None:
    every_ms = hop_ms or bench.UNKNOWN_PACE_MS
    document.series[f"{name}: hop"] = Series(
        "ms", rounds_of(timed.rounds(every_ms)), yardstick=[round(value, 5) for value in timed.yardstick_ms]
    )
    document.distributions.append(Distribution("Time of a hop", name, buckets(timed.all_paced), hop_ms))
    worst = bench.worst_of_stretches(timed.all_paced, every_ms)
    times = [round((index + 0.5) * bench.STRETCH_SECONDS, 3) for index in range(len(worst))]
    document.timelines.append(Timeline("The slowest hop of each quarter of a second", name, "ms", times, worst, hop_ms))


def _add_batches(document: Document, row: dict[str, Any], found: list[bench.Batch]) -> None:
    row["streams_per_core"] = bench.streams_per_core(found)
    rows = [rounded({"name": row["name"], **asdict(batch)}) for batch in found]
    if document.tables and document.tables[-1].title == "Streams on one core":
        document.tables[-1].rows.extend(rows)
        return
    shown = columns(
        ("name", "model"), ("streams", "streams", "d"), ("p50_ms", "p50 ms", ".3f"), ("p99_ms", "p99 ms", ".3f"),
        ("per_stream_ms", "per stream ms", ".4f"), ("held", "held"),
    )  # fmt: skip
    note = "One batch of so many streams, as fast as it goes; held: the median is within the hop."
    document.tables.append(Table("Streams on one core", shown, rows, note))


def _add_operators(document: Document, name: str, runner: Callable[[SessionOptions], bench.Runner]) -> None:
    rows = [rounded(asdict(one), 2) for one in operators.profile(runner)]
    shown = columns(
        ("operator", "operator"), ("count", "nodes", "d"), ("us_per_hop", "µs a hop", ".1f"),
        ("share_percent", "share %", ".1f"),
    )  # fmt: skip
    note = "Sums of medians by ONNX Runtime's profile, which slows small operators most: the shares are what it tells."
    document.tables.append(Table(f"Operators of {name}", shown, rows, note))


def _add_sweep(document: Document, path: Path, request: Request, progress: Progress) -> None:
    with ExitStack() as stack:
        runners = sweep.runners(path)
        for runner in runners:
            stack.callback(runner.close)
        with bench.priority_of_live():
            timed = bench.measure(runners, request.seconds, request.rounds, progress)
        rows = []
        for runner, found in zip(runners, timed, strict=True):
            row = {"options": runner.name, **found.figures(runner.hop_ms), "start_up_ms": runner.start_up_ms}
            rows.append(rounded(row))
            document.series[f"{runner.contract.name}, {runner.name}: hop"] = Series(
                "ms", rounds_of(found.rounds(runner.contract.hop_ms)), yardstick=found.yardstick_ms
            )
    shown = columns(
        ("options", "options"), ("p50_ms", "p50 ms", ".3f"), ("p99_ms", "p99 ms", ".3f"), ("max_ms", "max ms", ".3f"),
        ("burst_p50_ms", "burst p50", ".3f"), ("cpu_percent", "CPU %", ".1f"), ("start_up_ms", "start-up ms", ".0f"),
    )  # fmt: skip
    note = "By turns, so that the machine's moods meet all alike. CPU: of one core, all threads of the process."
    document.tables.append(Table(f"Options of ONNX Runtime, {runners[0].contract.name}", shown, rows, note))


def measure(request: Request, progress: Progress) -> Document:
    """Measure what *request* asks for."""
    paths = [_path(name) for name in request.names]
    document = Document("model", {**asdict(request), "input": "noise at -20 dBFS", "cutoff_hz": 8_000.0})
    progress("warming up")
    _runner(paths[0], request).close()  # the library's own start is nobody's start-up time
    with ExitStack() as stack:
        runners = [_runner(path, request) for path in paths]
        for runner in runners:
            stack.callback(runner.close)
        with bench.priority_of_live() as granted:
            document.settings["real_time_priority"] = granted
            timed = bench.measure(runners, request.seconds, request.rounds, progress)
        rows = [_row(*one) for one in zip(runners, paths, timed, strict=True)]
        for runner, found in zip(runners, timed, strict=True):
            _add_plots(document, runner.name, found, runner.hop_ms)
    for row, path in zip(rows, paths, strict=True):
        if request.batch and row["contract"]:
            progress(f"{row['name']}, batches")
            with bench.priority_of_live():
                found_batches = bench.batches(path, min(request.seconds / 5.0, 1.0))
            _add_batches(document, row, found_batches)
    document.tables.insert(0, Table("", _COLUMNS, rows, _NOTE))
    for row, path in zip(rows, paths, strict=True):
        if request.operators:
            progress(f"{row['name']}, operators")
            _add_operators(document, row["name"], partial(_runner, path, request))
        if request.sweep and row["contract"]:
            _add_sweep(document, path, request, progress)
    document.figures = dict(rows[0]) if len(rows) == 1 else {}
    document.figures["models"] = rows
    document.verdicts = [_verdict(row) for row in rows]
    return document


def _verdict(row: dict[str, Any]) -> str:
    if row["hop_ms"] is None:
        return f"{row['name']}: {row['p50_ms']:.2f} ms a call (p99 {row['p99_ms']:.2f} ms)"
    load = 100.0 * row["p99_ms"] / row["hop_ms"]
    word = "holds" if row["p99_ms"] < row["hop_ms"] else "does not hold"
    streams = row["streams_per_core"]
    more = f"; {streams}{' or more' if streams == 64 else ''} streams on one core" if streams else ""
    return f"{row['name']} {word}: 99 of 100 hops take {load:.0f} % of their time or less{more}"
