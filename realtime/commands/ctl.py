"""``fullband ctl``: tell a running host what to do, and ask it how it is.

Imports nothing of the host, so that it is there at once.
"""

from __future__ import annotations

import difflib
import json
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..control.client import Client, connect
from ..errors import FullbandError

ctl = typer.Typer(add_completion=False, no_args_is_help=True, help="Control a running host.")

#: So that -3 is a level and not an option.
_NEGATIVE = {"ignore_unknown_options": True}

_To = Annotated[
    str | None, typer.Option("--to", metavar="NAME|PID", help="Which host, where several run ('live --name').")
]
_Json = Annotated[str | None, typer.Option("--json", help="Write it as JSON; '-': standard output.")]


class Switch(StrEnum):
    """What can be done to a switch."""

    on = "on"
    off = "off"
    toggle = "toggle"


@ctl.callback()
def _root(context: typer.Context, to: _To = None) -> None:
    context.obj = to


def _host(context: typer.Context, to: str | None) -> Client:
    return connect(to or context.obj)


def _tell(context: typer.Context, to: str | None, command: str, **values: Any) -> dict[str, Any]:
    with _host(context, to) as host:
        return host.ask(command, **values)


def _is_on(state: bool) -> str:
    return "on" if state else "off"


@ctl.command()
def bypass(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(metavar="[STAGE]", help="A stage of the chain; none: all of it.")],
    state: Annotated[str | None, typer.Argument(metavar="on|off|toggle")] = None,
    to: _To = None,
) -> None:
    """Only pass the voice through, or go past one stage of the chain, or not. No click, equal delay."""
    if state is None and stage in list(Switch):
        typer.echo(f"bypass {_is_on(_tell(context, to, 'bypass', state=stage)['bypass'])}")
        return
    if state is None and difflib.get_close_matches(stage, list(Switch), cutoff=0.75):
        raise FullbandError(f"'{stage}' is none of on, off, toggle; for a stage of that name, say which", exit_status=2)
    if state is not None and state not in list(Switch):
        raise FullbandError(f"'{state}' is none of on, off, toggle", exit_status=2)
    told = _tell(context, to, "bypass", stage=stage, state=state or "toggle")
    typer.echo(f"bypass of {told['stage']} {_is_on(told['bypass'])}")


def _value(text: str) -> float | bool:
    if text.lower() in ("on", "true", "yes"):
        return True
    if text.lower() in ("off", "false", "no"):
        return False
    try:
        return float(text)
    except ValueError:
        raise FullbandError(f"'{text}' is no value: give a number, on or off", exit_status=2) from None


@ctl.command("set", context_settings=_NEGATIVE)
def set_parameter(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="STAGE.PARAMETER")],
    value: Annotated[str, typer.Argument(metavar="VALUE")],
    to: _To = None,
) -> None:
    """Give a parameter of a stage another value. No click."""
    stage, dot, parameter = what.partition(".")
    if not dot:
        raise FullbandError(f"'{what}' is no parameter: write STAGE.PARAMETER, see 'ctl chain'", exit_status=2)
    told = _tell(context, to, "set", stage=stage, parameter=parameter, value=_value(value))
    typer.echo(f"{stage}.{parameter} {told['value']:g}")


def _stage_lines(stage: dict[str, Any]) -> list[str]:
    notes = [word for word, holds in (("BYPASS", stage["bypass"]), ("FAILING", stage["failing"])) if holds]
    cost = f"{stage['mean_us']:.1f} µs, p99 {stage['p99_us']:.1f} µs, {100 * stage['load']:.2f} %"
    lines = [f"{stage['name']} ({stage['plugin']}): {stage['latency_ms']:.2f} ms, {cost} {' '.join(notes)}".rstrip()]
    width = max((len(parameter["name"]) for parameter in stage["parameters"]), default=0)
    lines += [f"  {p['name']:{width}}  {p['value']:g} {p['unit']}".rstrip() for p in stage["parameters"]]
    lines += [f"  ({name} {value:g})" for name, value in stage["meters"].items()]
    return lines


