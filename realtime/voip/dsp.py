"""Per-sample work of the legs, compiled: it holds no GIL and allocates nothing."""

from __future__ import annotations

from numba import njit

from ..native import COMPILE_NOGIL
from ..native.memory import record_at
from ..native.resampler import RESAMPLER, push, resample


@njit(**COMPILE_NOGIL)
def resample_at(address, block, out):  # type: ignore[no-untyped-def]
    """Push *block* [1, n] into the resampler at *address* and give all that it can to *out*; gives how many."""
    resampler = record_at(address, RESAMPLER)
    push(resampler, block, 0, block.shape[1])
    return resample(resampler, out, out.shape[1])
