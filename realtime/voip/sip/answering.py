"""A caller answered by this side: with a recording, or with its own voice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from ... import audiofile
from ...onnx.contract import RATE_HZ
from ..frames import FRAME_SAMPLES, Frame, silence
from ..stream import Stream
from .conversation import Conversation
from .incoming import IncomingParty

if TYPE_CHECKING:
    from .desk import Desk


class Recording:
    """A file in memory at 48 kHz, mono, as many calls as there are play it."""

    def __init__(self, path: Path) -> None:
        audio = audiofile.read(path)
        mono = audio.samples.mean(axis=0, dtype=np.float32)
        if audio.rate_hz != RATE_HZ:
            mono = soxr.resample(mono, audio.rate_hz, RATE_HZ).astype(np.float32)
        self.samples = np.clip(mono, -1.0, 1.0)
        self.bandwidth_hz = min(audio.rate_hz, RATE_HZ) / 2.0


class Player:
    """A source that plays *recording* once and calls *ended* in the loop's thread when it is over."""

    def __init__(self, recording: Recording, ended: Callable[[], None]) -> None:
        self.bandwidth_hz = recording.bandwidth_hz
        self._samples = recording.samples
        self._position = 0
        self._ended = ended
        self._loop = asyncio.get_running_loop()

    def pull(self) -> Frame:
        """The next frame [480]; silence after the end."""
        frame = silence()
        piece = self._samples[self._position : self._position + FRAME_SAMPLES]
        frame[: len(piece)] = piece
        if self._position < len(self._samples) <= self._position + FRAME_SAMPLES and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended)
        self._position += FRAME_SAMPLES
        return frame


class Answered(Conversation):
    """Takes the call at once. *recording* None: the caller hears itself, a delay later."""

    def __init__(self, desk: Desk, incoming: IncomingParty, recording: Recording | None) -> None:
        self.service = "echo" if recording is None else "file"
        super().__init__(desk, incoming)
        self._recording = recording
        self._stream: Stream | None = None
        incoming.line.changed = self._connect
        incoming.line.key_pressed = self._count_key
        incoming.key_pressed = self._count_key

    def start(self) -> None:
        """Answer."""
        self.watch(self.incoming)
        self.incoming.answer()
        self.answered()

    def _count_key(self, key: str, duration_ms: int) -> None:
        self.record.keys += 1

    def _connect(self) -> None:
        if self._stream is not None:
            self._stream.close()
        leg, board = self.incoming.line.leg, self.desk.agent.board
        if self._recording is None:
            self._stream = board.carry(leg, leg)
        else:
            self._stream = board.carry(Player(self._recording, self._played), leg)
        self.record.enhanced = [self._stream.batch is not None]

    def _played(self) -> None:
        # The far end's jitter buffer still holds the last word.
        asyncio.get_running_loop().call_later(0.3, self.finish, "answered", "us", "end of file")

    def leave(self) -> None:
        """Play no more."""
        if self._stream is not None:
            self._stream.close()
