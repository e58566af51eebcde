"""``fullband bench plugins``: from stages moved and plugins run to a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.paths import find_model
from realtime.plugins.registry import BUILT_IN

from ..report.document import Document, Table, columns, rounded
from . import moves
from .moves import Move, PluginRow

_MOVES = columns(
    ("stage", "stage"), ("name", "parameter"), ("clicks", "clicks", "d"), ("excess", "of the limit", ".2f"),
    ("rest_excess", "at rest", ".2f"), ("rest_faults", "no audio", "d"), ("verdict", ""),
)  # fmt: skip
_MOVES_NOTE = (
    "Moved from end to end and back while a voice is heard, those of LADSPA plugins also by a twentieth of the range. "
    "Of the limit: the largest jump between two samples above 6 kHz, where the voice has nothing, against what the "
    "stage puts there at rest at both ends and what a legal fade does; more than 1 is a click. At rest: the same with "
    f"nothing moving, begun at up to {moves.MOMENTS} other moments, until one is as loud: that is the plugin's own. "
    "No audio: so many blocks, with nothing moving, were NaN or far too loud; the voice goes past such a stage."
)
_PLUGINS = columns(
    ("plugin", "LADSPA plugin"), ("latency_samples", "latency", "d"), ("load_percent", "load %", ".2f"),
    ("moved", "moved", "d"), ("excess", "of the limit", ".2f"), ("outcome", ""),
)  # fmt: skip
_PLUGINS_NOTE = "Latency in samples; load of one core at 48 kHz, one channel; of the limit: the most of all its moves."


def _listed(stage: str, moves: list[Move]) -> list[dict[str, Any]]:
    return [
        rounded(
            {
                "stage": stage,
                "name": move.name,
                "clicks": move.clicks,
                "excess": move.excess,
                "rest_excess": move.rest_excess,
                "rest_faults": move.rest_faults,
                "verdict": move.verdict,
            }
        )
        for move in moves
    ]


def _outcome(row: PluginRow) -> str:
    if row.problem is not None:
        return row.problem
    found = {move.verdict for move in row.moves}
    return next((verdict for verdict in (moves.AS_MOVED, moves.AT_REST) if verdict in found), "runs")


def _plugin_row(row: PluginRow) -> dict[str, Any]:
    ran = row.problem is None
    return rounded(
        {
            "plugin": row.plugin,
            "latency_samples": row.latency_samples if ran else None,
            "load_percent": 100.0 * row.load if ran else None,
            "moved": len(row.moves) if row.moves else None,
            "excess": max((move.excess for move in row.moves), default=None),
            "outcome": _outcome(row),
        }
    )


def _sweep_built_in(only: str, document: Document, progress: Callable[[str], None]) -> None:
    listed: list[dict[str, Any]] = []
    for kind in (kind for kind in BUILT_IN if only in kind):
        progress(kind)
        stages = [{"plugin": "gain", "name": "first"}, {"plugin": kind}]
        listed += _listed(kind, moves.sweep_stage(stages, 1, find_model("default")))
    if listed:
        document.tables.append(Table("Stages that are built in", _MOVES, listed, _MOVES_NOTE))
        loud = [f"{row['stage']}.{row['name']}" for row in listed if row["clicks"]]
        document.verdicts.append(f"{len(listed)} parameters of built-in stages moved: {len(loud)} click.")
        if loud:
            document.problems.append(f"built-in stages click: {', '.join(loud)}")


def _try_ladspa(only: str, sweep: bool, document: Document, progress: Callable[[str], None]) -> None:
    names, rows = moves.catalogue()
    rows = [row for row in rows if only in row.plugin]
    rows += moves.try_all([name for name in names if only in name], sweep, progress)
    if not rows:
        return
    rows.sort(key=lambda row: row.plugin)
    document.tables.append(Table("LADSPA plugins", _PLUGINS, [_plugin_row(row) for row in rows], _PLUGINS_NOTE))
    heard = [move for row in rows for move in _listed(row.plugin, [one for one in row.moves if one.clicks])]
    if heard:
        document.tables.append(Table("LADSPA plugins that click", _MOVES, heard, _MOVES_NOTE))
    ran = [row for row in rows if row.problem is None]
    suited = [row for row in rows if not (row.problem or "").startswith(moves.NO_STAGE)]
    verdict = f"{len(ran)} of {len(suited)} LADSPA plugins that can be a stage run"
    if sweep:
        moved = sum(len(row.moves) for row in ran)
        at_rest = sum(_outcome(row) == moves.AT_REST for row in ran)
        loud = [f"{row.plugin} {move.name}" for row in ran for move in row.moves if move.verdict == moves.AS_MOVED]
        clicking = sum(_outcome(row) == moves.AS_MOVED for row in ran)
        verdict += f"; {moved} moves: {clicking} plugins click as they move, {at_rest} as loudly with nothing moving"
        if loud:
            document.problems.append(f"{clicking} LADSPA plugins click as they move: {', '.join(loud)}")
    document.verdicts.append(f"{verdict}.")


def plugins_run(only: str, sweep: bool, progress: Callable[[str], None]) -> Document:
    """Sweep the stages that are built in; run, and with *sweep* sweep, every LADSPA plugin with *only* in its name.

    What clicks as it is moved is a problem of the report.
    """
    document = Document("plugins", {"only": only, "sweep": sweep})
    _sweep_built_in(only, document, progress)
    _try_ladspa(only, sweep, document, progress)
    return document
