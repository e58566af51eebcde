"""What the engine thread counts: one block for the life of an engine, whichever model is in use."""

from __future__ import annotations

import numpy as np

from .histogram import new_cells
from .memory import aligned_zeros

TALLY = np.dtype(
    [
        (name, np.int64)
        for name in (
            "hops",
            "deadline_misses",
            "longest_miss_run",
            "miss_run",
            "least_margin",  # samples between a hop's being done and its being asked for; reset by the control plane
            "bad_chunks",
            "failed_runs",
            "skipped_hops",
            "tied_hops",  # whose high band was too loud for the low band
            "compute_histogram",
            "response_histogram",
        )
    ],
    align=True,
)

#: What ``least_margin`` is reset to: no hop has been seen since.
NO_MARGIN = 1 << 40


class Tally:
    """The memory of one such block."""

    def __init__(self) -> None:
        self._record = aligned_zeros(1, TALLY)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self.compute_histogram = new_cells()
        self.response_histogram = new_cells()
        self.record["compute_histogram"] = self.compute_histogram.ctypes.data
        self.record["response_histogram"] = self.response_histogram.ctypes.data
        self.record["least_margin"] = NO_MARGIN

    def take_least_margin(self) -> int | None:
        """The least margin in samples since the last call; None when no hop was run."""
        margin = int(self.record["least_margin"])
        self.record["least_margin"] = NO_MARGIN
        return None if margin == NO_MARGIN else margin
