"""One direction of one call on its way through an exchange: from a source, perhaps through the network, to a sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..bandwidth import BandwidthDetector
from ..brightness import BrightnessMemory
from ..wishes import Brightness
from .batch import Batch
from .frames import Frame, Sink, Source
from .lane import Lane


@dataclass(eq=False)
class Stream:
    """From :meth:`~.exchange.Exchange.connect` to :meth:`close`. All of it from any thread, but :meth:`pull`."""

    source: Source
    sink: Sink
    batch: Batch | None = field(repr=False)
    lane: int
    cutoff_hz: float
    bypass: bool = False
    #: Where the level of :meth:`set_brightness` holds; None: where the band ends.
    pivot_hz: float | None = None
    closed: bool = False
    #: The exception that ended it, should source or sink have raised one.
    fault: Exception | None = None
    on_close: Callable[[Stream], None] = field(default=lambda _: None, repr=False)
    _detector: BandwidthDetector | None = field(default=None, repr=False)
    _memory: BrightnessMemory | None = field(default=None, repr=False)
    _controls: Lane | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.batch is not None:
            self._controls = Lane(self.batch, self.lane, self.cutoff_hz, self.bypass, self.pivot_hz)

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """Tell the network where this voice's band ends; a change that is heard is made with the high band faded out.
        It is then not looked for any more."""
        self._detector = None
        self._apply(cutoff_hz)

    def find_cutoff(self) -> None:
        """Look for the end of the voice's band from now on, beginning with what the source may have.

        A voice whose band becomes narrow is kept as bright as it was.
        """
        self._detector = BandwidthDetector()
        if self._memory is None and self.batch is not None:
            self._memory = BrightnessMemory(self.batch.engine.model_path)
        self._apply(self.source.bandwidth_hz)

    def set_bypass(self, bypass: bool) -> None:
        """Fade this call's high band out, or in again, within one window of the network."""
        self.bypass = bypass
        if self._controls is not None:
            self._controls.bypass = bypass

    def set_brightness(self, brightness: Brightness) -> None:
        """Level and tilt of this call's high band, where the model takes them."""
        if self._controls is not None:
            self._controls.wished = brightness

    def pull(self) -> Frame:
        """The next frame [480] of the source, heard and with the network told of it; for the exchange's clock."""
        frame = self.source.pull()
        detector = self._detector
        if detector is not None:
            # Where the codec may carry more than a telephone, the band is what is heard.
            heard_hz = min(detector.push(frame), self.source.bandwidth_hz)
            if heard_hz != self.cutoff_hz:
                self._apply(heard_hz)
        memory = self._memory
        if self._controls is not None:
            if memory is not None and memory.push(frame, self.cutoff_hz):
                self._controls.known = memory.brightness
            self._controls.follow()
        return frame

    def close(self) -> None:
        """Source and sink are left alone from the next frame on. May be called twice."""
        self.on_close(self)

    def _apply(self, cutoff_hz: float) -> None:
        self.cutoff_hz = cutoff_hz
        if self._controls is not None:
            self._controls.cutoff_hz = cutoff_hz

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
