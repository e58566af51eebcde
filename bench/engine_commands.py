"""``fullband bench engine``: from a plan to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from realtime.errors import FullbandError, nearest
from realtime.paths import find_model

from .engine import Cell, Plan, Setting, measure
from .loads import LOADS
from .paths import PATHS
from .report.document import Distribution, Document, Series, Table, Timeline, Waterfall, columns, rounded
from .report.samples import buckets_of, rounds_of

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


def check_names(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the first of *given* that is not *known*."""
    known = list(known)
    for name in given:
        if name not in known:
            near = ", ".join(nearest(name, known) or known)
            raise FullbandError(f"no {kind} named '{name}'; there are: {near}", exit_status=2)


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
    return Plan(tuple(settings), tuple(loads), tuple(paths), seconds, rounds, capture, playback, at_most_s)


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
    """A line for every setting by our own path, the one that people decide by, and one for the usual ways."""
    lines = []
    for setting in dict.fromkeys(cell.setting for cell in cells):
        for path in dict.fromkeys(cell.path for cell in cells):
            those = [cell for cell in cells if cell.setting == setting and cell.path == path]
            if those:
                lines.append(_verdict(those))
    holding = [cells_of for cells_of in _by_setting(cells, "native") if all(map(holds, cells_of))]
    if len({cell.setting for cell in cells}) > 1:
        least = min(holding, key=lambda one: one[0].delay_ms or 0.0, default=None)
        if least is not None:
            setting = least[0].setting
            what = f"{setting.name}, {setting.block_frames} frames, guard {setting.guard_ms:g} ms"
            lines.append(f"The least delay that holds here: {least[0].delay_ms:.1f} ms of the host's ({what}).")
    return lines


def _by_setting(cells: list[Cell], path: str) -> list[list[Cell]]:
    settings = dict.fromkeys(cell.setting for cell in cells)
    groups = [[cell for cell in cells if cell.setting == setting and cell.path == path] for setting in settings]
    return [group for group in groups if group]


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
    margins = [cell.least_margin_ms for cell in failed if cell.least_margin_ms is not None]
    enough = f"; a guard of {setting.guard_ms - min(margins):.1f} ms would have done" if margins else ""
    return f"{path} does not hold {what}: late or lost under {under}{enough}."


def make_report(plan: Plan, progress: Callable[[str], None]) -> Document:
    """Measure *plan*."""
    settings = asdict(plan)
    settings["settings"] = [{**one, "model": str(one["model"].name)} for one in settings["settings"]]
    document = Document("engine", settings)
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
