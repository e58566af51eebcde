"""One page that listens to itself: a leg, a stream of the exchange, and what the page sees of both."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from ...errors import FullbandError
from ...onnx.contract import RATE_HZ
from ...wishes import Brightness
from ..codecs import OPUS
from ..exchange import Exchange
from ..frames import FRAME_MS, Frame
from ..leg import Leg
from ..media import Media
from ..sip.records import CallRecord
from ..stream import Stream
from .band import BANDS, DELAY_SAMPLES, Band, BandLimiter
from .guard import Refused
from .offer import Offer, write_answer
from .settings import WebSettings
from .taps import SpectrumTap, Take
from .transport import PEER, Transport
from .wishes import amended

#: A page that has an answer opens its events within this time, or is not there.
_OPEN_S = 15.0


class _Voice:
    """The page's voice as the network hears it: limited to a band, and shown."""

    def __init__(self, leg: Leg, ear: _Ear, band: Band) -> None:
        self._leg = leg
        self._ear = ear
        self._limiter = BandLimiter(band)
        self._told: Band | None = None
        self._take: Take | None = None
        self.spectrum = SpectrumTap()
        self.wanted: Take | None = None
        self.stream: Stream | None = None

    @property
    def bandwidth_hz(self) -> float:
        return self._leg.bandwidth_hz

    @property
    def band(self) -> Band:
        return self._limiter.band

    @band.setter
    def band(self, band: Band) -> None:
        self._limiter.band = band

    def pull(self) -> Frame:
        if self.stream is not None and self._told is not self.band:
            # Here, as the exchange looks at the cutoff right after this.
            self._told = self.band
            cutoff_hz = min(self.band.cutoff_hz or self.bandwidth_hz, self.bandwidth_hz)
            if cutoff_hz < RATE_HZ / 2:
                self.stream.set_cutoff_hz(cutoff_hz)
            else:
                self.stream.find_cutoff()
        if self._take is not self.wanted:
            # Both sides from the same frame on, which is given back within this tick.
            self._take = self._ear.take = self.wanted
        frame = self._limiter.limit(self._leg.pull())
        self.spectrum.push(frame)
        if self._take is not None:
            self._take.push_before(frame)
        return frame


class _Ear:
    """What the page hears, shown."""

    bandwidth_hz = OPUS.bandwidth_hz

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self.spectrum = SpectrumTap()
        self.take: Take | None = None

    def push(self, frame: Frame) -> None:
        self._leg.push(frame)
        self.spectrum.push(frame)
        if self.take is not None:
            self.take.push_after(frame)


