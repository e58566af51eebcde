"""``fullband voip``: telephony through the host, by signalling."""

from __future__ import annotations

import typer

from ..cli import LazyGroup

#: As :data:`realtime.cli.COMMANDS`.
COMMANDS = {
    "rtp": ("realtime.commands.voip_rtp", "Plain RTP to RTP, a device or a recording."),
    "sip": ("realtime.commands.voip_sip", "Answer calls, or bridge them to a configured target."),
    "web": ("realtime.commands.voip_web", "A page on which people hear themselves full-band."),
}


class _Group(LazyGroup):
    table = COMMANDS


voip = typer.Typer(
    cls=_Group, add_completion=False, no_args_is_help=True, help="Telephony: narrowband in, full-band out."
)


@voip.callback()
def _root() -> None:
    """Telephony: narrowband in, full-band out."""
