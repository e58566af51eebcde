"""``fullband service``: have ``fullband live`` run at every login."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FullbandError
from ..report import Report

service = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Have 'fullband live' run at every login of yours."
)

_Json = Annotated[str | None, typer.Option("--json", help="Write it as JSON; '-': standard output.")]


class HowName(StrEnum):
    """Who starts it."""

    systemd = "systemd"
    autostart = "autostart"


def _checked(preset: str) -> str:
    """*preset* for a command that is run elsewhere. Raises :class:`FullbandError` for one that live would not take."""
    from ..settings.check import KINDS, check_file
    from ..settings.file import SettingsError
    from ..settings.live import find_live_preset

    path = find_live_preset(preset)
    _, problems = check_file(path, KINDS["live"])
    if problems:
        raise SettingsError(problems)
    return str(Path(preset).expanduser().resolve()) if preset.endswith(".toml") else preset


@service.command()
def install(
    preset: Annotated[
        str | None, typer.Option("--config", help="A preset by name, or a TOML file; it is read at every start.")
    ] = None,
    how: Annotated[
        HowName | None, typer.Option("--with", help="Who starts it; by itself systemd where you have it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be written and done.")] = False,
    json_target: _Json = None,
) -> None:
    """Write a user unit of systemd, or an autostart entry of the desktop, and start it. Twice is as good as once."""
    from .. import service as services

    report = Report(json_target)
    chosen: Any = str(how) if how is not None else "systemd" if services.has_systemd() else "autostart"
    wanted = services.plan(chosen, _checked(preset) if preset is not None else None)
    told: dict[str, Any] = {"with": wanted.how, "file": str(wanted.path), "text": wanted.text}
    if dry_run:
        if json_target != "-":
            typer.echo(f"would write {wanted.path}:\n\n{wanted.text}")
            for command in wanted.commands:
                typer.echo(f"would run systemctl --user {' '.join(command)}")
        report.finish({**told, "done": []})
        return
    done = services.install(wanted)
    if json_target != "-":
        if done:
            typer.echo(f"{wanted.path}:\n\n{wanted.text}")
        typer.echo("\n".join(done) or "it is installed, and runs: nothing was to be done")
        if wanted.how == "autostart":
            typer.echo("it starts with the next login; nobody starts it again should it end")
        typer.echo(f"'fullband service status' tells how it is, 'fullband ctl --to {services.HOST}' what to do")
    report.finish({**told, "done": done})


@service.command()
def remove(json_target: _Json = None) -> None:
    """End it, and take away what 'install' has written."""
    from .. import service as services

    report = Report(json_target)
    done = services.remove()
    if json_target != "-":
        typer.echo("\n".join(done) or "nothing is installed")
    report.finish({"done": done})


@service.command()
def status(
    last: Annotated[int, typer.Option("--lines", min=0, max=1000, help="So many of the last it has said.")] = 10,
    json_target: _Json = None,
) -> None:
    """Whether it is enabled and runs, and what it said last. Exit status 1 where it does not run."""
    from .. import service as services

    report = Report(json_target)
    found = services.status(last)
    if json_target != "-":
        if found.path is not None:
            typer.echo(f"file     {found.path}")
            typer.echo(f"enabled  {'yes' if found.enabled else 'no'}")
        typer.echo(f"state    {found.state}" + (f", process {found.pid}" if found.pid is not None else ""))
        for line in found.lines:
            typer.echo(f"  {line}")
    report.finish(
        {
            "with": found.how,
            "file": str(found.path) if found.path is not None else None,
            "enabled": found.enabled,
            "running": found.running,
            "state": found.state,
            "pid": found.pid,
            "lines": list(found.lines),
        }
    )
    if not found.running:
        raise FullbandError("the service does not run" if found.how is not None else "no service is installed")
