"""The windowed-sinc interpolation kernel shared by every resampler in the project.

The streaming resampler reads it as a polyphase table; training and evaluation use the same
kernel to bring low-rate speech to 48 kHz, so that the network meets in use what it met in training.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: One-sided length of the kernel, which is the delay it costs.
HALF_LENGTH_MS = 1.5

#: 80 dB of stop-band rejection is promised; the window is designed for a little more because the
#: table is read with linear interpolation and truncated to whole samples.
STOPBAND_DB = 84.0

#: Divisible by 2, 3, 4, 5, 6 and 8, so that all integer ratios and 3:2 land exactly on a row. Between rows
#: linear interpolation errs by at most (pi / PHASES)**2 / 8, below -105 dB.
PHASES = 480


def kaiser_beta(stopband_db: float) -> float:
    """Kaiser's beta for a stop-band of *stopband_db* (Kaiser 1974, valid above 50 dB)."""
    return 0.1102 * (stopband_db - 8.7)


def half_taps(rate_in_hz: float, rate_out_hz: float) -> int:
    """Input samples on each side of the centre of the kernel."""
    del rate_out_hz  # the length in time is the same whichever rate is lower
    return max(int(HALF_LENGTH_MS * rate_in_hz / 1000.0), 4)


@lru_cache(maxsize=32)
def polyphase_table(rate_in_hz: float, rate_out_hz: float) -> NDArray[np.float32]:
    """Interpolation kernel from *rate_in_hz* to *rate_out_hz* as a table [PHASES + 1, taps].

    Row p holds the weights for an output that lies p / PHASES of an input period after input sample i;
    its column j weighs input sample ``i - half + 1 + j``. Every row sums to one (unity gain at DC). The
    last row equals the first moved by one sample, so that a reader may interpolate without a wrap.

    The -6 dB point is the lower of the two Nyquist frequencies; the transition reaches from 0.8 to
    1.2 kHz (by the length) on either side of it.
    """
    half = half_taps(rate_in_hz, rate_out_hz)
    cutoff = min(1.0, rate_out_hz / rate_in_hz)  # in units of the input's Nyquist frequency
    phase = np.arange(PHASES + 1)[:, None] / PHASES
    distance = np.arange(-half + 1, half + 1)[None, :] - phase
    inside = np.clip(1.0 - (distance / half) ** 2, 0.0, None)
    window = np.i0(kaiser_beta(STOPBAND_DB) * np.sqrt(inside)) / np.i0(kaiser_beta(STOPBAND_DB))
    table = cutoff * np.sinc(cutoff * distance) * window
    table /= table.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(table, dtype=np.float32)


def upsample(x: NDArray[np.float32], rate_in_hz: int, rate_out_hz: int = 48_000) -> NDArray[np.float32]:
    """Resample a whole signal *x* [..., samples] with the streaming resampler's kernel, zero phase.

    Output sample n is the signal at time n / rate_out_hz; the ends are padded with zeros. For training and
    tests: the host itself uses the compiled streaming form.
    """
    if rate_in_hz == rate_out_hz:
        return np.asarray(x, dtype=np.float32)
    table = polyphase_table(float(rate_in_hz), float(rate_out_hz)).astype(np.float64)
    half = table.shape[1] // 2
    count = math.ceil(x.shape[-1] * rate_out_hz / rate_in_hz)
    position = np.arange(count) * (rate_in_hz / rate_out_hz)
    index = np.floor(position).astype(np.int64)
    row = (position - index) * PHASES
    low = np.floor(row + 1e-9).astype(np.int64)
    weight = (row - low)[:, None]
    taps = table[low] * (1.0 - weight) + table[np.minimum(low + 1, PHASES)] * weight
    padded = np.concatenate([np.zeros((*x.shape[:-1], half - 1)), x, np.zeros((*x.shape[:-1], half + 1))], axis=-1)
    gathered = np.lib.stride_tricks.sliding_window_view(padded, 2 * half, axis=-1)
    return np.einsum("...nk,nk->...n", gathered[..., index, :], taps).astype(np.float32)
