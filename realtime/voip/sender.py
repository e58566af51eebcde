"""From frames to packets: resampled to the codec's rate, encoded, numbered and stamped."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..native.resampler import Resampler
from ..onnx.contract import RATE_HZ
from .codecs import Encoder
from .dsp import resample_at
from .frames import FRAME_MS, FRAME_SAMPLES, Frame
from .media import Media
from .rtp import SEQUENCE_RANGE, TIMESTAMP_RANGE, Packet, build


@dataclass
class SentCounts:
    """What was sent, for reports and for RTCP."""

    packets: int = 0
    payload_bytes: int = 0
    events: int = 0


class Sender:
    """One RTP stream on its way out. *send* gets each datagram; it never raises."""

    def __init__(self, media: Media, send: Callable[[bytes], None], ssrc: int | None = None) -> None:
        codec = media.codec
        self.media = media
        self.counts = SentCounts()
        self.ssrc = secrets.randbits(32) if ssrc is None else ssrc
        self._send = send
        self._encoder: Encoder = codec.encoder(media.ptime_ms)
        self._resampler = None
        if codec.rate_hz != RATE_HZ:
            self._resampler = Resampler(RATE_HZ, codec.rate_hz, 1, FRAME_SAMPLES)
        self._out = np.zeros((1, FRAME_SAMPLES + 8), np.float32)
        self._packet_samples = codec.rate_hz * media.ptime_ms // 1000
        self._waiting = np.zeros(self._packet_samples + FRAME_SAMPLES + 8, np.float32)
        self._filled = 0
        self._clock_per_packet = codec.clock_hz * media.ptime_ms // 1000
        self._sequence = secrets.randbits(16)
        self._timestamp = secrets.randbits(32)
        self._marker = True

    @property
    def timestamp(self) -> int:
        """Of the next packet, in the codec's clock."""
        return self._timestamp

    @property
    def delay_ms(self) -> float:
        """What resampling and packets add: the first sample of a packet waits for its last."""
        resampler_ms = self._resampler.delay_ms if self._resampler else 0.0
        return resampler_ms + self.media.ptime_ms - FRAME_MS

    def push(self, frame: Frame) -> None:
        """Take a frame [480]; sends a packet whenever one is full."""
        samples = frame
        if self._resampler is not None:
            count = resample_at(self._resampler.address, frame[None], self._out)
            samples = self._out[0, :count]
        self._waiting[self._filled : self._filled + len(samples)] = samples
        self._filled += len(samples)
        while self._filled >= self._packet_samples:
            payload = self._encoder.encode(self._waiting[: self._packet_samples])
            rest = self._filled - self._packet_samples
            self._waiting[:rest] = self._waiting[self._packet_samples : self._filled]
            self._filled = rest
            self._emit(payload)

    def pass_time(self) -> None:
        """A frame's time goes by with nothing sent: on hold, or while a tone is sent in its place."""
        self._filled = 0
        self._timestamp = (self._timestamp + self.media.codec.clock_hz * FRAME_MS // 1000) % TIMESTAMP_RANGE
        self._marker = True

    def _emit(self, payload: bytes | None) -> None:
        if payload is None:
            self._marker = True
        else:
            self._send_packet(self.media.type_number, payload, self._timestamp, self._marker)
            self._marker = False
        self._timestamp = (self._timestamp + self._clock_per_packet) % TIMESTAMP_RANGE

    def _send_packet(self, payload_type: int, payload: bytes, timestamp: int, marker: bool) -> None:
        self._send(build(Packet(payload_type, marker, self._sequence, timestamp, self.ssrc, payload)))
        self._sequence = (self._sequence + 1) % SEQUENCE_RANGE
        self.counts.packets += 1
        self.counts.payload_bytes += len(payload)
