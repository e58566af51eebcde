"""``fullband voip rtp``: plain RTP in, full-band out."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ..report import Report
from ..voip.relay import Relay, load_rtp_settings
from .options import CutoffOption, LevelOption, ModelOption, PivotOption, TiltOption

_POLL_SECONDS = 0.1


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _shown_leg(name: str, leg: dict[str, Any] | None) -> str | None:
    if leg is None:
        return None
    if name == "out":
        return f"sent {leg['packets_sent']} packets ({leg['codec']}), keys {leg['keys_sent']}"
    mos = f", MOS {leg['mos']:.2f} (G.107)" if leg["mos"] else ""
    return (
        f"received {leg['packets_received']} of {leg['expected']} packets ({leg['codec']}): lost {leg['lost']}, "
        f"late {leg['late']}, reordered {leg['reordered']}, duplicate {leg['duplicate']}, "
        f"malformed {leg['malformed']}, refused {leg['refused']}; "
        f"concealed {100 * leg['concealed_share']:.2f} %, jitter {leg['jitter_ms']:.1f} ms, "
        f"delay {leg['delay_ms']:.0f} ms{mos}"
    )


def rtp(
    config: Annotated[
        str | None, typer.Option("--config", help="A preset by name (telephone), or the path of a TOML file.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where RTP comes to; ':5004' is loopback.")
    ] = None,
    sdp: Annotated[
        Path | None, typer.Option("--sdp", metavar="FILE", help="The same, and the codec, from a session description.")
    ] = None,
    input: Annotated[Path | None, typer.Option("--input", metavar="FILE", help="Or a recording.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="HOST:PORT", help="Take packets from there alone; by default from whoever is first."
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Of what comes: PCMU, PCMA, G722, opus, L16/8000, L16/16000, L16/48000.")
    ] = None,
    payload_type: Annotated[
        int | None, typer.Option("--type", min=0, max=127, help="Its payload type, where it is not the usual one.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="HOST:PORT", help="Where RTP goes to.")] = None,
    to_codec: Annotated[str | None, typer.Option(help="Its codec; opus by default.")] = None,
    to_payload_type: Annotated[int | None, typer.Option("--to-type", min=0, max=127, help="Its payload type.")] = None,
    to_ptime_ms: Annotated[int | None, typer.Option("--to-ptime", min=10, max=60, help="Its packets, in ms.")] = None,
    dtx: Annotated[bool | None, typer.Option("--dtx/--no-dtx", help="Send nothing while nobody speaks.")] = None,
    opus_complexity: Annotated[
        int | None, typer.Option(min=0, max=10, help="How hard Opus tries; 1 by default, which speech does not notice.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Or to a recording.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Or to a playback device, by a part of its name; the default one.")
    ] = None,
    model: ModelOption = None,
    cutoff_hz: CutoffOption = None,
    high_level_db: LevelOption = None,
    high_tilt_db: TiltOption = None,
    high_pivot_hz: PivotOption = None,
    bypass: Annotated[bool | None, typer.Option("--bypass/--no-bypass", help="Only pass the voice through.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Stop after so long.")] = None,
    until_silent_s: Annotated[
        float | None, typer.Option("--until-silent", min=0.1, help="Stop when no packet has come for so many seconds.")
    ] = None,
    force: Annotated[bool | None, typer.Option("--force/--no-force", help="Overwrite a file that exists.")] = None,
    json_target: Annotated[
        str | None, typer.Option("--json", help="Write figures as JSON at the end; '-': standard output.")
    ] = None,
) -> None:
    """Plain RTP in, full-band out: to RTP, a device or a recording. Ctrl-C ends it.

    With GStreamer for example: ... ! mulawenc ! rtppcmupay ! udpsink port=5004, and here: --listen :5004 --output o.wav
    """
    given = {
        "listen": listen, "sdp": sdp, "input": input, "source": source, "codec": codec, "payload_type": payload_type,
        "to": to, "to_codec": to_codec, "to_payload_type": to_payload_type, "to_ptime_ms": to_ptime_ms, "dtx": dtx,
        "opus_complexity": opus_complexity, "output": output, "device": device,
        "model": model, "cutoff_hz": cutoff_hz, "high_level_db": high_level_db, "high_tilt_db": high_tilt_db,
        "high_pivot_hz": high_pivot_hz, "bypass": bypass, "seconds": seconds,
        "until_silent_s": until_silent_s, "force": force,
    }  # fmt: skip
    report = Report(json_target)
    settings = load_rtp_settings(config, {key: value for key, value in given.items() if value is not None})
    signal.signal(signal.SIGTERM, _interrupt)
    with Relay(settings) as relay:
        report.say(f"{relay.describe()}, through '{settings.model}'; Ctrl-C ends")
        began = time.monotonic()
        with suppress(KeyboardInterrupt):
            while not relay.ended and (settings.seconds is None or time.monotonic() - began < settings.seconds):
                time.sleep(_POLL_SECONDS)
                relay.poll()
        figures = relay.figures()
        relay.stop()
    figures["seconds"] = round(time.monotonic() - began, 3)
    clock = figures["exchange"]
    for name in ("in", "out"):
        line = _shown_leg(name, figures[name])
        if line is not None:
            report.say(line)
    report.say(
        f"{figures['seconds']:.1f} s, band to {figures['cutoff_hz'] / 1000:g} kHz, {clock['ticks']} frames, "
        f"{clock['late_ticks']} late, {clock['dull_ticks']} without the network in time"
    )
    if settings.output is not None:
        report.say(f"wrote {settings.output}")
    report.finish(figures)
