"""Mouth to ear over RTP: what a bad network costs in delay and in sound, beside a buffer of four packets.

Every condition is a call of its own over real sockets on loopback, all at once on one exchange. Its packets pass one
:class:`~.impairment.Proxy`, which gives the same ones at the same time to two receivers: the host's, and the jitter
buffer of aiortc, which holds four packets for ever and conceals nothing. The delay is found in the sound itself
(:mod:`.alignment`); what devices add is not in it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.native.resampler import Resampler
from realtime.paths import VOICE_CLIP
from realtime.voip.codecs import Codec, Decoder, find_codec
from realtime.voip.dsp import resample_at
from realtime.voip.exchange import Exchange
from realtime.voip.frames import FRAME_MS, FRAME_SAMPLES, Frame, Sink, Source, silence
from realtime.voip.leg import Leg, LegStatistics
from realtime.voip.media import Direction, Media
from realtime.voip.receiver import Receiver
from realtime.voip.sender import Sender
from realtime.voip.sockets import SocketPair

from ..signals.alignment import align
from .impairment import Impairment, Link, Proxy

RATE_HZ = 48_000

Samples = NDArray[np.float32]

#: What a connection may do, by name; the last is all of it.
CONDITIONS = {
    "clean": Impairment(),
    "loss 1 %": Impairment(loss=0.01),
    "loss 5 %": Impairment(loss=0.05),
    "loss 10 %": Impairment(loss=0.10),
    "bursts": Impairment(burst_begin=0.01, burst_end=0.33),
    "jitter 60 ms": Impairment(jitter_ms=60.0),
    "reorder 5 %": Impairment(reorder=0.05),
    "duplicate 5 %": Impairment(duplicate=0.05),
    "sender +300 ppm": Impairment(sender_ppm=300.0),
    "all at once": Impairment(
        loss=0.02, burst_begin=0.005, burst_end=0.5, jitter_ms=40.0, reorder=0.02, duplicate=0.02, sender_ppm=-300.0
    ),
}

#: Those that tell most.
QUICKLY = ("clean", "loss 5 %", "all at once")

#: ViSQOL takes as long as it is given audio; so much of each call says enough.
_SCORED_S = 8.0

#: The beginning, where the buffer settles, is not judged.
_SETTLE_S = 2.0


class Mouth:
    """A voice that is said again and again, with the pauses that people make."""

    bandwidth_hz = 24_000.0

    def __init__(self, voice: Samples) -> None:
        self._voice = voice
        self.frames = 0

    def pull(self) -> Frame:
        first = self.frames * FRAME_SAMPLES % len(self._voice)
        self.frames += 1
        frame: Frame = np.take(self._voice, np.arange(first, first + FRAME_SAMPLES), mode="wrap")
        return frame


class Ear:
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []

    def push(self, frame: Frame) -> None:
        self._frames.append(frame.copy())

    @property
    def heard(self) -> Samples:
        """All of it."""
        return np.concatenate(self._frames) if self._frames else np.zeros(0, np.float32)


class FixedBuffer:
    """aiortc's jitter buffer as it is used there: four packets ahead; silence where there is nothing.

    What it gives is played in order as soon as it can be, so that every gap makes the delay longer, for ever.
    """

    bandwidth_hz = 24_000.0

    def __init__(self, codec: Codec) -> None:
        from aiortc.jitterbuffer import JitterBuffer

        self._buffer = JitterBuffer(capacity=16, prefetch=4)
        self._sockets = SocketPair("127.0.0.1")
        self.local = self._sockets.local
        self._decoder: Decoder = codec.decoder()
        self._resampler = None
        if codec.rate_hz != RATE_HZ:
            self._resampler = Resampler(codec.rate_hz, RATE_HZ, 1, codec.rate_hz)
        self._out = np.zeros((1, RATE_HZ), np.float32)
        self._ready: deque[Samples] = deque()
        self._have = 0
        self._begun = False
        self.frames = self.empty_samples = 0

    def pull(self) -> Frame:
        from aiortc.rtp import RtpPacket

        for datagram, _, _ in self._sockets.receive(time.monotonic_ns()):
            packet = RtpPacket.parse(datagram)
            packet._data = packet.payload  # type: ignore[attr-defined]  # as its receiver does
            _, encoded = self._buffer.add(packet)
            if encoded is not None:
                samples = self._decoder.decode(encoded.data)
                if self._resampler is not None:
                    count = resample_at(self._resampler.address, samples[None], self._out)
                    samples = self._out[0, :count].copy()
                self._ready.append(samples)
                self._have += len(samples)
                self._begun = True
        frame = silence()
        filled = 0
        while filled < FRAME_SAMPLES and self._ready:
            piece = self._ready.popleft()
            used = min(len(piece), FRAME_SAMPLES - filled)
            frame[filled : filled + used] = piece[:used]
            filled += used
            self._have -= used
            if used < len(piece):
                self._ready.appendleft(piece[used:])
        if self._begun:
            self.frames += 1
            self.empty_samples += FRAME_SAMPLES - filled
        return frame

    def close(self) -> None:
        """Close its sockets."""
        self._sockets.close()


@dataclass(frozen=True)
class Result:
    """One way through one condition. Delays are mouth to ear, in ms, over half a second or so each."""

    condition: str
    way: str
    lost_share: float
    concealed_share: float
    delay_p5_ms: float | None
    delay_p50_ms: float | None
    delay_p95_ms: float | None
    delay_max_ms: float | None
    drift_ms: float | None
    visqol: float | None
    delays_ms: tuple[float, ...]
    statistics: dict[str, Any] | None


def voice() -> Samples:
    """The clip that ships, at 48 kHz."""
    import soxr

    from realtime.audiofile import read

    audio = read(VOICE_CLIP)
    return soxr.resample(audio.samples.mean(axis=0), audio.rate_hz, RATE_HZ).astype(np.float32)


def _delays_ms(heard: Samples, said: Samples) -> NDArray[np.float64]:
    """The delay at places some 40 ms apart, where it could be found; the first seconds left out."""
    found = align(heard, said, RATE_HZ // 5, steered=True, step=2048)
    settled = found.places > _SETTLE_S * RATE_HZ
    return np.asarray(found.delays[settled] * 1000.0 / RATE_HZ)


def _result(
    name: str, way: str, heard: Samples, said: Samples, lost: float, concealed: float, leg: LegStatistics | None
) -> Result:
    delays = _delays_ms(heard, said)
    known = len(delays) > 10
    spread = np.percentile(delays, (5, 50, 95, 100)) if known else None
    tenth = max(len(delays) // 10, 1)
    return Result(
        condition=name,
        way=way,
        lost_share=lost,
        concealed_share=concealed,
        delay_p5_ms=float(spread[0]) if spread is not None else None,
        delay_p50_ms=float(spread[1]) if spread is not None else None,
        delay_p95_ms=float(spread[2]) if spread is not None else None,
        delay_max_ms=float(spread[3]) if spread is not None else None,
        drift_ms=float(np.median(delays[-tenth:]) - np.median(delays[:tenth])) if known else None,
        visqol=None,
        delays_ms=tuple(np.round(delays, 2)),
        statistics=leg.as_dict() if leg else None,
    )


#: Look-ahead of Opus for speech at 48 kHz (RFC 6716 section 2.1.7), and of G.722's filters, 22 samples.
_CODEC_MS = {"opus": 6.5, "G722": 1.375}


@dataclass
class Run:
    """What all conditions left: results, and what was heard in each, for listening models."""

    results: list[Result]
    heard: dict[tuple[str, str], Samples]
    said: Samples
    exchange: dict[str, Any]


def run(
    codec_name: str,
    seconds: float,
    names: list[str],
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Run:
    """All conditions *names* at once, for *seconds* of speech, over *codec_name*."""
    codec = find_codec(codec_name)
    said_once = voice()
    ptime_ms = 10 if codec.name == "L16" and codec.rate_hz > 16_000 else 20
    media = Media(codec, ptime_ms=ptime_ms)
    calls: list[tuple[str, Link, Leg, FixedBuffer, Ear, Ear]] = []
    said = Ear()
    with ExitStack() as stack:
        exchange = Exchange("none")
        stack.callback(exchange.close)
        streams: list[tuple[Source, Sink]] = []
        for number, name in enumerate(names):
            link = Link(CONDITIONS[name], seed + number, seconds)
            fixed = FixedBuffer(codec)
            stack.callback(fixed.close)
            listener = stack.enter_context(Leg())
            proxy = stack.enter_context(Proxy(link, [listener.local, fixed.local]))
            speaker = stack.enter_context(Leg())
            speaker.negotiate(_with(media, proxy.address, Direction.SENDONLY))
            listener.negotiate(_with(media, proxy.address, Direction.RECVONLY))
            ear, fixed_ear = Ear(), Ear()
            calls.append((name, link, listener, fixed, ear, fixed_ear))
            streams += [(Mouth(said_once), speaker), (listener, ear), (fixed, fixed_ear)]
        streams.append((Mouth(said_once), said))
        for source, sink in streams:
            exchange.connect(source, sink)
        exchange.start()
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0.0:
            progress(f"{len(names)} calls over {codec.name}, {left:.0f} s left")
            time.sleep(min(left, 0.5))
        figures = exchange.statistics().as_dict()
        exchange.close()
        results: list[Result] = []
        heard: dict[tuple[str, str], Samples] = {}
        for name, link, listener, fixed, ear, fixed_ear in calls:
            progress(f"{name}: laying what was heard against what was said")
            told = listener.statistics()
            lost = link.lost_share
            results.append(_result(name, "adaptive", ear.heard, said.heard, lost, told.concealed_share, told))
            empty = fixed.empty_samples / max(fixed.frames * FRAME_SAMPLES, 1)
            results.append(_result(name, "fixed", fixed_ear.heard, said.heard, lost, empty, None))
            heard[name, "adaptive"], heard[name, "fixed"] = ear.heard, fixed_ear.heard
    return Run(results, heard, said.heard, figures)


def _with(media: Media, remote: tuple[str, int], direction: Direction) -> Media:
    return Media(media.codec, remote=remote, ptime_ms=media.ptime_ms, direction=direction)


def budget(codec_name: str, results: list[Result]) -> tuple[list[tuple[str, float]], float | None]:
    """Where the delay of the clean call comes from, and what was measured of the sum."""
    codec = find_codec(codec_name)
    clean = next(r for r in results if r.way == "adaptive")
    media = Media(codec, ptime_ms=10 if codec.name == "L16" and codec.rate_hz > 16_000 else 20)
    sender, receiver = Sender(media, lambda _: None), Receiver(media)
    parts = [
        ("packets and resampler out", sender.delay_ms + FRAME_MS),
        ("codec", _CODEC_MS.get(codec.name, 0.0)),
        ("jitter buffer", (clean.statistics or {}).get("delay_ms", 0.0)),
        ("resampler in", receiver.fixed_delay_ms),
    ]
    return parts, clean.delay_p50_ms


def score(run_: Run, progress: Callable[[str], None] = lambda _: None) -> list[Result]:
    """The results with ViSQOL of each against the clean call through the host, which is what there was to lose."""
    from model.metrics.perceptual import visqol

    first = int(_SETTLE_S * RATE_HZ)
    reference = run_.heard["clean", "adaptive"]
    wanted_delay = _typical_delay(run_.results, "clean", "adaptive")
    scored = []
    for result in run_.results:
        progress(f"ViSQOL: {result.condition}, {result.way}")
        delay = _typical_delay(run_.results, result.condition, result.way)
        if delay is None or wanted_delay is None:
            scored.append(result)
            continue
        given = run_.heard[result.condition, result.way][first + delay :]
        wanted = reference[first + wanted_delay :]
        count = min(len(given), len(wanted), int(_SCORED_S * RATE_HZ))
        scored.append(replace(result, visqol=visqol(given[:count], wanted[:count])))
    return scored


def _typical_delay(results: list[Result], condition: str, way: str) -> int | None:
    for result in results:
        if (result.condition, result.way) == (condition, way) and result.delay_p50_ms is not None:
            return round(result.delay_p50_ms * RATE_HZ / 1000.0)
    return None
