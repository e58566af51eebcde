"""``fullband bench``: what is late, by how much, and whose fault it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime.errors import FullbandError

from .engine.paths import PATHS
from .machine.loads import LOADS
from .report.output import Output

bench = typer.Typer(
    help="Measure latency and deadlines.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

_Json = Annotated[str | None, typer.Option("--json", help="Write figures as JSON; '-': standard output.")]


#: What --matrix tries: hops of 4 and of 2 ms, and guards from none to a comfortable one.
_MATRIX_MODELS = ("default", "low-latency")
_MATRIX_BLOCKS = (32, 64, 128, 256, 512, 1024)
_MATRIX_GUARDS_MS = (0.0, 2.0, 10.0)

#: Of --quick, all together; starting and reporting come on top.
_QUICK_SECONDS = 42.0

_Html = Annotated[str | None, typer.Option("--html", help="Write one page with tables and plots to this file.")]


@bench.command()
def model(
    names: Annotated[
        list[str] | None, typer.Argument(help="Shipped names or paths of .onnx files, of other makers as well.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each, at the pace of live use.")] = 10.0,
    rounds: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="By turns, in so many rounds: more of them tell smaller differences (40: a fifth)."
        ),
    ] = 8,
    batch: Annotated[bool, typer.Option(help="Also find how many streams one core holds.")] = True,
    operators: Annotated[bool, typer.Option("--operators", help="Also tell the time of each operator.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also try the options of ONNX Runtime.")] = False,
    peer_hop_ms: Annotated[
        float | None, typer.Option("--peer-hop", min=0.1, help="Audio that a call of a foreign file stands for, in ms.")
    ] = None,
    shapes: Annotated[
        list[str] | None, typer.Option("--shape", help="Of an input that a foreign file leaves open: NAME=1x512.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="In a fifth of the time.")] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """Compute per hop of model files: at the pace of live use, as fast as they go, and in batches."""
    from .model import report as model_report

    output = Output(json_target, html)
    seconds = seconds / 5.0 if quick else seconds
    request = model_report.Request(
        tuple(names or ["default"]), seconds, rounds, batch, operators, sweep, peer_hop_ms, tuple(shapes or ())
    )
    with output.progress() as progress:
        document = model_report.measure(request, progress)
    output.finish(document)


@bench.command()
def engine(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="A shipped model or an .onnx file; again.")
    ] = None,
    blocks: Annotated[list[int] | None, typer.Option("--block", min=16, max=4096, help="Frames per callback.")] = None,
    guards_ms: Annotated[
        list[float] | None, typer.Option("--guard", min=0.0, help="Delay held against late hops, in ms.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each path under each load.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="By turns, in so many rounds.")] = 4,
    loads: Annotated[list[str] | None, typer.Option("--load", help=f"Only these of: {', '.join(LOADS)}.")] = None,
    paths: Annotated[list[str] | None, typer.Option("--path", help=f"Only these of: {', '.join(PATHS)}.")] = None,
    matrix: Annotated[bool, typer.Option("--matrix", help="Blocks of 32 to 1024, two hops, three guards.")] = False,
    capture: Annotated[str | None, typer.Option("--input", help="Real devices instead; they play silence.")] = None,
    playback: Annotated[str | None, typer.Option("--output")] = None,
    keep_awake: Annotated[
        bool, typer.Option("--keep-awake", help="Let no processor sleep meanwhile, as 'live --keep-awake' does.")
    ] = False,
    faults: Annotated[bool, typer.Option("--faults", help="Put faults in instead, and listen for clicks.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="In less than a minute; with --faults, in half the time.")
    ] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """The whole host under load, beside the usual ways in Python and the machine's own stalls, in the same run.

    With --faults: what is heard when threads stall, the model fails, clocks drift, capture goes missing.
    """
    from .engine import report as engine_report

    output = Output(json_target, html)
    if faults:
        from .faults.report import fault_table

        one = (models or ["default"])[0], (guards_ms or [2.0])[0], (blocks or [128])[0]
        with output.progress() as progress:
            document = fault_table(*one, quick, progress)
        output.finish(document)
        return
    plan = engine_report.make_plan(
        models or (list(_MATRIX_MODELS) if matrix else ["default"]),
        blocks or (list(_MATRIX_BLOCKS) if matrix else [128]),
        guards_ms or (list(_MATRIX_GUARDS_MS) if matrix else [2.0]),
        loads or (["idle", "gil_loop", "cpu_hog"] if matrix else list(LOADS)),
        paths or (["native"] if matrix else list(PATHS)),
        1.25 if quick else seconds,
        1 if quick or matrix else rounds,
        capture,
        playback,
        _QUICK_SECONDS if quick else None,
        keep_awake,
    )
    with output.progress() as progress:
        document = engine_report.make_report(plan, progress)
    output.finish(document)


@bench.command()
def device(
    capture: Annotated[
        str | None, typer.Option("--input", help="Where the cable ends; by name, as for 'live'.")
    ] = None,
    playback: Annotated[str | None, typer.Option("--output", help="Where it begins, or a sink with a monitor.")] = None,
    model: Annotated[str, typer.Option(help="A shipped model, an .onnx file or 'none'.")] = "default",
    block_frames: Annotated[int | None, typer.Option("--block", min=16, max=4096, help="Asked of the devices.")] = None,
    guard_ms: Annotated[float, typer.Option("--guard", min=0.0, help="Delay held against late hops, in ms.")] = 2.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="In bypass, and as long through the network.")] = 5.0,
    cable_frames: Annotated[
        int | None, typer.Option("--cable", min=16, max=24_000, help="A simulated cable of so many frames instead.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two seconds of each.")] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """The delay through a real loop of devices: asked for, reported and measured, part by part.

    It plays noise at -20 dBFS. Without devices it measures a cable on the simulated one.
    """
    from .device.report import make_report

    output = Output(json_target, html)
    with output.progress() as progress:
        document = make_report(
            capture,
            playback,
            model,
            block_frames,
            guard_ms,
            2.0 if quick else seconds,
            cable_frames,
            progress,
        )
    output.finish(document)
    if not document.figures["agrees"]:
        raise FullbandError("the measured delay is more than a block from the reported one")


@bench.command(name="all")
def everything(
    quick: Annotated[bool, typer.Option("--quick", help="In two minutes instead of ten.")] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """The shipped models, the host under load beside the usual ways, and a cable, in one report."""
    from .everything import measure_all

    output = Output(json_target, html)
    with output.progress() as progress:
        report = measure_all(quick, _QUICK_SECONDS if quick else None, progress)
    output.finish(report)


@bench.command()
def compare(
    before: Annotated[Path, typer.Argument(help="A report that --json has written.")],
    after: Annotated[Path, typer.Argument(help="Another, by the same command.")],
    margin_percent: Annotated[float, typer.Option("--margin", min=0.0, help="Of no concern, in percent.")] = 5.0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where something has become worse.")] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """What differs between two reports, with intervals, and which differences are noise."""
    from .report.compare import compare as compare_reports
    from .report.document import read

    document = compare_reports(read(before), read(after), margin_percent / 100.0)
    Output(json_target, html).finish(document)
    worse = [one["name"] for one in document.figures["differences"] if one["verdict"] == "worse"]
    if strict and worse:
        raise FullbandError(f"worse than before: {', '.join(worse)}")


@bench.command(name="page")
def page(
    report: Annotated[Path, typer.Argument(help="A report that --json has written.")],
    target: Annotated[str, typer.Argument(help="The page to write.")],
) -> None:
    """The page of a report that was kept."""
    from .report.document import read
    from .report.output import write_page

    write_page(read(report), target)


@bench.command(name="figures")
def figures_command(
    report: Annotated[Path, typer.Argument(help="A report of 'fullband bench all --json'.")],
    into: Annotated[Path | None, typer.Option("--into", help="Put them into this page, between its two marks.")] = None,
) -> None:
    """The figures of a report as README.md quotes them."""
    from .figures import figures, quote
    from .report.document import read

    if into is None:
        typer.echo(figures(read(report)))
    else:
        quote(read(report), into)


@bench.command()
def voip(
    codec: Annotated[str, typer.Option(help="Of the calls whose network is bad: PCMU, G722, opus …")] = "PCMU",
    seconds: Annotated[float, typer.Option(min=5.0, help="Of those calls, all at once.")] = 30.0,
    only: Annotated[
        list[str] | None, typer.Option("--condition", help="Only these, of: clean, loss 5 %, bursts, jitter 60 ms …")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws what is lost and late.")] = 1,
    calls: Annotated[bool, typer.Option(help="Also find how many calls are held at once.")] = True,
    call_seconds: Annotated[float, typer.Option(min=1.0, help="For each number of calls that may be held.")] = 20.0,
    model: Annotated[str, typer.Option(help="The network for those.")] = "default",
    codec_out: Annotated[str, typer.Option("--to-codec", help="What those go out as.")] = "opus",
    visqol: Annotated[bool, typer.Option(help="Score what is heard with ViSQOL, against the clean call.")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="In a minute: three networks, no ViSQOL, calls shorter.")
    ] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """Mouth to ear over RTP when the network is bad, beside a fixed buffer; and how many calls are held at once."""
    from .names import check_names
    from .voip import report as voip_report
    from .voip.mouth_to_ear import CONDITIONS, QUICKLY

    check_names("condition", only or [], CONDITIONS)
    if quick:
        seconds, call_seconds = max(seconds / 4.0, 8.0), max(call_seconds / 8.0, 1.0)
    request = voip_report.Request(
        codec,
        seconds,
        tuple(only or (QUICKLY if quick else CONDITIONS)),
        seed,
        calls,
        call_seconds,
        model,
        codec_out,
        visqol and not quick,
    )
    output = Output(json_target, html)
    with output.progress() as progress:
        document = voip_report.measure(request, progress)
    output.finish(document)


@bench.command()
def soak(
    model: Annotated[str, typer.Option(help="A shipped model or the path of an .onnx file.")] = "default",
    minutes: Annotated[float, typer.Option(min=0.1, help="How long.")] = 30.0,
    seed: Annotated[int | None, typer.Option(help="Draws the faults; by default another one every time.")] = None,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """Random faults for a long while, in real time: does anything grow, click or come later? Ctrl-C reports so far."""
    from .soak.report import soak_run

    output = Output(json_target, html)
    with output.progress() as progress:
        document = soak_run(model, minutes, seed, progress, output.report.say)
    output.finish(document)


@bench.command()
def drift(
    minutes: Annotated[float, typer.Option(min=0.5, help="Of audio, each; it takes a thirtieth of that or so.")] = 60.0,
    ppm: Annotated[float, typer.Option(min=0.0, max=1000.0, help="How far the clocks are apart, both ways.")] = 300.0,
    timings: Annotated[
        list[str] | None, typer.Option("--timing", help="Only these: steady, jitter, pairs, stalls.")
    ] = None,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """An hour on two clocks that run apart, faster than real time: does the delay stay, is a tone clean?"""
    from .drift.report import drift_run

    output = Output(json_target, html)
    with output.progress() as progress:
        document = drift_run(minutes, ppm, timings or [], progress)
    output.finish(document)


@bench.command()
def bandwidth(
    data: Annotated[Path, typer.Option("--data", help="A folder of recordings with a manifest.csv.")],
    only: Annotated[list[str] | None, typer.Option("--case", help="Only cases whose name has this in it.")] = None,
    streams: Annotated[int, typer.Option(min=1, help="Streams for each case, of some 17 s.")] = 8,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """How surely and how soon the end of a voice's band is found, by filter and codec; and whether noise moves it."""
    from .bandwidth.report import bandwidth_run

    output = Output(json_target, html)
    with output.progress() as progress:
        document = bandwidth_run(data, only or [], streams, progress)
    output.finish(document)


@bench.command()
def noise(
    data: Annotated[Path, typer.Option("--data", help="A folder of recordings with a manifest.csv.")],
    voices: Annotated[int, typer.Option(min=1, help="Recordings over which voices are measured.")] = 12,
    model_name: Annotated[str, typer.Option("--model", help="A shipped name or a path.")] = "default",
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """What is added to steady noise without a voice, and what the guard against that costs a voice."""
    from .bandwidth.report import noise_run

    output = Output(json_target, html)
    with output.progress() as progress:
        document = noise_run(data, voices, model_name, progress)
    output.finish(document)


@bench.command()
def plugins(
    only: Annotated[str, typer.Option("--only", help="Only plugins whose name has this in it.")] = "",
    sweep: Annotated[bool, typer.Option("--sweep", help="Move those of LADSPA plugins, too: in 15 minutes.")] = False,
    json_target: _Json = None,
    html: _Html = None,
) -> None:
    """Move the parameters of every stage while a voice is heard, and look for clicks; run every LADSPA plugin."""
    from .plugins.report import plugins_run

    output = Output(json_target, html)
    with output.progress() as progress:
        document = plugins_run(only, sweep, progress)
    output.finish(document)
