"""Keeps a delay where it shall be by the speed at which the signal is played: a controller for the resampler."""

from __future__ import annotations

#: 1 ms off is 100 ppm at once and 5 ppm more each second; up to 600 ppm.
_PROPORTIONAL_PPM, _INTEGRAL_PPM, _MOST_PPM = 100.0, 0.05, 600.0
_SMOOTHING = 0.02


class Steering:
    """Told of every frame's error, it gives the speed; what is left of it in the long run is the sender's clock."""

    def __init__(self) -> None:
        #: How much faster than its nominal rate the signal is to be used up.
        self.ppm = 0.0
        self._error_ms = self._integral_ppm = 0.0

    def follow(self, error_ms: float) -> float:
        """The ppm for a delay that is too long by *error_ms*."""
        self._error_ms += _SMOOTHING * (error_ms - self._error_ms)
        self._integral_ppm = _limited(self._integral_ppm + _INTEGRAL_PPM * self._error_ms)
        self.ppm = _limited(_PROPORTIONAL_PPM * self._error_ms + self._integral_ppm)
        return self.ppm


def _limited(ppm: float) -> float:
    return min(max(ppm, -_MOST_PPM), _MOST_PPM)
