"""``fullband bench bandwidth`` and ``noise``: run, shown and saved."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.table import Table

from realtime.errors import FullbandError
from realtime.paths import find_model
from realtime.report import Report

from . import bandwidth, bandwidth_noise, noise
from .machine import machine


def _table(*headings: str) -> Table:
    return Table(*headings, box=box.SIMPLE, padding=(0, 1, 0, 0))


def _number(value: float | None, digits: int = 2, scale: float = 1.0) -> str:
    return "–" if value is None else f"{scale * value:.{digits}f}"


def _paths_table(rows: list[bandwidth.Row]) -> Table:
    table = _table("case", "edge Hz", "right %", "p90 off %", "median s", "p90 s", "never", "wrong first", "flips/min")
    for row in rows:
        table.add_row(
            row.case,
            _number(row.edge_hz, 0),
            _number(row.right, 1, 100.0),
            _number(row.p90_error, 1, 100.0),
            _number(row.median_s),
            _number(row.p90_s),
            str(row.never),
            str(row.wrong_first),
            _number(row.flips_per_minute),
        )
    return table


def _noise_table(rows: list[bandwidth_noise.NoiseRow]) -> Table:
    table = _table("noise", "by", "dBFS", "minutes", "false flips")
    for row in rows:
        by = "the device" if row.own else "the voice's path"
        table.add_row(row.noise, by, f"{row.level_dbfs:g}", f"{row.minutes:.1f}", str(row.flips))
    return table


def bandwidth_run(report: Report, data: Path, only: list[str], streams: int) -> None:
    """Measure the detector. *only* leaves the noises out unless it names them."""
    with report.console.status("") as status:
        rows = bandwidth.run(data, only, streams, status.update)
        noises = bandwidth_noise.run(data, status.update) if not only or "noise" in only else []
    if not rows and not noises:
        raise FullbandError(f"no case has '{only[0]}' in its name", exit_status=2)
    if report.json_target != "-":
        if rows:
            report.console.print(_paths_table(rows))
            report.say(
                "seconds are those of speech; right: after a second of it, the crossover is within 6 % of the edge, "
                "where the path is 6 dB down"
            )
        if noises:
            report.console.print(_noise_table(noises))
    report.finish(
        {"machine": machine(), "rows": [asdict(row) for row in rows], "noises": [asdict(row) for row in noises]}
    )


def noise_run(report: Report, data: Path, most: int, model_name: str) -> None:
    """Measure what noise becomes, and what voices lose."""
    model = find_model(model_name)
    if model is None:
        raise FullbandError("without a model nothing is added to noise", exit_status=2)
    with report.console.status("") as status:
        gains = noise.run(model, status.update)
        voices = noise.run_voices(model, data, most, status.update)
    if report.json_target != "-":
        table = _table("noise", "dBFS", "cutoff Hz", "ends there", "step dB, first 2 s", "later", "gain dB", "later")
        for gain in gains:
            table.add_row(
                gain.colour,
                f"{gain.level_dbfs:g}",
                f"{gain.cutoff_hz:g}",
                "no" if gain.full_band else "yes",
                _number(gain.first_step_db, 1),
                _number(gain.later_step_db, 1),
                _number(gain.first_gain_db, 1),
                _number(gain.later_gain_db, 1),
            )
        report.console.print(table)
        table = _table("voices", "cutoff Hz", "recordings", "LSD with the guard", "without", "changed within the voice")
        for cost in voices:
            over = "clean" if cost.snr_db is None else f"{cost.snr_db:g} dB over noise"
            lsd = (_number(cost.lsd_guarded, 4), _number(cost.lsd_free, 4))
            table.add_row(over, f"{cost.cutoff_hz:g}", str(cost.recordings), *lsd, str(cost.changed))
        report.console.print(table)
    report.finish(
        {"machine": machine(), "gains": [asdict(row) for row in gains], "voices": [asdict(row) for row in voices]}
    )