class Session:
    """From an offer to the end. *over* is called once, in the loop, with the record complete."""

    def __init__(
        self,
        exchange: Exchange,
        settings: WebSettings,
        source: str,
        over: Callable[[Session], None],
    ) -> None:
        #: Who knows it may use the session: it is no less secret than a token.
        self.id = secrets.token_urlsafe(18)
        self.record = CallRecord("web", caller="page", called="", source=source)
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._exchange = exchange
        self._settings = settings
        self._brightness = settings.brightness
        self._over = over
        self._transport = Transport(settings.media_addresses(), self._gone)
        self._timers: list[asyncio.TimerHandle] = []
        self._connecting: asyncio.Task[None] | None = None
        self._leg: Leg | None = None
        self._voice: _Voice | None = None
        self._ear: _Ear | None = None
        self._stream: Stream | None = None
        self._take: Take | None = None
        self._watched = False

    async def answer(self, offer: Offer, band: Band, bypass: bool, brightness: Brightness) -> str:
        """Answer the page's offer; media moves as soon as it can. Raises :class:`Refused`."""
        own = await self._transport.gather()
        if not own.candidates:
            raise Refused(503, "no address of this machine to receive media on; see --media-address")
        loop = asyncio.get_running_loop()
        leg = self._leg = Leg(
            sockets=self._transport,
            silent_after_s=self._settings.silent_seconds,
            on_silent=lambda seconds: loop.call_soon_threadsafe(self.end, "no sound came from the page"),
        )
        leg.negotiate(
            Media(
                offer.codec,
                payload_type=offer.send_type,
                receive_type=offer.receive_type,
                send_codec=OPUS,
                remote=PEER,
                rtcp_mux=True,
                complexity=self._settings.opus_complexity,
            )
        )
        self._ear = _Ear(leg)
        self._voice = _Voice(leg, self._ear, band)
        try:
            # Another batch may have to be made, which takes tenths of a second.
            stream = await asyncio.to_thread(self._exchange.connect, self._voice, self._ear, bypass=bypass)
        except FullbandError as error:
            raise Refused(503, str(error), Retry_After="10") from None
        if self.ended.done():
            stream.close()
            raise Refused(503, self.ended.result())
        self._voice.stream = self._stream = stream
        self._set_brightness(brightness)
        self.record.enhanced = [stream.batch is not None]
        self._connecting = asyncio.ensure_future(self._connect(offer))
        self._timers.append(loop.call_later(_OPEN_S, self._unwatched))
        return write_answer(offer, own)

    async def _connect(self, offer: Offer) -> None:
        if not await self._transport.connect(offer):
            self.end("no connection for media between the page and this host; see --media-address")
            return
        self.record.answered_s = time.time()
        minutes = self._settings.max_minutes
        loop = asyncio.get_running_loop()
        self._timers.append(
            loop.call_later(60.0 * minutes, self.end, f"{minutes:g} minutes are over, the longest time here")
        )

    # -- what a page can wish -----------------------------------------------------------------------------------------

    def wish(self, wishes: dict[str, Any]) -> None:
        """``bypass``, ``record``: true or false; ``band``: a name; ``level_db``, ``tilt_db``: of the high band.

        Raises :class:`Refused` for anything else.
        """
        for key, value in wishes.items():
            if key == "bypass" and isinstance(value, bool):
                if self._stream is not None:
                    self._stream.set_bypass(value)
            elif key == "band" and isinstance(value, str) and value in BANDS:
                if self._voice is not None:
                    self._voice.band = BANDS[value]
            elif key == "record" and isinstance(value, bool):
                self._record(value)
            elif key in Brightness._fields:
                self._set_brightness(amended(self._brightness, {key: value}, self._exchange))
            else:
                raise Refused(400, f"cannot do {key[:40]!r} with {str(value)[:40]!r}")

    def _set_brightness(self, brightness: Brightness) -> None:
        self._brightness = brightness
        if self._stream is not None:
            self._stream.set_brightness(brightness)

    def _record(self, on: bool) -> None:
        voice = self._voice
        if voice is None:
            return
        if on:
            delay = round(self._network_ms * RATE_HZ / 1000.0)
            self._take = voice.wanted = Take(self._settings.max_record_seconds, delay)
        elif self._take is not None:
            self._take.running = False
            voice.wanted = None

    def recording(self, side: str) -> bytes:
        """The last recording, ``before`` or ``after``. Raises :class:`Refused` with 404 where there is none."""
        if self._take is None or self._take.seconds == 0.0:
            raise Refused(404, "nothing was recorded")
        return self._take.wav(side)

    # -- what a page sees ---------------------------------------------------------------------------------------------

    @property
    def _network_ms(self) -> float:
        batch = self._stream.batch if self._stream is not None else None
        return batch.delay_ms if batch is not None else 0.0

    def legs(self) -> dict[str, dict[str, Any]]:
        """What the leg counts, by whose it is."""
        return {"page": self._leg.statistics().as_dict()} if self._leg is not None else {}

    def columns(self) -> bytes:
        """New columns of the spectrograms: for each 120 bytes before, and 120 after."""
        if self._voice is None or self._ear is None:
            return b""
        before, after = self._voice.spectrum, self._ear.spectrum
        count = min(before.columns, after.columns)
        joined = [part for pair in zip(before.take(count), after.take(count), strict=True) for part in pair]
        return b"".join(part.tobytes() for part in joined)

    def figures(self) -> dict[str, Any]:
        """How it goes, now. Times are in ms."""
        leg, voice, ear, stream, take = self._leg, self._voice, self._ear, self._stream, self._take
        if leg is None or voice is None or ear is None or stream is None:
            return {}
        clock = self._exchange.statistics()
        counted = leg.statistics().as_dict()
        parts = {
            "buffer": counted["delay_ms"],
            "band": 1000.0 * DELAY_SAMPLES / RATE_HZ,
            "network": self._network_ms,
            "packet": leg.send_delay_ms,
        }
        return {
            "connected": self._transport.connected,
            "leg": counted,
            "band": voice.band.name,
            "bypass": stream.bypass,
            "enhanced": stream.batch is not None,
            "cutoff_hz": stream.cutoff_hz,
            **self._brightness._asdict(),
            "latency_ms": {name: round(ms, 2) for name, ms in parts.items()},
            "high_before_dbfs": voice.spectrum.high_dbfs,
            "high_after_dbfs": ear.spectrum.high_dbfs,
            "load": round(clock.tick_p50_ms / FRAME_MS, 4),
            "tick_p99_ms": clock.tick_p99_ms,
            "ticks": clock.ticks,
            "late_ticks": clock.late_ticks,
            "dull_ticks": clock.dull_ticks,
            "sessions": clock.calls,
            "seconds": round(self.record.talk_s, 1),
            "recording": take is not None and take.running and not take.full,
            "recorded_seconds": round(take.seconds, 1) if take is not None else 0.0,
        }

    # -- the end ------------------------------------------------------------------------------------------------------

    def watched(self) -> None:
        """The page has opened its events."""
        self._watched = True

    def _unwatched(self) -> None:
        if not self._watched:
            self.end("the page did not open its events")

    def _gone(self, reason: str) -> None:
        self.end(reason, by="caller")

    def end(self, reason: str, by: str = "us") -> None:
        """End it, once."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        for timer in self._timers:
            timer.cancel()
        record = self.record
        record.legs = self.legs()
        record.outcome = "answered" if record.answered_s is not None else "no media"
        record.ended_by, record.reason, record.ended_s = by, reason, time.time()
        if self._stream is not None:
            self._stream.close()
        if self._leg is not None:
            self._leg.close()
        else:
            self._transport.close()
        self._over(self)

    async def close(self) -> None:
        """Wait until its sockets are closed. After :meth:`end`."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self._transport.closed()
