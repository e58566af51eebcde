"""``fullband plugins``: what a chain can be made of, and what a model file lacks to be in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import FullbandError
from ..report import Report

if TYPE_CHECKING:
    from ..plugins.parameter import Parameter

plugins = typer.Typer(add_completion=False, help="Plugins for the chain: what there is, and what a file lacks.")

_Json = Annotated[str | None, typer.Option("--json", help="Write it as JSON; '-': standard output.")]


def _built_in() -> list[dict[str, Any]]:
    from ..plugins.registry import BUILT_IN, built_in

    kinds = [(name, built_in(name)) for name in BUILT_IN]
    return [
        {"plugin": name, "summary": kind.summary, "parameters": [p.as_dict() for p in kind.parameters]}
        for name, kind in kinds
    ]


def _models() -> list[dict[str, Any]]:
    from ..onnx.contract import examine
    from ..onnx.session import Session
    from ..paths import shipped_models

    found = []
    for name, path in shipped_models().items():
        with Session(path) as session:
            contract, _ = examine(session)
        if contract is not None:
            found.append({"model": name, "mode": contract.mode, "latency_ms": round(contract.latency_ms, 3)})
    return found


def _ladspa() -> tuple[list[dict[str, Any]], dict[str, str]]:
    from ..plugins.ladspa.catalogue import all_plugins
    from ..plugins.ladspa.descriptor import file_name
    from ..plugins.ladspa.stage import parameters_of, unsuited

    facts, refused = all_plugins()
    found = [
        {
            "plugin": f"{file_name(one.path)}:{one.label}",
            "summary": one.name,
            "maker": one.maker,
            "file": one.path,
            "unsuited": unsuited(one),
            "parameters": [parameter.as_dict() for parameter in parameters_of(one)],
        }
        for one in facts
    ]
    return found, refused


def _parameter_line(parameter: Parameter, width: int) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    help_text = f"; {parameter.help}" if parameter.help else ""
    return f"    {parameter.name:{width}}  {parameter.default:g}{unit}, {parameter.range}{help_text}"


def _say_parameters(report: Report, parameters: tuple[Parameter, ...]) -> None:
    width = max((len(parameter.name) for parameter in parameters), default=0)
    for parameter in parameters:
        report.console.print(_parameter_line(parameter, width), markup=False, soft_wrap=True)


@plugins.callback(invoke_without_command=True)
def _list(context: typer.Context, json_target: _Json = None) -> None:
    """List all plugins: built in, models that ship, and LADSPA plugins of this machine."""
    if context.invoked_subcommand is not None:
        return
    from ..plugins.registry import BUILT_IN, built_in

    report = Report(json_target)
    ladspa, refused = _ladspa()
    models = _models()
    if json_target != "-":
        report.say('[bold]built in[/bold]: plugin = "NAME"')
        for name in BUILT_IN:
            report.say(f"  [bold]{name}[/bold]: {built_in(name).summary}")
            _say_parameters(report, built_in(name).parameters)
        report.say('[bold]models[/bold]: plugin = "network", model = "NAME"; or plugin = "FILE.onnx"')
        for model in models:
            report.say(f"  {model['model']}: {model['mode']}, {model['latency_ms']:g} ms")
        suited = [one for one in ladspa if one["unsuited"] is None]
        report.say(
            f"[bold]LADSPA[/bold]: {len(suited)} plugins that can be a stage, of {len(ladspa)}; "
            "parameters by 'fullband plugins show FILE.so:LABEL'"
        )
        for one in suited:
            report.console.print(f"  {one['plugin']}: {one['summary']}", markup=False, soft_wrap=True)
        for path, reason in refused.items():
            report.console.print(f"  {path} is refused: {reason}", markup=False, soft_wrap=True)
    report.finish({"built_in": _built_in(), "models": models, "ladspa": ladspa, "refused": refused})


@plugins.command()
def show(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="A kind that is built in, or FILE.so:LABEL.")],
    json_target: _Json = None,
) -> None:
    """The parameters of one plugin. A LADSPA plugin is run once, in a process of its own."""
    from ..plugins.registry import parameters_of

    report = Report(json_target)
    parameters = parameters_of(plugin)
    report.say(f"[bold]{plugin}[/bold]")
    if json_target != "-":
        _say_parameters(report, parameters)
    report.finish({"plugin": plugin, "parameters": [parameter.as_dict() for parameter in parameters]})


@plugins.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx file.")], json_target: _Json = None
) -> None:
    """Tell all that a model file lacks to be a plugin, in plain words."""
    from ..plugins.check import check as examine_file

    report = Report(json_target)
    verdict = examine_file(file)
    for fault in verdict.faults:
        report.console.print(f"  ✗ {fault}", markup=False, soft_wrap=True)
    for line in verdict.advice:
        report.console.print(f"  → {line}", markup=False, soft_wrap=True)
    for remark in verdict.remarks:
        report.console.print(f"  ! {remark}", markup=False, soft_wrap=True)
    report.finish(verdict.as_dict())
    if verdict.faults:
        raise FullbandError(f"{file} is no plugin yet: {len(verdict.faults)} to be put right")
    contract = verdict.contract
    assert contract is not None
    report.say(
        f"{file} is a plugin: '{contract.name}', {contract.mode}, latency {contract.latency_ms:.2f} ms, "
        f"{verdict.figures['compute_ms']:.2f} ms of every {contract.hop_ms:.2f} ms"
    )
