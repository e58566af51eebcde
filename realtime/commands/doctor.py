"""``fullband doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ..doctor import examine, verdict
from ..errors import FullbandError
from ..report import Report

_MARKS = {"ok": "[green]ok[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}


def doctor(
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write findings as JSON; '-': standard output.")
    ] = None,
) -> None:
    """Tell what this machine can hold, and what would make it hold more."""
    report = Report(json_target)
    with report.console.status("trying …"):
        checks = examine()
    table = Table(show_header=False, box=None, padding=(0, 1))
    for check in checks:
        table.add_row(_MARKS[check.state], check.name, check.value)
        if check.remedy:
            table.add_row("", "", f"[dim]→ {check.remedy}[/dim]")
    if json_target != "-":
        report.console.print(table)
        report.say(verdict(checks))
    report.finish({"checks": [asdict(check) for check in checks], "verdict": verdict(checks)})
    if any(check.state == "fail" for check in checks):
        raise FullbandError("this machine cannot run fullband as it is")
