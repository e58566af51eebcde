"""The streaming resampler: windowed sinc, polyphase, with a ratio that may change while it runs.

Output n is the signal at input time n * step exactly: there is no offset to remember, only the wait of
:func:`realtime.kernel.half_taps` input samples until the kernel's right half has arrived.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..kernel import PHASES, half_taps, polyphase_table
from . import COMPILE, COMPILE_SUMS
from .memory import aligned_zeros, floats_at

RESAMPLER = np.dtype(
    [(name, np.int64) for name in ("lanes", "table", "taps", "history", "capacity", "filled", "centre")]
    + [(name, np.float64) for name in ("fraction", "nominal_step", "ppm")],
    align=True,
)


@njit(**COMPILE)
def needed(r, count):  # type: ignore[no-untyped-def]
    """Input samples to push before *count* outputs can be pulled."""
    step = r.nominal_step * (1.0 + 1e-6 * r.ppm)
    # The same sum, in the same order, as in `resample`, so that both round alike.
    centre = r.centre
    fraction = r.fraction
    for _ in range(count - 1):
        fraction += step
        whole = int(fraction)
        centre += whole
        fraction -= whole
    return max(centre + r.taps // 2 + 1 - r.filled, 0)


@njit(**COMPILE)
def push(r, block, start, count):  # type: ignore[no-untyped-def]
    """Take ``block[:, start:start + count]``; the caller leaves room (see :class:`Resampler`)."""
    history = floats_at(r.history, (r.lanes, r.capacity))
    for lane in range(r.lanes):
        for i in range(count):
            history[lane, r.filled + i] = block[lane, start + i]
    r.filled += count


@njit(**COMPILE_SUMS)
def resample(r, out, limit):  # type: ignore[no-untyped-def]
    """Write to ``out[:, :n]`` all outputs that the pushed input allows, *limit* at most; gives n."""
    taps = r.taps
    half = taps // 2
    history = floats_at(r.history, (r.lanes, r.capacity))
    step = r.nominal_step * (1.0 + 1e-6 * r.ppm)
    centre = r.centre
    fraction = r.fraction
    count = 0
    while count < limit and centre + half < r.filled:
        position = fraction * PHASES
        row = min(int(position + 1e-9), PHASES - 1)  # a fraction that rounding left just short of one
        weight = np.float32(max(position - row, 0.0))
        first = centre - half + 1
        # Views that begin where the loop begins: an index that is never negative lets it be vectorised.
        weights = floats_at(r.table + 4 * row * taps, taps)
        next_weights = floats_at(r.table + 4 * (row + 1) * taps, taps)
        for lane in range(r.lanes):
            x = floats_at(r.history + 4 * (lane * r.capacity + first), taps)
            lower = np.float32(0.0)
            upper = np.float32(0.0)
            for k in range(taps):
                lower += x[k] * weights[k]
                upper += x[k] * next_weights[k]
            out[lane, count] = lower + weight * (upper - lower)
        count += 1
        fraction += step
        whole = int(fraction)
        centre += whole
        fraction -= whole
    keep = centre - half + 1
    for lane in range(r.lanes):
        for i in range(r.filled - keep):
            history[lane, i] = history[lane, keep + i]
    r.filled -= keep
    r.centre = half - 1
    r.fraction = fraction
    return count


class Resampler:
    """State of one resampler of *lanes* channels; at most *max_block* samples wait to be used at once."""

    def __init__(self, rate_in_hz: float, rate_out_hz: float, lanes: int, max_block: int) -> None:
        self.table: NDArray[np.float32] = polyphase_table(float(rate_in_hz), float(rate_out_hz))
        taps = self.table.shape[1]
        self.history: NDArray[np.float32] = aligned_zeros((lanes, max_block + 2 * taps), np.float32)
        self._record = aligned_zeros(1, RESAMPLER)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self.record["lanes"] = lanes
        self.record["table"] = self.table.ctypes.data
        self.record["taps"] = taps
        self.record["history"] = self.history.ctypes.data
        self.record["capacity"] = self.history.shape[1]
        self.record["nominal_step"] = rate_in_hz / rate_out_hz
        self.rate_in_hz = rate_in_hz
        self.rate_out_hz = rate_out_hz
        self.reset()

    @property
    def half_taps(self) -> int:
        """One-sided length of the kernel in input samples."""
        return half_taps(self.rate_in_hz, self.rate_out_hz)

    @property
    def delay_ms(self) -> float:
        """How long the newest input waits for the right half of the kernel."""
        return 1000.0 * self.half_taps / self.rate_in_hz

    @property
    def delay_out_samples(self) -> int:
        """:attr:`delay_ms` in output samples, rounded up."""
        return math.ceil(self.delay_ms * self.rate_out_hz / 1000.0 - 1e-9)

    def reset(self) -> None:
        """Back to silence at time zero."""
        half = int(self.record["taps"]) // 2
        self.history[:] = 0.0
        self.record["filled"] = half - 1
        self.record["centre"] = half - 1
        self.record["fraction"] = 0.0
