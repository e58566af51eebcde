"""``fullband voip sip``: a user agent that answers calls, or bridges them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..report import Report
from ..voip.sip.host import Host
from ..voip.sip.settings import load_sip_settings


def sip(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML.")] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", metavar="[udp:|tcp:]HOST[:PORT]", help="Where, by default loopback; again for more."),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option("--answer", metavar="echo|FILE", help="Answer, and play this."),
    ] = None,
    bridge_to: Annotated[
        str | None, typer.Option("--bridge-to", metavar="SIP-URI", help="Call this for every caller, and join both.")
    ] = None,
    codec_in: Annotated[
        str | None, typer.Option("--codec-in", metavar="NAMES", help="Codecs of callers: opus,G722,PCMU,PCMA,L16.")
    ] = None,
    codec_out: Annotated[
        str | None, typer.Option("--codec-out", metavar="NAMES", help="Codecs offered to the target, best first.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="A shipped name, an .onnx file, or 'none'.")] = None,
    max_calls: Annotated[int | None, typer.Option("--max-calls", help="Calls at once; more are busy.")] = None,
    max_minutes: Annotated[float | None, typer.Option("--max-minutes", help="The longest call.")] = None,
    records: Annotated[
        Path | None, typer.Option("--records", metavar="FILE", help="Append a JSON line for every call.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="Serve figures for Prometheus on this loopback port.")
    ] = None,
    every: Annotated[
        float, typer.Option("--every", min=0.0, help="Seconds between two looks at running calls.")
    ] = 30.0,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write figures as JSON at the end; '-': standard output.")
    ] = None,
) -> None:
    """Answer calls, or bridge them to a configured target, full-band where the other side can take it.

    Ctrl-C or SIGTERM takes no more calls and waits for those that there are; once more hangs up. A password is never
    given here: the configuration names the variable or the file that holds it.
    """
    given: dict[str, Any] = {
        "listen": listen or None,
        "answer": answer,
        "bridge_to": bridge_to,
        "codec_in": _names(codec_in),
        "codec_out": _names(codec_out),
        "model": model,
        "max_calls": max_calls,
        "max_minutes": max_minutes,
        "records": records,
        "metrics_port": metrics_port,
    }
    settings = load_sip_settings(config, {key: value for key, value in given.items() if value is not None})
    report = Report(json_target)
    report.finish(asyncio.run(Host(settings, plainly(report), every).run()))


def plainly(report: Report) -> Callable[[str], None]:
    """Says words that strangers have chosen as they are: a caller may be named ``[/bold]``."""
    return lambda text: report.say(escape(text))


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
