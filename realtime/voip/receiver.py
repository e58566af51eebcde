"""From packets to frames: one RTP stream on its way in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..native.resampler import Resampler
from ..onnx.contract import RATE_HZ
from .codecs import Decoder
from .dsp import resample_at
from .frames import FRAME_MS, FRAME_SAMPLES, Frame, silence
from .media import Media
from .rtp import SEQUENCE_RANGE, Packet, unwrap


@dataclass
class ReceivedCounts:
    """Packets and samples, from the beginning of a leg; samples are at 48 kHz."""

    packets: int = 0
    payload_bytes: int = 0
    lost: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0
    malformed: int = 0
    samples: int = 0
    concealed_samples: int = 0


class Receiver:
    """A source of frames from the packets of one stream."""

    def __init__(self, media: Media, counts: ReceivedCounts | None = None) -> None:
        codec = media.codec
        self.media = media
        self.counts = counts or ReceivedCounts()
        self._decoder: Decoder = codec.decoder()
        self._packets: dict[int, Packet] = {}
        self._next: int | None = None
        self._newest = 0
        self._resampler = Resampler(codec.rate_hz, RATE_HZ, 1, codec.rate_hz // 5)
        self._out = np.zeros((1, RATE_HZ), np.float32)
        self._ready = np.zeros(0, np.float32)

    @property
    def bandwidth_hz(self) -> float:
        """Half the codec's sampling rate."""
        return self.media.codec.bandwidth_hz

    def accept(self, packet: Packet, arrival_ns: int) -> None:
        """Take a packet of the codec's payload type that came at *arrival_ns* (CLOCK_MONOTONIC)."""
        counts = self.counts
        length = self._decoder.length(packet.payload)
        if length == 0:
            counts.malformed += 1
            return
        if self._next is None:
            self._next = self._newest = packet.sequence
        sequence = unwrap(packet.sequence, self._newest, SEQUENCE_RANGE)
        counts.packets += 1
        counts.payload_bytes += len(packet.payload)
        if sequence < self._next:
            counts.late += 1
        elif sequence in self._packets:
            counts.duplicate += 1
        else:
            counts.reordered += sequence < self._newest
            self._newest = max(self._newest, sequence)
            self._packets[sequence] = packet

    def pull(self) -> Frame:
        """The next frame [480]."""
        while len(self._ready) < FRAME_SAMPLES and self._next in self._packets:
            samples = self._decoder.decode(self._packets.pop(self._next).payload)
            self._next += 1
            count = resample_at(self._resampler.address, samples[None], self._out)
            self._ready = np.concatenate([self._ready, self._out[0, :count]])
        self.counts.samples += FRAME_SAMPLES
        frame = silence()
        have = min(FRAME_SAMPLES, len(self._ready))
        frame[:have] = self._ready[:have]
        self._ready = self._ready[have:]
        self.counts.concealed_samples += FRAME_SAMPLES - have
        return frame

    @property
    def buffer_ms(self) -> float:
        """Audio that waits."""
        return len(self._packets) * self.media.ptime_ms + len(self._ready) * FRAME_MS / FRAME_SAMPLES
