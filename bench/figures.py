"""The figures that README.md quotes, as Markdown from the report of ``fullband bench all``: nobody types them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realtime.errors import FullbandError

from .report.document import parts_of

#: What stands around them in a page that quotes them.
BEGIN, END = "<!-- fullband bench figures -->", "<!-- end of figures -->"

_LOADS = {
    "idle": "idle",
    "gil_loop": "pure-Python loop",
    "gil_call": "C calls that hold the GIL",
    "gc_storm": "garbage collection",
    "cpu_hog": "two busy processes a core",
    "console": "console drawn at 30 Hz",
}
_PATHS = {
    "native": "fullband",
    "python_callback": "a Python callback",
    "pyaudio": "PyAudio",
    "python_worker": "a Python worker",
}


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(heading), "|---" * len(heading) + "|", *map(line, rows)]


def _where(report: dict[str, Any]) -> str:
    machine, parts = report["machine"], parts_of(report)
    others = max(part["conditions"]["others_percent"] for part in parts)
    stolen = max(part["conditions"]["stolen_percent"] for part in parts)
    return (
        f"{machine['cores']} cores of {machine['processor']}; other programs had up to {others:.0f} % of them, "
        f"other virtual machines {stolen:.1f} %. Revision {report['revision']}, {report['created'][:10]}: "
        f"`{report['command']}`."
    )


def _models(part: dict[str, Any]) -> list[str]:
    rows = [
        (
            row["name"],
            f"{row['hop_ms']:.3g} ms",
            f"{row['latency_ms']:g} ms",
            f"{row['p50_ms']:.2f} / {row['p99_ms']:.2f} / {row['p999_ms']:.2f} ms",
            f"{row['burst_p50_ms']:.2f} ms",
            f"{row['streams_per_core']}{' or more' if row['streams_per_core'] == 64 else ''}",
        )
        for row in part["models"]
    ]
    return _table(
        ("model", "hop", "latency", "compute per hop, p50 / p99 / p99.9", "as fast as it goes", "streams on one core"),
        rows,
    )


def _late(row: dict[str, Any]) -> str:
    share = 100.0 * row["deadline_misses"] / max(row["hops"], 1)
    return f"{row['deadline_misses']} of {row['hops']}" if share < 1.0 else f"{share:.0f} %"


def _loads(part: dict[str, Any]) -> list[str]:
    setting = part["settings"]["settings"][0]
    rows = []
    for load, cells in part["loads"].items():
        floor = cells["native"]["stall_floor_misses"]
        rows.append((_LOADS.get(load, load), *(_late(cells[path]) for path in _PATHS), str(floor)))
    title = (
        f"Hops that came late or were lost, {setting['block_frames']} frames, guard {setting['guard_ms']:g} ms, "
        "under load in the same process; last the machine's own stalls:"
    )
    heading = ("load", *_PATHS.values(), "a thread that only sleeps")
    return [title, "", *_table(heading, rows)]


def _delay(part: dict[str, Any]) -> str:
    row = next(row for row in part["parts"] if row["state"] != "bypass" and row["part"] == "host")
    return (
        f"The host's delay through a simulated cable with the network, {part['block_frames']} frames: "
        f"{row['reported_ms']:.3f} ms reported, {row['measured_ms']:.3f} ms measured."
    )


def figures(report: dict[str, Any]) -> str:
    """Markdown of *report*, as :func:`bench.report.document.read` gives one of ``bench all``.

    Raises :class:`FullbandError` for a report of anything else.
    """
    parts = {part["kind"]: part for part in parts_of(report)}
    if report["kind"] != "all" or not {"model", "engine", "device"} <= set(parts):
        raise FullbandError(f"the README's figures come from a report of 'fullband bench all', not '{report['kind']}'")
    lines = [
        _where(report),
        "",
        *_models(parts["model"]),
        "",
        *_loads(parts["engine"]),
        "",
        _delay(parts["device"]),
    ]
    return "\n".join(lines)


def quoted(page: str) -> str:
    """What *page* has between :data:`BEGIN` and :data:`END`. Raises :class:`FullbandError` where it has neither."""
    rest = page.partition(BEGIN)[2]
    inside, ended, _ = rest.partition(END)
    if not ended:
        raise FullbandError(f"no place for figures: it has no '{BEGIN}' before a '{END}'")
    return inside.strip()


def quote(report: dict[str, Any], path: Path) -> None:
    """Put the figures of *report* into the page at *path*, in place of those that it had."""
    try:
        page = path.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        quoted(page)
        path.write_text(f"{before}{BEGIN}\n\n{figures(report)}\n\n{END}{after}", encoding="utf-8")
    except OSError as error:
        raise FullbandError(f"cannot write figures to {path}: {error.strerror}") from None
