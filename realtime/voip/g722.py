"""G.722 at 64 kbit/s by FFmpeg, through PyAV."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from .codecs import to_int16

_RATE_HZ = 16_000


class Encoder:
    """Two samples a byte, in packets of *packet_ms*: FFmpeg would gather 20 ms."""

    def __init__(self, packet_ms: int = 20, dtx: bool = False, complexity: int = 0) -> None:
        del dtx, complexity  # the sender's own affair, and another codec's
        self._context = av.CodecContext.create("g722", "w")
        self._context.format = "s16"
        self._context.layout = "mono"
        self._context.sample_rate = _RATE_HZ
        self._context.options = {"frame_size": str(_RATE_HZ * packet_ms // 1000)}

    def encode(self, samples: NDArray[np.float32]) -> bytes:
        frame = av.AudioFrame.from_ndarray(to_int16(samples)[None], format="s16", layout="mono")
        frame.sample_rate = _RATE_HZ
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


class Decoder:
    """Every string of bytes is a valid payload."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("g722", "r")
        self._context.format = "s16"
        self._context.layout = "mono"
        self._context.sample_rate = _RATE_HZ

    def length(self, payload: bytes) -> int:
        return 2 * len(payload)

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        frames = self._context.decode(av.Packet(payload))
        samples = [frame.to_ndarray().reshape(-1) for frame in frames]
        whole = np.concatenate(samples) if samples else np.zeros(0, np.int16)
        return whole.astype(np.float32) / np.float32(32_768.0)

    def recover(self, following: bytes, samples: int) -> None:
        return None
