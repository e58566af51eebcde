"""The voice of a Bluetooth headset in its oldest call mode: CVSD, one bit a sample at 64 kHz.

Continuously variable slope delta modulation with the constants of the Bluetooth Core Specification (volume 2, part B,
9.2). Nothing that installs has it; here it is for measuring what such a headset delivers.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_VOICE_HZ, _BIT_HZ = 8_000, 64_000
_DECAY = 1.0 - 1.0 / 32.0
_STEP_DECAY = 1.0 - 1.0 / 1024.0
_LEAST_STEP, _MOST_STEP = 10.0, 1_280.0
_LIMIT = 32_767.0


@njit(cache=True)
def _delta(samples, out):  # type: ignore[no-untyped-def]
    """What a decoder makes of the bits of *samples*, both in 16-bit units; coder and decoder hold the same numbers."""
    held = 0.0
    step = _LEAST_STEP
    run = 0
    before = 1.0
    for i in range(len(samples)):
        bit = 1.0 if samples[i] >= held else -1.0
        run = run + 1 if bit == before else 1
        before = bit
        step = min(step + _LEAST_STEP, _MOST_STEP) if run >= 4 else max(step * _STEP_DECAY, _LEAST_STEP)
        held = min(max(held + bit * step, -_LIMIT), _LIMIT)
        out[i] = held
        held *= _DECAY


def through_cvsd(samples: Samples, rate_hz: int = 48_000) -> Samples:
    """*samples* [n] as they are after such a headset's link, again at *rate_hz*."""
    import soxr

    voice = soxr.resample(samples, rate_hz, _VOICE_HZ)
    bits = soxr.resample(voice, _VOICE_HZ, _BIT_HZ).astype(np.float64) * _LIMIT
    decoded = np.empty_like(bits)
    _delta(bits, decoded)
    heard = soxr.resample(soxr.resample(decoded / _LIMIT, _BIT_HZ, _VOICE_HZ), _VOICE_HZ, rate_hz)
    return np.asarray(heard[: len(samples)], np.float32)
