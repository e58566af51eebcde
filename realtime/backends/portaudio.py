"""PortAudio through sounddevice, its callback compiled: one duplex stream, or two on two devices."""

from __future__ import annotations

from typing import Any

from ..devices import Device, find, import_sounddevice
from ..engine import Engine, StreamFormat
from ..errors import FullbandError
from . import library
from .base import credible_latency_ms
from .watch import DefaultWatch, JackWatch, pipewire_default

#: Host APIs whose devices all follow one clock.
_ONE_CLOCK_APIS = {"JACK Audio Connection Kit"}

#: Where the device chooses its blocks, the delay is first planned for these; see Engine.set_block_frames.
_PLANNED_BLOCK_FRAMES = 128

#: ALSA names hardware so; its other devices lead through a server, as PulseAudio's and PipeWire's do.
_ALSA_HARDWARE = "(hw:"

#: Of PulseAudio behind ALSA: at its "low" 9 ms blocks are of 2 ms and at 10 to 20 ms some are of 1 to 5 frames; both
#: run dry as soon as the machine is busy. From here on blocks are even.
_SERVED_LATENCY_S = 0.03


class PortAudio:
    """Streams on the devices *capture* and *playback*, named by text (None: the default ones).

    *rate_hz* is asked of both devices; by default each runs at its own rate, or at the playback device's
    where they share one stream. *block_frames* is asked too; by default the device has its own.
    """

    name = "portaudio"

    def __init__(
        self,
        capture: str | None = None,
        playback: str | None = None,
        *,
        rate_hz: int | None = None,
        block_frames: int | None = None,
        latency: str | float = "low",
    ) -> None:
        self._sounddevice = import_sounddevice()
        library.silence()
        self._asked = (capture, playback, rate_hz)
        self._latency = latency
        self._block_frames = block_frames or 0  # 0: as the device has it, which needs no adaptation in PortAudio
        self._streams: list[Any] = []
        self._jack: JackWatch | None = None
        self._defaults: DefaultWatch | None = None
        self._find()

    def _find(self) -> None:
        capture, playback, rate_hz = self._asked
        self.capture_device: Device = find(capture, "input")
        self.playback_device: Device = find(playback, "output")
        one_clock = self._one_clock()
        playback_rate_hz = rate_hz or round(self.playback_device.default_rate_hz)
        capture_rate_hz = rate_hz or (playback_rate_hz if one_clock else round(self.capture_device.default_rate_hz))
        self.stream = StreamFormat(
            capture_rate_hz,
            playback_rate_hz,
            self._block_frames or _PLANNED_BLOCK_FRAMES,
            capture_channels=1,
            playback_channels=min(2, self.playback_device.max_output_channels),
            separate_clocks=not one_clock,
        )
        self._check()

    def _one_clock(self) -> bool:
        capture, playback = self.capture_device, self.playback_device
        same_api = capture.hostapi == playback.hostapi
        return same_api and (capture.index == playback.index or capture.hostapi in _ONE_CLOCK_APIS)

    def _check(self) -> None:
        stream = self.stream
        for kind, device, rate_hz, channels in (
            ("input", self.capture_device, stream.capture_rate_hz, stream.capture_channels),
            ("output", self.playback_device, stream.playback_rate_hz, stream.playback_channels),
        ):
            check = getattr(self._sounddevice, f"check_{kind}_settings")
            try:
                check(device=device.index, channels=channels, dtype="float32", samplerate=rate_hz)
            except (self._sounddevice.PortAudioError, ValueError) as error:
                reason = str(error).split(" [PaErrorCode")[0]
                own_hz = round(device.default_rate_hz)
                remedy = f"its own rate is {own_hz} Hz: try --rate {own_hz}"
                if rate_hz == own_hz:
                    remedy = f"name another with --{kind}; 'fullband devices' lists them"
                raise FullbandError(
                    f"{kind} device '{device.label}' refuses {rate_hz} Hz ({reason}); {remedy}"
                ) from None

    def _latency_of(self, device: Device) -> str | float:
        served = device.hostapi == "ALSA" and _ALSA_HARDWARE not in device.name
        return _SERVED_LATENCY_S if served and self._latency == "low" else self._latency

    def _open(self, kind: str, address: int, user: int, **settings: Any) -> Any:
        # The public classes wrap a Python callable; the base class takes a C function pointer, for library
        # authors, and has done so since version 0.3.8.
        ffi = self._sounddevice._ffi
        try:
            return self._sounddevice._StreamBase(
                kind=kind,
                blocksize=self._block_frames,
                dtype="float32",
                callback=ffi.cast("PaStreamCallback*", address),
                wrap_callback=None,
                userdata=ffi.cast("void*", user),
                **settings,
            )
        except self._sounddevice.PortAudioError as error:
            raise FullbandError(f"cannot open {self.describe()}: {error}; see 'fullband devices'") from None

    def start(self, engine: Engine) -> None:
        stream = self.stream
        callbacks, user = engine.callbacks, engine.port_address
        capture, playback = self.capture_device.index, self.playback_device.index
        if not stream.separate_clocks:
            wanted: list[dict[str, Any]] = [
                {
                    "kind": "duplex",
                    "device": (capture, playback),
                    "channels": (stream.capture_channels, stream.playback_channels),
                    "samplerate": stream.playback_rate_hz,
                    "latency": (self._latency_of(self.capture_device), self._latency_of(self.playback_device)),
                }
            ]
        else:
            wanted = [
                {
                    "kind": "input",
                    "device": capture,
                    "channels": stream.capture_channels,
                    "samplerate": stream.capture_rate_hz,
                    "latency": self._latency_of(self.capture_device),
                },
                {
                    "kind": "output",
                    "device": playback,
                    "channels": stream.playback_channels,
                    "samplerate": stream.playback_rate_hz,
                    "latency": self._latency_of(self.playback_device),
                },
            ]
        names = {"duplex": "duplex", "input": "capture", "output": "playback"}
        for settings in wanted:
            self._streams.append(self._open(address=callbacks[names[settings["kind"]]], user=user, **settings))
        for opened in self._streams:
            if self.capture_device.hostapi == "ALSA":
                library.schedule_in_real_time(opened)
            try:
                opened.start()
            except self._sounddevice.PortAudioError as error:
                raise FullbandError(f"cannot start {self.describe()}: {error}; see 'fullband devices'") from None

    @property
    def fault(self) -> str | None:
        """What is wrong with the devices though their callbacks run on: one has gone from the server."""
        watch = self._watch()
        gone = watch.missing if watch is not None else []
        return f"{' and '.join(gone)} gone" if gone else None

    @property
    def change(self) -> str | None:
        """Why the devices should be opened anew though they work: another rate, or another default."""
        watch = self._watch()
        if watch is not None and watch.rate_hz not in (None, self.stream.playback_rate_hz):
            return f"runs at {watch.rate_hz} Hz now"
        if self._defaults is None or not self._defaults.changed():
            return None
        for kind, device, asked in (
            ("input", self.capture_device, self._asked[0]),
            ("output", self.playback_device, self._asked[1]),
        ):
            names = pipewire_default(kind) if asked is None else set()  # type: ignore[arg-type]
            if names and device.name not in names:
                return f"the default {kind} is another now"
        return None

    def _watch(self) -> JackWatch | None:
        """Of the JACK server, while streams are open; begun when it is first asked for, so that no audio waits."""
        if self.capture_device.system != "JACK" or not self._streams:
            return None
        if self._jack is None:
            self._jack = JackWatch(sorted({self.capture_device.name, self.playback_device.name}))
            if None in self._asked[:2]:
                self._defaults = DefaultWatch()
        self._jack.poll()
        return self._jack

    def stop(self) -> None:
        for watch in (self._jack, self._defaults):
            if watch is not None:
                watch.close()
        self._jack = self._defaults = None
        streams, self._streams = self._streams, []
        if streams:
            library.close(streams)

    def reopen(self) -> None:
        library.refresh()
        self._find()

    @property
    def ended(self) -> bool:
        return False

    @property
    def active(self) -> bool:
        try:
            return bool(self._streams) and all(stream.active for stream in self._streams)
        except self._sounddevice.PortAudioError:
            return False

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]:
        if not self._streams:
            return None, None
        reported = self._streams[0].latency
        if len(self._streams) == 2:
            reported = (self._streams[0].latency, self._streams[1].latency)
        return credible_latency_ms(reported[0]), credible_latency_ms(reported[1])

    def describe(self) -> str:
        return f"{self.capture_device.label} → {self.playback_device.label}"
