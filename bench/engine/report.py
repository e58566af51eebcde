"""``fullband bench engine``: from a plan to a report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from realtime.awake import Awake
from realtime.errors import FullbandError
from realtime.paths import find_model

from ..machine.loads import LOADS
from ..names import check_names
from ..report.document import Distribution, Document, Series, Table, Timeline, Waterfall, columns, rounded
from ..report.samples import buckets_of, rounds_of
from .paths import PATHS
from .run import Cell, Plan, Setting, measure

#: Misses beyond the machine's own, per hop, with which a setting is still said to hold.
ALLOWED = 1e-3

_COLUMNS = columns(
    ("model", "model"), ("block_frames", "block", "d"), ("guard_ms", "guard", "g"), ("load", "load"), ("path", "path"),
    ("served_percent", "served %", ".1f"), ("hops", "hops", "d"), ("deadline_misses", "misses", "d"),
    ("stall_floor_misses", "floor", "d"), ("longest_miss_run", "run", "d"), ("xruns", "xruns", "d"),
    ("lost_seconds", "lost s", ".2f"), ("dull_seconds", "dull s", ".2f"), ("response_p50_ms", "p50 ms", ".2f"),
    ("response_p99_ms", "p99 ms", ".2f"), ("stall_max_ms", "stall ms", ".1f"),
)  # fmt: skip
_NOTE = (
    "misses: hops that were late, or lost with blocks that the device could not take, of so many hops; floor: those "
    "for which a native thread that only sleeps was woken too late in the same seconds, which the machine does to "
    "anybody; "
    "run: the longest run of misses; xruns: times the device's buffer of two blocks ran dry; lost: for how long in "
    "all; dull: played without the high band; p50, p99: from the last sample of a hop to the hop done; stall: the "
    "longest of the machine's own."
)


def make_plan(
    models: list[str],
    blocks: list[int],
    guards_ms: list[float],
    loads: list[str],
    paths: list[str],
    seconds: float,
    rounds: int,
    capture: str | None = None,
    playback: str | None = None,
    at_most_s: float | None = None,
    keep_awake: bool = False,
) -> Plan:
    """Every combination of what is given. Raises :class:`FullbandError` for names that are none."""
    check_names("load", loads, LOADS)
    check_names("path", paths, PATHS)
    settings = []
    for name in models:
        model = find_model(name)
        if model is None:
            raise FullbandError("'none' has no hops that could be late: name a model", exit_status=2)
        settings += [Setting(model.stem, model, block, guard_ms) for block in blocks for guard_ms in guards_ms]
    return Plan(tuple(settings), tuple(loads), tuple(paths), seconds, rounds, capture, playback, at_most_s, keep_awake)


def row_of(cell: Cell) -> dict[str, Any]:
    """All figures of a cell."""
    response, floor = cell.response, cell.floor
    return rounded(
        {
            "model": cell.setting.name,
            "hop_ms": cell.contract.hop_ms,
            "block_frames": cell.setting.block_frames,
            "guard_ms": cell.setting.guard_ms,
            "load": cell.load,
            "path": cell.path,
            "clock": cell.clock,
            "seconds": cell.seconds,
            "hops": cell.hops,
            "deadline_misses": cell.deadline_misses,
            "stall_floor_misses": cell.stall_floor_misses,
            "stall_floor_stalls": sum(len(run.floor.stalls) for run in cell.runs),
            "longest_miss_run": cell.longest_miss_run,
            "xruns": cell.xruns,
            "served_percent": cell.served_percent,
            "lost_seconds": cell.lost_seconds,
            "dull_seconds": cell.dull_seconds,
            "least_margin_ms": cell.least_margin_ms,
            "response_p50_ms": response.percentile_ms(50),
            "response_p90_ms": response.percentile_ms(90),
            "response_p99_ms": response.percentile_ms(99),
            "response_p999_ms": response.percentile_ms(99.9),
            "response_max_ms": response.percentile_ms(100),
            "stall_p99_ms": floor.percentile_ms(99),
            "stall_max_ms": floor.percentile_ms(100),
        }
    )


def _label(cell: Cell, *, among: list[Cell]) -> str:
    """A name that tells *cell* from the others."""
    parts = [cell.path, cell.load]
    for of in (lambda c: f"{c.setting.block_frames} frames", lambda c: f"guard {c.setting.guard_ms:g}"):
        if len({of(one) for one in among}) > 1:
            parts.append(of(cell))
    if len({one.setting.name for one in among}) > 1:
        parts.append(cell.setting.name)
    return ", ".join(parts)


def _add_samples(document: Document, cell: Cell, label: str) -> None:
    medians = [[look.median_ms for look in run.looks] for run in cell.runs]
    lengths = [run.yardstick_ms for run in cell.runs if run.yardstick_ms is not None]
    yardstick = lengths if len(lengths) == len(cell.runs) else None
    document.series[f"{label}: response"] = Series("ms", rounds_of(medians), yardstick=yardstick)
    lost = [run.served.lost_seconds * 1000.0 / cell.contract.hop_ms / run.seconds for run in cell.runs]
    misses = [
        [look.late / max(look.seconds, 1e-3) + share for look in run.looks]
        for run, share in zip(cell.runs, lost, strict=True)
    ]
    document.series[f"{label}: misses"] = Series("misses per second", rounds_of(misses), is_count=True)


def _add_plots(document: Document, cells: list[Cell]) -> None:
    """Those of the first setting; a matrix would bury its page in them."""
    first = [cell for cell in cells if cell.setting == cells[0].setting]
    slack_ms = round(1000.0 * cells[0].setting.block_frames / 48_000 + cells[0].setting.guard_ms, 2)
    for cell in first:
        plot = f"Response under {cell.load}"
        document.distributions.append(Distribution(plot, cell.path, buckets_of(cell.response), slack_ms))
    for cell in first:
        if cell.path == cells[0].path:
            plot = f"Response under {cell.load}"
            document.distributions.append(Distribution(plot, "asleep only", buckets_of(cell.floor), slack_ms))
    for cell in first:
        times, worst, stalls, began_s = [], [], [], 0.0
        for run in cell.runs:
            times += [round(began_s + look.at_s, 3) for look in run.looks]
            worst += [round(look.worst_ms, 4) for look in run.looks]
            stalls += [[round(began_s + when, 3), late] for when, late in run.floor.stalls]
            began_s += run.seconds
        plot = f"Slowest response over time, {cell.load}"
        document.timelines.append(Timeline(plot, cell.path, "ms", times, worst, slack_ms, stalls))
    budget = next((cell.budget for cell in first if cell.path == "native"), None)
    if budget is not None:
        names = ("capture_resampler_ms", "network_ms", "block_ms", "guard_ms", "playback_resampler_ms")
        parts = [(name.removesuffix("_ms").replace("_", " "), budget[name] or 0.0) for name in names]
        document.waterfalls.append(Waterfall("Where the delay comes from", parts))


def verdicts(cells: list[Cell]) -> list[str]:
    """What people decide by: for one setting a line for every path; for several what holds with how much guard."""
    settings = list(dict.fromkeys(cell.setting for cell in cells))
    paths = list(dict.fromkeys(cell.path for cell in cells))
    if len(settings) == 1:
        return [_verdict([cell for cell in cells if cell.path == path]) for path in paths]
    models = list(dict.fromkeys(setting.name for setting in settings))
    lines = [_summary(cells, model, path) for model in models for path in paths]
    groups = [[cell for cell in cells if cell.setting == one and cell.path == "native"] for one in settings]
    holding = [group for group in groups if group and all(map(holds, group))]
    if holding:
        least = min(holding, key=lambda group: group[0].delay_ms or 0.0)[0]
        what = f"{least.setting.name}, {least.setting.block_frames} frames, guard {least.setting.guard_ms:g} ms"
        lines.append(f"The least delay that holds here: {least.delay_ms:.1f} ms of the host's ({what}).")
    return lines


def _summary(cells: list[Cell], model: str, path: str) -> str:
    """For each size of block the guard from which on all that were tried hold."""
    those = [cell for cell in cells if cell.setting.name == model and cell.path == path]
    held, failed = [], []
    for block in sorted({cell.setting.block_frames for cell in those}):
        from_ms = None
        for guard_ms in sorted({cell.setting.guard_ms for cell in those}, reverse=True):
            tried = [cell for cell in those if (cell.setting.block_frames, cell.setting.guard_ms) == (block, guard_ms)]
            if not all(map(holds, tried)):
                break
            from_ms = guard_ms
        if from_ms is None:
            failed.append(str(block))
        else:
            held.append(f"{block} frames at {from_ms:g} ms guard")
    line = f"{path} with {model} holds {', '.join(held) or 'nothing that was tried'}"
    return f"{line}; not: {', '.join(failed)} frames." if failed else f"{line}."


def holds(cell: Cell) -> bool:
    """Whether hops were late no more often than the machine itself makes anybody, give or take one, or 1 in 1000."""
    return cell.deadline_misses <= cell.stall_floor_misses + max(ALLOWED * cell.hops, 1.0)


def _verdict(cells: list[Cell]) -> str:
    setting, path = cells[0].setting, cells[0].path
    what = f"{setting.block_frames} frames at {setting.guard_ms:g} ms guard"
    hops, floor = sum(cell.hops for cell in cells), sum(cell.stall_floor_misses for cell in cells)
    misses = sum(cell.deadline_misses for cell in cells)
    failed = [cell for cell in cells if not holds(cell)]
    if not failed:
        return f"{path} holds {what}: {misses} of {hops} hops late or lost, by the machine alone {floor}."
    under = ", ".join(f"{cell.load} {100.0 * cell.deadline_misses / max(cell.hops, 1):.1f} %" for cell in failed)
    lacking_ms = -min((cell.least_margin_ms for cell in failed if cell.least_margin_ms is not None), default=0.0)
    # Blocks that the device lost are saved by no guard.
    enough = f"; a guard of {setting.guard_ms + lacking_ms:.1f} ms would have done" if lacking_ms > 0.0 else ""
    return f"{path} does not hold {what}: late or lost under {under}{enough}."


def make_report(plan: Plan, progress: Callable[[str], None]) -> Document:
    """Measure *plan*."""
    settings = asdict(plan)
    settings["settings"] = [{**one, "model": str(one["model"].name)} for one in settings["settings"]]
    document = Document("engine", settings)
    with Awake() if plan.keep_awake else nullcontext() as awake:
        if awake is not None and awake.refusal is not None:
            raise FullbandError(awake.refusal)
        cells = measure(plan, progress)
    document.settings["clock"] = cells[0].clock
    rows = [row_of(cell) for cell in cells]
    varied = ("model", "block_frames", "guard_ms")
    fixed = {key for key in varied if len({row[key] for row in rows}) == 1}
    shown = tuple(column for column in _COLUMNS if column.key not in fixed)
    first = cells[0].setting
    title = f"{first.name}, {first.block_frames} frames, guard {first.guard_ms:g} ms" if len(fixed) == 3 else ""
    document.tables.append(Table(f"{title}; on: {cells[0].clock}".removeprefix("; "), shown, rows, _NOTE))
    loads: dict[str, dict[str, Any]] = {}
    for cell, row in zip(cells, rows, strict=True):
        if cell.setting == first:
            loads.setdefault(cell.load, {})[cell.path] = row
        _add_samples(document, cell, _label(cell, among=cells))
    document.figures = {"loads": loads}
    _add_plots(document, cells)
    document.verdicts = verdicts(cells)
    return document
