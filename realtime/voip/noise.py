"""Comfort noise: what is heard while the other side sends nothing (RFC 3389), and beneath what is concealed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dsp import NOISE_ORDER

#: Rooms hum more than they hiss: one pole, where nothing better is known.
_ROOM = 0.7


@dataclass(frozen=True)
class Noise:
    """All-pole noise: *filter* [NOISE_ORDER] as in y[n] = gain · e[n] - Σ filter[k] y[n-1-k], of power one."""

    filter: NDArray[np.float64]
    gain: float


def _of(reflections: NDArray[np.float64]) -> Noise:
    """By Levinson's step-up recursion."""
    polynomial = np.ones(1)
    for k in reflections:
        padded = np.append(polynomial, 0.0)
        polynomial = padded + k * padded[::-1]
    taps = np.zeros(NOISE_ORDER)
    taps[: len(reflections)] = polynomial[1:]
    return Noise(taps, float(np.sqrt(np.prod(1.0 - reflections**2))))


ROOM = _of(np.array([-_ROOM]))


def parse(payload: bytes) -> tuple[float, Noise] | None:
    """Level (RMS, full scale 1) and colour from a comfort noise packet; None where it is none."""
    if not payload or payload[0] > 127:
        return None
    reflections = (np.frombuffer(payload[1 : 1 + NOISE_ORDER], np.uint8).astype(np.float64) - 127.0) / 128.0
    noise = _of(np.clip(reflections, -0.98, 0.98)) if len(reflections) else ROOM
    return 10.0 ** (-payload[0] / 20.0), noise


def build(rms: float) -> bytes:
    """A comfort noise packet of this level."""
    level_db = -20.0 * np.log10(max(rms, 1e-6))
    return bytes([int(np.clip(np.rint(level_db), 0, 127)), 127 + int(-_ROOM * 128)])


class Floor:
    """The level of the noise beneath a voice: it follows the quietest moments, at once down and slowly up.

    By 20 dB a second: a vowel is over before it is taken for noise, and a moment of digital silence is soon forgotten.
    """

    _RISE = 1.05

    def __init__(self) -> None:
        self.power = 1e-3
        self._known = False

    def add(self, power: float, frames: int = 1) -> None:
        """Mean power of the next *frames* of 10 ms that were heard."""
        if power < self.power or not self._known:
            self.power = power
            self._known = True
        else:
            self.power = min(self.power * self._RISE**frames + 1e-14, power)
