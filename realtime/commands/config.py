"""``fullband config``: which presets there are, what is wrong with one, and what one makes the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FullbandError
from ..paths import CONFIGS, user_presets
from ..report import Report
from ..settings.check import Kind, check_file, kind_named, kind_of
from ..settings.file import SettingsFile, validated
from ..settings.live import LiveFile, find_live_preset, load_live_settings

config = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Presets and settings: what there is, what is wrong, what holds."
)

_Json = Annotated[str | None, typer.Option("--json", help="Write it as JSON; '-': standard output.")]
_KindName = Annotated[
    str | None,
    typer.Option("--kind", help="What it is: live, sip, rtp, web, train, data, study, study-preset; by itself found."),
]


def _presets() -> Iterator[tuple[str, Path]]:
    """This user's own before those that ship."""
    for owner, folder in (("yours", user_presets()), ("shipped", CONFIGS / "live")):
        for path in sorted(folder.glob("*.toml")):
            yield owner, path


def _purpose(path: Path) -> str:
    """The comment that a file begins with, as far as the end of its first sentence."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    words: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# ").strip())
    first, stop, _ = " ".join(words).partition(". ")
    return first + stop.strip()


@config.command("list")
def list_presets(json_target: _Json = None) -> None:
    """The presets of 'live --config': yours, which 'ctl save' writes, and those that ship."""
    report = Report(json_target)
    rows = [
        {"name": path.stem, "from": owner, "file": str(path), "purpose": _purpose(path)} for owner, path in _presets()
    ]
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        if json_target != "-":
            own = "" if row["from"] == "shipped" else f" ({row['file']})"
            report.console.print(f"{row['name']:{width}}  {row['purpose']}{own}", markup=False, soft_wrap=True)
    report.finish(rows)


@config.command()
def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|PRESET", help="None: all presets of 'config list'.")
    ] = None,
    kind_name: _KindName = None,
    json_target: _Json = None,
) -> None:
    """Tell all that is wrong with settings, each on a line of its own: FILE:LINE: and what to do.

    For files of 'live', 'voip sip', 'voip rtp', 'voip web', 'train', 'gather' and 'study', and the chains and files
    they include.
    """
    report = Report(json_target)
    kind = kind_named(kind_name) if kind_name is not None else None
    paths = [find_live_preset(name) for name in files] if files else [path for _, path in _presets()]
    results: list[dict[str, Any]] = []
    wrong = 0
    for path in paths:
        found, problems = check_file(path, kind)
        wrong += bool(problems)
        results.append(
            {
                "file": str(path),
                "kind": found.name if found is not None else None,
                "problems": [problem.as_dict() for problem in problems],
            }
        )
        if json_target == "-":
            continue
        for problem in problems:
            typer.echo(str(problem))
        if not problems and found is not None:
            typer.echo(f"{path}: settings of 'fullband {found.command}', nothing wrong")
    report.finish(results)
    if wrong:
        count = sum(len(result["problems"]) for result in results)
        raise FullbandError(f"{count} to be put right in {wrong} of {len(paths)} file{'s' * (len(paths) > 1)}")


@config.command()
def show(
    preset: Annotated[str | None, typer.Argument(metavar="FILE|PRESET", help="None: the defaults.")] = None,
    kind_name: _KindName = None,
    json_target: _Json = None,
) -> None:
    """The settings that hold with a preset, as TOML; a comment tells where each value comes from."""
    from ..settings.view import as_dict, as_toml, live_tree, settings_tree

    report = Report(json_target)
    path = find_live_preset(preset) if preset is not None else None
    file = SettingsFile(path) if path is not None else None
    kind: Kind = kind_named(kind_name) if kind_name else kind_of(file) if file is not None else kind_named("live")
    if kind.name == "live":
        live_file = LiveFile(path) if path is not None else None
        tree = live_tree(load_live_settings(preset, {}), live_file)
    elif file is not None:
        tree = settings_tree(validated(kind.settings, file.values, file, refused=kind.refused_keys), file)
    else:
        tree = settings_tree(kind.settings(), None)
    heading = f"Settings of 'fullband {kind.command}'" + (f" with {path}" if path is not None else "")
    if json_target != "-":
        typer.echo(as_toml(tree, heading), nl=False)
    report.finish({"kind": kind.name, "file": str(path) if path is not None else None, **as_dict(tree)})
