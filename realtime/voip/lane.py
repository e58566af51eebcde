"""What the network is told of one voice of a batch: where its band ends, and how loud its high band shall be."""

from __future__ import annotations

from ..brightness import GLIDE_DB_PER_S
from ..wishes import AS_IT_IS, Brightness
from .batch import Batch
from .frames import FRAME_MS

#: A change of the cutoff that is heard is made without the high band, as in ``live``: it goes within one window of the
#: network, and comes back when what it has heard since is settled. In frames of 10 ms.
FADE_FRAMES, SETTLE_FRAMES = 2, 4

#: A cutoff that moves by less needs no fade: the difference is then 20 dB below the high band from the first.
_SMALL_CHANGE = 0.06


class Lane:
    """The controls of one lane. Wishes may be set from any thread; :meth:`follow` is for the clock's."""

    def __init__(self, batch: Batch, number: int, cutoff_hz: float, bypass: bool, pivot_hz: float | None) -> None:
        self._batch, self._number = batch, number
        self.cutoff_hz = cutoff_hz
        self.bypass = bypass
        self.wished = AS_IT_IS
        self._pivot_hz = pivot_hz
        #: What is known of the voice, for where nothing is wished; it is come to slowly.
        self.known = AS_IT_IS
        self._known = AS_IT_IS
        #: What the network has: the cutoff, level and tilt (None: no high band) and whether there is a bypass.
        self._given: tuple[float, Brightness | None, bool] | None = None
        self._frames_left = 0

    def follow(self) -> None:
        """Take a step towards what is wished, before the next frame is given."""
        cutoff_hz, bypass = self.cutoff_hz, self.bypass
        if self._given is not None:
            given_hz = self._given[0]
            # A model without a level cannot be faded; its cutoff then moves at once.
            if self._frames_left == 0 and not bypass and abs(cutoff_hz / given_hz - 1.0) > _SMALL_CHANGE:
                self._frames_left = FADE_FRAMES + SETTLE_FRAMES + 1 if self._batch.takes_level else 0
            if self._frames_left > 0:
                self._frames_left -= 1
                if self._frames_left > SETTLE_FRAMES:
                    cutoff_hz = given_hz
        known = self.known if self.wished == AS_IT_IS else AS_IT_IS
        self._known = self._known.towards(known, GLIDE_DB_PER_S * FRAME_MS / 1000.0)
        audible = not bypass and self._frames_left == 0
        wished = self.wished.from_cutoff(cutoff_hz, self._pivot_hz)
        wanted = (cutoff_hz, self._known.added_to(wished) if audible else None, bypass)
        if wanted != self._given:
            self._given = wanted
            by_level = self._batch.set_brightness(self._number, wanted[1])
            # Above a full band there is nothing to add.
            self._batch.set_cutoff_hz(self._number, 24_000.0 if bypass and not by_level else cutoff_hz)