@ctl.command()
def chain(context: typer.Context, to: _To = None, json_target: _Json = None) -> None:
    """The stages of the chain: what each is set to, its latency, and the time that it takes."""
    told = _tell(context, to, "chain")
    if json_target is not None:
        _write(json_target, told)
    elif not told["stages"]:
        typer.echo("there is no chain: the model is run by itself")
    else:
        typer.echo("\n".join(line for stage in told["stages"] for line in _stage_lines(stage)))


@ctl.command()
def mute(context: typer.Context, state: Switch, to: _To = None) -> None:
    """Play silence, or the voice again."""
    typer.echo(f"mute {_is_on(_tell(context, to, 'mute', state=state)['muted'])}")


@ctl.command(context_settings=_NEGATIVE)
def gain(context: typer.Context, db: Annotated[float, typer.Argument(metavar="DB")], to: _To = None) -> None:
    """Make all that is heard louder or softer, in dB."""
    typer.echo(f"gain {_tell(context, to, 'gain', db=db)['gain_db']:+g} dB")


@ctl.command(context_settings=_NEGATIVE)
def level(context: typer.Context, db: Annotated[float, typer.Argument(metavar="DB")], to: _To = None) -> None:
    """Make the high band alone louder or softer, in dB."""
    typer.echo(f"high band {_tell(context, to, 'level', db=db)['high_level_db']:+g} dB")


@ctl.command(context_settings=_NEGATIVE)
def tilt(context: typer.Context, db: Annotated[float, typer.Argument(metavar="DB")], to: _To = None) -> None:
    """Tilt the high band, in dB for every octave above the cutoff."""
    typer.echo(f"high band tilted by {_tell(context, to, 'tilt', db=db)['high_tilt_db']:+g} dB an octave")


@ctl.command()
def model(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME|PATH|none|next")], to: _To = None
) -> None:
    """Have another model take over. No click."""
    path = Path(name)
    # The host may have been started in another folder.
    done = _tell(context, to, "model", name=str(path.resolve()) if path.suffix == ".onnx" else name)
    typer.echo(f"model {done['model']}, latency {done['latency_ms']:.1f} ms")


@ctl.command()
def guard(context: typer.Context, ms: Annotated[float, typer.Argument(metavar="MS")], to: _To = None) -> None:
    """Hold so much delay against late hops, in ms; where it adapts, at least so much."""
    done = _tell(context, to, "guard", ms=ms)
    typer.echo(f"guard {done['guard_ms']:g} ms, latency {done['latency_ms']:.1f} ms")


@ctl.command()
def reload(context: typer.Context, to: _To = None) -> None:
    """Have the configuration read again."""
    kept = _tell(context, to, "reload")["kept"]
    typer.echo("configuration read again" + (f"; until the next start stay: {', '.join(kept)}" if kept else ""))


@ctl.command()
def save(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE", help="A name for 'live --config', or a path ending in .toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite one that exists.")] = False,
    to: _To = None,
) -> None:
    """Keep what the host is set to now, for 'live --config'. Without a name it is 'saved', written anew each time."""
    asked: dict[str, Any] = {"force": force}
    if target is not None:
        # The host may have been started in another folder.
        asked["target"] = str(Path(target).expanduser().resolve()) if target.endswith(".toml") else target
    typer.echo(f"saved to {_tell(context, to, 'save', **asked)['path']}")


@ctl.command()
def load(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="As 'live --config' has it.")],
    to: _To = None,
) -> None:
    """Have a preset while the host runs. Devices that it does not name stay."""
    chosen = str(Path(source).expanduser().resolve()) if source.endswith(".toml") else source
    kept = _tell(context, to, "load", source=chosen)["kept"]
    typer.echo(f"loaded {source}" + (f"; until the next start stay: {', '.join(kept)}" if kept else ""))


