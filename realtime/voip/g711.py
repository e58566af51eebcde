"""G.711's two laws as tables: 16-bit samples to bytes and back (ITU-T G.711, tables 1 and 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BIAS = 0x84
_CLIP = 32_635


def _mu_decode() -> NDArray[np.float32]:
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)) - _BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) / 32_768.0).astype(np.float32)


def _mu_encode() -> NDArray[np.uint8]:
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(np.where(sample < 0, 0x80, 0) | exponent << 4 | mantissa) & 0xFF).astype(np.uint8)


def _a_decode() -> NDArray[np.float32]:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code & 0x70) >> 4, code & 0x0F
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32_768.0).astype(np.float32)


def _a_encode() -> NDArray[np.uint8]:
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    # The law is one's complement: -1 and 0 are mirror images.
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 4, 0)
    segment = np.where(magnitude < 16, 0, exponent + 1)
    mantissa = np.where(segment <= 1, magnitude & 0x0F, (magnitude >> np.maximum(segment - 1, 0)) & 0x0F)
    return ((np.where(sample < 0, 0, 0x80) | segment << 4 | mantissa) ^ 0x55).astype(np.uint8)


#: By law, ``mu`` or ``a``: the byte [65536] for each sample's bits, and the sample [256] for each byte.
ENCODE = {"mu": _mu_encode(), "a": _a_encode()}
DECODE = {"mu": _mu_decode(), "a": _a_decode()}
