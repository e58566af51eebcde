"""``fullband devices``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ..devices import default_index, list_devices
from ..report import Report


def devices(
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write the list as JSON; '-': standard output.")
    ] = None,
) -> None:
    """List the sound devices, by the names that --input and --output take."""
    report = Report(json_target)
    found = list_devices()
    defaults = {default_index("input"), default_index("output")} if found else set()
    table = Table("", "#", "device", "in", "out", "rate", "low latency in / out")
    for device in found:
        table.add_row(
            "*" if device.index in defaults else "",
            str(device.index),
            device.label,
            str(device.max_input_channels or "–"),
            str(device.max_output_channels or "–"),
            f"{device.default_rate_hz:.0f} Hz",
            f"{device.low_input_latency_ms:.1f} / {device.low_output_latency_ms:.1f} ms",
        )
    if not found:
        report.say("No sound device; 'fullband live' will use the simulated one. 'fullband doctor' tells more.")
    elif json_target != "-":
        report.console.print(table)
        report.say("* default")
    report.finish([{**asdict(device), "label": device.label, "default": device.index in defaults} for device in found])