@ctl.command()
def stop(context: typer.Context, to: _To = None) -> None:
    """End the host, as Ctrl-C does; returns when it has ended."""
    with _host(context, to) as host:
        host.ask("stop")
        host.wait_for_end()
        typer.echo(f"{host.host} has ended")


@ctl.command()
def status(context: typer.Context, to: _To = None, json_target: _Json = None) -> None:
    """What runs, and how it is set."""
    told = _tell(context, to, "status")
    if json_target is not None:
        _write(json_target, told)
        return
    counted = told["statistics"]
    rows = {
        "host": f"{told['name']} (pid {told['pid']}), {counted['seconds']:.0f} s",
        "devices": told["devices"],
        "model": told["model"] or "none",
        "bypass / mute": f"{_is_on(told['bypass'])} / {_is_on(told['muted'])}",
        "gain": f"{told['gain_db']:+g} dB",
        "latency": f"{counted['latency_ms']:.1f} ms, guard {told['guard_ms']:.1f} ms of it",
        "cutoff": f"{told['cutoff_hz']:.0f} Hz",
        "drift": f"{told['drift_ppm']:+.1f} ppm",
    }
    _print(rows)


@ctl.command()
def stats(
    context: typer.Context,
    to: _To = None,
    json_target: _Json = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.01, help="Seconds between two, with --watch.")] = 1.0,
) -> None:
    """All counters; with --json the histograms, too, and with --watch one object a line."""
    histograms = json_target is not None
    with _host(context, to) as host:
        if not watch:
            told = host.ask("stats", histograms=histograms)
            if json_target is not None:
                _write(json_target, told)
            else:
                _print(_counted(told))
            return
        show = _line_writer(json_target) if json_target is not None else _redraw
        while True:
            show(host.ask("stats", histograms=histograms))
            time.sleep(every_s)


def _counted(told: dict[str, Any]) -> dict[str, str]:
    return {
        "time": f"{told['seconds']:.1f} s",
        "hop p50 / p99 / max": f"{told['hop_p50_ms']:.2f} / {told['hop_p99_ms']:.2f} / {told['hop_max_ms']:.2f} ms",
        "load": f"{100 * told['load']:.1f} %",
        "hops": f"{told['hops']}",
        "deadline misses": f"{told['deadline_misses']}, at most {told['longest_miss_run']} in a row",
        "dull": f"{told['dull_seconds']:.2f} s, {told['dropouts']} times",
        "xruns": f"{told['xruns'] + told['device_xruns']}",
        "underruns / resyncs": f"{told['underruns']} / {told['resyncs']}",
        "bad chunks / skipped": f"{told['bad_chunks']} / {told['skipped_hops']}",
        "device losses": f"{told['device_losses']}",
        "step-downs": f"{told['step_downs']}",
        "feedback": f"{told['feedback_ducks']} times",
        "latency / guard": f"{told['latency_ms']:.1f} / {told['guard_ms']:.1f} ms",
        "cutoff": f"{told['cutoff_hz']:.0f} Hz",
        "drift": f"{told['drift_ppm']:+.1f} ppm",
    }


def _print(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    typer.echo("\n".join(f"{name:{width}}  {value}" for name, value in rows.items()))


def _redraw(told: dict[str, Any]) -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[J")
    _print(_counted(told))
    if not sys.stdout.isatty():
        typer.echo()


def _line_writer(json_target: str) -> Callable[[dict[str, Any]], None]:
    """Writes one object a line, to standard output or to a file that grows."""

    def to_output(told: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    def to_file(told: dict[str, Any]) -> None:
        with Path(json_target).open("a") as file:
            file.write(json.dumps(told) + "\n")

    return to_output if json_target == "-" else to_file


def _write(json_target: str, told: dict[str, Any]) -> None:
    from ..report import Report

    Report(json_target).finish(told)
