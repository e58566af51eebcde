"""What the devices at both ends run at."""

from __future__ import annotations

from dataclasses import dataclass

from .onnx.contract import RATE_HZ


@dataclass(frozen=True)
class StreamFormat:
    """What the devices at both ends run at. *block_frames* counts playback frames per callback."""

    capture_rate_hz: int
    playback_rate_hz: int
    block_frames: int
    capture_channels: int = 1
    playback_channels: int = 1
    separate_clocks: bool = False

    @property
    def block_samples(self) -> float:
        """A playback block in samples of the 48 kHz timeline."""
        return self.block_frames * RATE_HZ / self.playback_rate_hz
