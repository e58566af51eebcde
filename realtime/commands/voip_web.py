"""``fullband voip web``: one page that lets people hear themselves full-band."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from ..report import Report
from ..voip.web.host import Host
from ..voip.web.settings import load_web_settings
from .options import LevelOption, ModelOption, PivotOption, TiltOption
from .voip_sip import plainly


def web(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML.")] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST[:PORT]", help="Where; by default 127.0.0.1:8080.")
    ] = None,
    media_address: Annotated[
        list[str] | None,
        typer.Option(
            "--media-address",
            metavar="ADDRESS",
            help="An address of this machine for media, by default that of --listen; again for more. "
            "Firefox needs one that is not loopback.",
        ),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option("--cert", metavar="FILE", help="Certificate chain in PEM: serve HTTPS.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Its key, where that is another file.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="What the page has to know; or the variable FULLBAND_WEB_TOKEN. Needed beyond loopback.",
        ),
    ] = None,
    model: ModelOption = None,
    high_level_db: LevelOption = None,
    high_tilt_db: TiltOption = None,
    high_pivot_hz: PivotOption = None,
    max_sessions: Annotated[int | None, typer.Option("--max-sessions", help="Pages at once.")] = None,
    max_minutes: Annotated[float | None, typer.Option("--max-minutes", help="The longest session.")] = None,
    max_upload_mb: Annotated[float | None, typer.Option("--max-upload-mb", help="The largest recording.")] = None,
    records: Annotated[
        Path | None, typer.Option("--records", metavar="FILE", help="Append a JSON line for every session.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="Serve figures for Prometheus on this loopback port.")
    ] = None,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write figures as JSON at the end; '-': standard output.")
    ] = None,
) -> None:
    """Serve a page on which people speak and hear themselves full-band.

    Ctrl-C or SIGTERM opens no more sessions and waits for those that there are; once more hangs up.

    By default for this machine alone. Any other --listen needs --cert and a token, which is never given here: it comes
    from the variable FULLBAND_WEB_TOKEN or from --token-file.
    """
    given: dict[str, Any] = {
        "listen": listen, "media_address": media_address or None, "cert": cert, "key": key, "token_file": token_file,
        "model": model, "high_level_db": high_level_db, "high_tilt_db": high_tilt_db, "high_pivot_hz": high_pivot_hz,
        "max_sessions": max_sessions, "max_minutes": max_minutes, "max_upload_mb": max_upload_mb,
        "records": records, "metrics_port": metrics_port,
    }  # fmt: skip
    settings = load_web_settings(config, {name: value for name, value in given.items() if value is not None})
    report = Report(json_target)
    report.finish(asyncio.run(Host(settings, plainly(report)).run()))
