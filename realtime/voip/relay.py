"""``fullband voip rtp``: from one RTP stream, or a recording, to another, a device or a recording."""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from ..audiofile import open_writer
from ..bandwidth import CUTOFF_RANGE_HZ
from ..errors import FullbandError
from ..onnx.contract import RATE_HZ
from ..paths import CONFIGS
from ..settings.file import FilePath, Given, SettingsFile, find_preset, validated
from ..settings.high_band import HighBandSettings
from .codecs import CODECS, DEFAULT_COMPLEXITY, Codec, check_codec, find_codec
from .exchange import Exchange
from .files import FileSink, FileSource
from .frames import Sink, Source
from .leg import Leg
from .media import Address, Direction, Media
from .speaker import SpeakerSink

_PRESETS = CONFIGS / "voip"

#: How keys are sent where nobody has said so, by the codec's clock.
_EVENTS_TYPE = {8_000: 101, 48_000: 110}


class RtpSettings(HighBandSettings):
    """Everything that ``fullband voip rtp`` can be told; see its ``--help``."""

    listen: str | None = None
    sdp: FilePath | None = None
    input: FilePath | None = None
    source: str | None = None
    codec: str = "PCMU"
    payload_type: int | None = Field(None, ge=0, le=127)
    to: str | None = None
    to_codec: str = "opus"
    to_payload_type: int | None = Field(None, ge=0, le=127)
    to_ptime_ms: int | None = Field(None, ge=10, le=60, multiple_of=10)
    dtx: bool = False
    opus_complexity: int = Field(DEFAULT_COMPLEXITY, ge=0, le=10)
    output: FilePath | None = None
    device: str | None = None
    cutoff_hz: float | None = Field(None, ge=CUTOFF_RANGE_HZ[0], le=CUTOFF_RANGE_HZ[1])
    bypass: bool = False
    seconds: float | None = Field(None, ge=0.0)
    until_silent_s: float | None = Field(None, gt=0.0)
    force: bool = False

    @field_validator("codec", "to_codec")
    @classmethod
    def _check_codec(cls, value: str) -> str:
        check_codec(value)
        return value

    @field_validator("listen", "source", "to")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is not None:
            parse_address(value)
        return value


def parse_address(text: str) -> Address:
    """``127.0.0.1:5004``, ``[::1]:5004``, or ``:5004`` on loopback; addresses, as names may resolve slowly."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        ipaddress.ip_address(host)
        number = int(port)
        if not 0 < number < 65_536:
            raise ValueError
    except ValueError:
        raise ValueError(f"'{text}' is no address such as 127.0.0.1:5004") from None
    return host, number


def load_rtp_settings(preset: str | None, given: dict[str, Any]) -> RtpSettings:
    """Settings from *preset* (a name or a path; None: defaults), overridden by *given*.

    Raises :class:`FullbandError` that names the key, what is wrong with it, and the nearest right one.
    """
    path = None if preset is None else find_preset(preset, _PRESETS, exit_status=2)
    file = None if path is None else SettingsFile(path)
    values = {} if file is None else file.values
    settings = validated(RtpSettings, values | given, Given(file, given), exit_status=2)
    ways_in = [settings.listen, settings.sdp, settings.input]
    if sum(way is not None for way in ways_in) != 1:
        raise FullbandError("say where audio comes from, once: --listen HOST:PORT, --sdp FILE or --input FILE", 2)
    if sum(way is not None for way in (settings.to, settings.output, settings.device)) > 1:
        raise FullbandError("audio goes one way: --to, --output or --device", 2)
    return settings


@dataclass(frozen=True)
class Described:
    """The stream that an SDP file tells of: where it is sent to, which is where we listen, and in what form."""

    listen: Address
    codec: Codec
    payload_type: int
    events_type: int | None
    ptime_ms: int


def read_description(path: Path) -> Described:
    """The first audio stream of an SDP file that we can receive, as ffmpeg's ``-sdp_file`` writes them."""
    from aiosipua.sdp import parse_sdp

    from .sip.messages import Refused
    from .sip.sdp import first_usable

    try:
        text = path.read_text()
        # ffmpeg's own log line at the top, where a person has redirected it, is no SDP.
        _, _, found = first_usable(parse_sdp(text[max(text.find("v=0"), 0) :]), list(CODECS))
    except OSError as error:
        raise FullbandError(f"cannot read {path}: {error.strerror}") from None
    except Refused:
        known = ", ".join(codec.rtpmap for codec in CODECS)
        raise FullbandError(f"{path} tells of no audio stream (RTP/AVP) in one of: {known}") from None
    except (ValueError, IndexError, KeyError, AttributeError, UnicodeDecodeError):
        raise FullbandError(f"{path} is no session description (SDP, RFC 8866)") from None
    return Described((found.host, found.port), found.codec, found.send_type, found.event_type, found.ptime_ms)


