"""What a model and a chain have in common: how they go live on rings that others are using already."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .native.ring import Ring
from .native.tally import Tally
from .onnx.contract import RATE_HZ, Contract

#: Runs before going live; the first few allocate and fault in memory.
WARM_UP_HOPS = 24

#: What takes over has run on so much of the recent past.
CATCH_UP_SECONDS = 0.5

#: Further behind than this the engine skips hops; what is left is enough to settle on.
LEAST_BACKLOG_MS = 100.0


class Hopping(ABC):
    """Reads the ring *low*, writes a ring of its own, and is run hop by hop; a chain's hop is its step."""

    lanes: int
    contract: Contract
    address: int
    record: Any
    _low: Ring
    _tally: Tally
    #: How long each of the runs before going live took.
    warm_up_ms: NDArray[np.float64]

    @abstractmethod
    def _run(self, most: int) -> int:
        """Run *most* complete hops at most, on the calling thread; gives how many."""

    @abstractmethod
    def reset(self, position: int = 0) -> None:
        """A fresh stream that begins at low-band *position*, a multiple of the hop. Only while no thread runs it."""

    def _warm_up(self) -> None:
        """On silence, and on a ring of its own: the low band may be in use already."""
        hop = self.contract.hop_samples
        silence = Ring(self.lanes, hop * WARM_UP_HOPS + self.contract.input_samples)
        silence.record["write"] = hop * WARM_UP_HOPS
        self.record["low"] = silence.address
        self.warm_up_ms = np.zeros(WARM_UP_HOPS)
        spent_ns = self._tally.compute_histogram
        for number in range(WARM_UP_HOPS):
            before_ns = int(spent_ns[-1])
            self._run(1)
            self.warm_up_ms[number] = (int(spent_ns[-1]) - before_ns) / 1e6
        self.record["low"] = self._low.address
        self.reset()

    def catch_up(self, origin: int) -> None:
        """Begin in the recent past of the low band and run up to now, so as to be settled when heard.

        A hop then ends at *origin*, which the delay is planned for, or whole hops from there.
        Only while no other thread runs it. What is too slow to catch up is left behind; the engine's
        thread then skips as after any stall.
        """
        hop = self.contract.hop_samples
        begin = self._low.written - int(CATCH_UP_SECONDS * RATE_HZ)
        begin = max(begin - (begin - origin) % hop, origin % hop)
        self.reset(begin)
        self.record["arrival"] = self.record["playback_cursor"] = 0
        self.record["tally"] = self._tally.address
        for _ in range(2 * int(CATCH_UP_SECONDS * RATE_HZ / hop)):
            if self._run(1) == 0:
                break

    def connect(self, tally: Tally, arrival: int) -> None:
        """Count for the engine from now on; *arrival* is an address as in :data:`NETWORK`."""
        self.record["tally"] = tally.address
        self.record["arrival"] = arrival

    def hold(self, delay_samples: int) -> None:
        """Skip no hop that may still be in time at a delay of so many samples."""
        self.record["max_backlog"] = max(int(LEAST_BACKLOG_MS * RATE_HZ / 1000), delay_samples)
