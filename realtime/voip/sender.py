"""From frames to packets: resampled to the codec's rate, encoded, numbered and stamped."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..native.resampler import Resampler
from ..onnx.contract import RATE_HZ
from . import events, noise
from .codecs import Encoder, Samples
from .dsp import power, resample_at
from .frames import FRAME_MS, FRAME_SAMPLES, Frame
from .media import Media
from .rtp import SEQUENCE_RANGE, TIMESTAMP_RANGE, Packet, build
from .statistics import SentCounts

#: The end of an event is sent so often, as it must not be missed (RFC 4733 section 2.5.1.4).
_ENDS = 3
#: Silence between two keys, without which they are one to some.
_BETWEEN_KEYS_MS = 60

#: With DTX, a pause begins after so long below this much above the floor; its noise is told again from time to time.
_PAUSE_AFTER_MS = 200
_PAUSE_BELOW = 4.0
_TELL_NOISE_MS = 400


@dataclass
class _Key:
    """An event that is being sent: its code, the timestamp it began at, and clock units of it so far and in all."""

    code: int
    duration: int
    timestamp: int = 0
    so_far: int = 0
    ends: int = 0


class Sender:
    """One RTP stream on its way out. *send* gets each datagram; it never raises."""

    def __init__(
        self,
        media: Media,
        send: Callable[[bytes], None],
        counts: SentCounts | None = None,
        ssrc: int | None = None,
    ) -> None:
        codec = media.sent
        self.media = media
        self.counts = counts or SentCounts()
        self.ssrc = secrets.randbits(32) if ssrc is None else ssrc
        self._send = send
        self._encoder: Encoder = codec.encoder(media.ptime_ms, media.dtx, media.complexity)
        self._resampler = None
        if codec.rate_hz != RATE_HZ:
            self._resampler = Resampler(RATE_HZ, codec.rate_hz, 1, FRAME_SAMPLES)
        self._frame = np.zeros((1, FRAME_SAMPLES), np.float32)
        self._out = np.zeros((1, FRAME_SAMPLES + 8), np.float32)
        self._packet_samples = codec.rate_hz * media.ptime_ms // 1000
        self._waiting = np.zeros(self._packet_samples + FRAME_SAMPLES + 8, np.float32)
        self._filled = 0
        self._per_ms = codec.clock_hz // 1000
        self._sequence = secrets.randbits(16)
        self._timestamp = secrets.randbits(32)
        self._marker = True
        self._keys: deque[_Key] = deque()
        self._pause_left_ms = 0
        self._floor = noise.Floor()
        self._quiet_ms = self._told_ms = 0

    @property
    def timestamp(self) -> int:
        """Of the next packet, in the codec's clock."""
        return self._timestamp

    @property
    def delay_ms(self) -> float:
        """What resampling and packets add: the first sample of a packet waits for its last."""
        resampler_ms = self._resampler.delay_ms if self._resampler else 0.0
        return resampler_ms + self.media.ptime_ms - FRAME_MS

    def press(self, code: int, duration_ms: int) -> None:
        """Send event *code* (:data:`.events.KEYS`) in place of audio, after those that wait."""
        self._keys.append(_Key(code, duration_ms * self._per_ms))

    def push(self, frame: Frame) -> None:
        """Take a frame [480]; sends a packet whenever one is full."""
        samples = frame
        if self._resampler is not None:
            self._frame[0] = frame
            count = resample_at(self._resampler.address, self._frame, self._out)
            samples = self._out[0, :count]
        self._waiting[self._filled : self._filled + len(samples)] = samples
        self._filled += len(samples)
        while self._filled >= self._packet_samples:
            self._packet(self._waiting[: self._packet_samples])
            rest = self._filled - self._packet_samples
            self._waiting[:rest] = self._waiting[self._packet_samples : self._filled].copy()
            self._filled = rest
            self._timestamp = (self._timestamp + self.media.ptime_ms * self._per_ms) % TIMESTAMP_RANGE

    def pass_time(self) -> None:
        """A frame's time goes by with nothing sent, as on hold."""
        self._filled = 0
        self._timestamp = (self._timestamp + FRAME_MS * self._per_ms) % TIMESTAMP_RANGE
        self._marker = True

    def _packet(self, samples: Samples) -> None:
        if self._keys and self._pause_left_ms <= 0:
            self._send_key(self._keys[0])
            return
        self._pause_left_ms -= self.media.ptime_ms
        if self._is_pause(samples):
            return
        payload = self._encoder.encode(samples)
        if payload is None:
            self._marker = True
        else:
            self._emit(self.media.type_number, payload, self._timestamp, self._marker)
            self._marker = False

    def _send_key(self, key: _Key) -> None:
        """One packet of *key*; it lasts longer with each, then ends three times."""
        events_type = self.media.events_type
        if events_type is None:
            self._keys.popleft()
            return
        if key.so_far == 0:
            key.timestamp = self._timestamp
            self.counts.keys += 1
        first = key.so_far == 0
        key.so_far = min(key.so_far + self.media.ptime_ms * self._per_ms, key.duration)
        end = key.so_far >= key.duration
        payload = events.build(events.Event(key.code, end, key.so_far))
        self._emit(events_type, payload, key.timestamp, first)
        if end:
            key.ends += 1
            if key.ends == _ENDS:
                self._keys.popleft()
                self._pause_left_ms = _BETWEEN_KEYS_MS
                self._marker = True

    def _is_pause(self, samples: Samples) -> bool:
        """With DTX, for codecs that leave it to us: whether *samples* need not be sent, as there is only noise."""
        noise_type = self.media.noise_type
        if not self.media.dtx or noise_type is None or self.media.sent.clock_hz != 8_000:
            return False
        level = power(samples, 0, len(samples))
        self._floor.add(level, self.media.ptime_ms // FRAME_MS)
        if level > _PAUSE_BELOW * self._floor.power:
            self._marker = self._marker or self._quiet_ms >= _PAUSE_AFTER_MS
            self._quiet_ms = self._told_ms = 0
            return False
        self._quiet_ms += self.media.ptime_ms
        if self._quiet_ms < _PAUSE_AFTER_MS:
            return False
        if self._told_ms <= 0:
            self._told_ms = _TELL_NOISE_MS
            self._emit(noise_type, noise.build(level**0.5), self._timestamp, False)
        self._told_ms -= self.media.ptime_ms
        return True

    def _emit(self, payload_type: int, payload: bytes, timestamp: int, marker: bool) -> None:
        self._send(build(Packet(payload_type, marker, self._sequence, timestamp, self.ssrc, payload)))
        self._sequence = (self._sequence + 1) % SEQUENCE_RANGE
        self.counts.packets += 1
        self.counts.payload_bytes += len(payload)