class Relay:
    """The ends of one stream and an exchange between them, from settings; ``with`` it, :meth:`poll` it, read it."""

    def __init__(self, settings: RtpSettings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self.leg_in: Leg | None = None
        self.leg_out: Leg | None = None
        self._file_in: FileSource | None = None
        self._file_out: FileSink | None = None
        self._speaker: SpeakerSink | None = None
        self._fell_silent = False
        try:
            source = self._open_source()
            sink = self._open_sink()
            self.exchange = Exchange(
                settings.model, max_streams=1, lanes=1, brightness=settings.brightness, pivot_hz=settings.high_pivot_hz
            )
            self._stack.callback(self.exchange.close)
            self.stream = self.exchange.connect(source, sink, cutoff_hz=settings.cutoff_hz, bypass=settings.bypass)
        except BaseException:
            self._stack.close()
            raise

    def _open_source(self) -> Source:
        settings = self.settings
        if settings.input is not None:
            self._file_in = FileSource(settings.input)
            return self._file_in
        codec = find_codec(settings.codec)
        media = Media(codec, settings.payload_type, events_type=_EVENTS_TYPE.get(codec.clock_hz))
        listen = parse_address(settings.listen) if settings.listen else None
        if settings.sdp is not None:
            told = read_description(settings.sdp)
            listen = told.listen
            media = Media(told.codec, told.payload_type, ptime_ms=told.ptime_ms, events_type=told.events_type)
        assert listen is not None
        source = parse_address(settings.source) if settings.source else None
        leg = Leg(listen[0], listen[1], latch=source is None, on_silent=self._note_silence, on_key=self._pass_key,
                  silent_after_s=settings.until_silent_s or 30.0)  # fmt: skip
        self.leg_in = self._stack.enter_context(leg)
        leg.negotiate(
            Media(
                media.codec,
                media.payload_type,
                remote=source,
                ptime_ms=media.ptime_ms,
                events_type=media.events_type,
                direction=Direction.RECVONLY,
            )
        )
        return leg

    def _open_sink(self) -> Sink:
        settings = self.settings
        if settings.output is not None:
            writer = self._stack.enter_context(
                open_writer(settings.output, RATE_HZ, 1, force=settings.force, keep_on_error=True)
            )
            self._file_out = FileSink(writer)
            return self._file_out
        if settings.to is None:
            self._speaker = SpeakerSink(settings.device or None)
            self._stack.callback(self._speaker.close)
            return self._speaker
        host, port = parse_address(settings.to)
        codec = find_codec(settings.to_codec)
        # 20 ms of samples as they are would be too long for a packet.
        ptime_ms = settings.to_ptime_ms or (10 if codec.name == "L16" and codec.rate_hz > 16_000 else 20)
        leg = Leg("::" if ":" in host else "0.0.0.0")
        self.leg_out = self._stack.enter_context(leg)
        leg.negotiate(
            Media(
                codec,
                settings.to_payload_type,
                remote=(host, port),
                ptime_ms=ptime_ms,
                events_type=_EVENTS_TYPE.get(codec.clock_hz),
                direction=Direction.SENDONLY,
                dtx=settings.dtx,
                complexity=settings.opus_complexity,
            )
        )
        return leg

    def _note_silence(self, seconds: float) -> None:
        """Silence before the first packet is patience."""
        del seconds
        self._fell_silent = self.leg_in is not None and self.leg_in.statistics().packets_received > 0

    def _pass_key(self, key: str, duration_ms: int) -> None:
        if self.leg_out is not None:
            self.leg_out.send_key(key, duration_ms)

    def describe(self) -> str:
        """Both ends, for people."""
        settings = self.settings
        came: object = settings.input
        if self.leg_in is not None and self.leg_in.media is not None:
            came = f"{_shown(self.leg_in.local)} ({self.leg_in.media.codec.rtpmap})"
        goes: object = settings.output
        if self.leg_out is not None and self.leg_out.media is not None:
            goes = f"{settings.to} ({self.leg_out.media.codec.rtpmap})"
        elif self._speaker is not None:
            goes = self._speaker.label
        return f"{came} → {goes}"

    def poll(self) -> None:
        """Write what is to be written. Raises :class:`FullbandError` where an end has failed."""
        if self._file_out is not None:
            self._file_out.flush()
        if self.stream.fault is not None:
            raise FullbandError(f"the stream ended by a fault: {self.stream.fault!r}")
        if self._speaker is not None and not self._speaker.active:
            raise FullbandError(f"{self._speaker.label} has gone")

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come: the recording is over, or the line was silent for as long as was asked."""
        if self._file_in is not None:
            return self._file_in.ended
        return self.settings.until_silent_s is not None and self._fell_silent

    def figures(self) -> dict[str, Any]:
        """For reports."""
        legs = {"in": self.leg_in, "out": self.leg_out}
        return {
            "from": str(self.settings.input or _shown(self.leg_in.local if self.leg_in else ("", 0))),
            "to": str(self.settings.output or self.settings.to or (self._speaker.label if self._speaker else "")),
            "cutoff_hz": self.stream.cutoff_hz,
            "exchange": self.exchange.statistics().as_dict(),
            **{name: leg.statistics().as_dict() if leg else None for name, leg in legs.items()},
            "frames_written": self._file_out.frames if self._file_out else None,
        }

    def __enter__(self) -> Relay:
        self.exchange.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        self._stack.close()

    def stop(self) -> None:
        """No more frames; what was kept is written."""
        self.exchange.close()
        if self._file_out is not None:
            self._file_out.flush()


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
