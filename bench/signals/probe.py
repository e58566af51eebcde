"""A sound whose delay can be told to a hundredth of a sample, and the telling of it.

The probe is pseudo-random noise in the band that a telephone passes and that no network of ours touches. A stretch of
it is found in what was heard by normalised correlation, to the sample; the slope of the phase between the two, over
all frequencies of the probe, gives the rest (Knapp and Carter, "The generalized correlation method for estimation of
time delay", 1976). Noise of others lowers the confidence and moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_LOW_HZ, _HIGH_HZ = 200.0, 3_400.0
_LEVEL = 0.1  # -20 dBFS

#: Length of a stretch, and from one to the next, in seconds.
WINDOW_SECONDS = 0.2
STEP_SECONDS = 0.05

#: Below this a stretch was not heard, or something else was.
SURE = 0.6

#: A delay that stays away by more than this has slipped.
_SLIP_SAMPLES = 0.5


def probe(seconds: float, rate_hz: int) -> Samples:
    """The probe [n], always the same."""
    count = round(seconds * rate_hz)
    frequency_hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    spectrum = np.fft.rfft(np.random.default_rng(20).standard_normal(count))
    spectrum[(frequency_hz < _LOW_HZ) | (frequency_hz > _HIGH_HZ)] = 0.0
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(_LEVEL * noise / np.sqrt(np.mean(noise**2)), np.float32)


@dataclass(frozen=True)
class Delays:
    """The delay of stretch after stretch, in samples, at *at_s* of what was sent; *confidence* 0 to 1."""

    at_s: NDArray[np.float64]
    samples: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def between(self, first_s: float, last_s: float) -> Delays:
        """Those of stretches that lie within."""
        inside = (self.at_s >= first_s) & (self.at_s < last_s)
        return Delays(self.at_s[inside], self.samples[inside], self.confidence[inside])

    @property
    def heard(self) -> Delays:
        """Those that are sure."""
        sure = self.confidence >= SURE
        return Delays(self.at_s[sure], self.samples[sure], self.confidence[sure])

    @property
    def heard_share(self) -> float:
        return float(np.mean(self.confidence >= SURE)) if len(self.confidence) else 0.0

    def figures(self, rate_hz: int) -> dict[str, float | int]:
        """Median, spread and slips of those that are sure. A slip counts when the delay stays where it went."""
        sure = self.heard.samples
        if not len(sure):
            return {"windows": 0}
        low, median, high = np.quantile(sure, [0.25, 0.5, 0.75])
        padded = np.pad(sure, 1, mode="edge")
        smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)
        return {
            "ms": 1000.0 * float(median) / rate_hz,
            "samples": float(median),
            "iqr_samples": float(high - low),
            "least_samples": float(sure.min()),
            "most_samples": float(sure.max()),
            "slips": int((np.abs(np.diff(smooth)) > _SLIP_SAMPLES).sum()),
            "windows": len(sure),
            "confidence": float(np.median(self.heard.confidence)),
        }


def _coarse(reference: NDArray[np.float64], heard: NDArray[np.float64]) -> tuple[int, float]:
    """Offset of *reference* in *heard* to the sample, and the normalised correlation there."""
    size = 1 << (len(heard) + len(reference) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(reference, size)), size)
    product = product[: len(heard) - len(reference) + 1]
    energy = np.concatenate([[0.0], np.cumsum(heard * heard)])
    energy = np.maximum(energy[len(reference) :] - energy[: -len(reference)], 0.0)
    # Nearly silent stretches would divide noise by noise.
    floor = 1e-6 * float(energy.max()) + 1e-20
    score = product / np.sqrt(np.maximum(energy, floor) * float(reference @ reference) + 1e-30)
    best = int(np.argmax(score))
    return best, float(score[best])


def _fraction(reference: NDArray[np.float64], aligned: NDArray[np.float64], rate_hz: int) -> float:
    """What *aligned* is late by, less than a sample or so: the slope of the phase, weighted by the power there."""
    window = np.hanning(len(reference))
    cross = np.fft.rfft(aligned * window) * np.conj(np.fft.rfft(reference * window))
    frequency_hz = np.fft.rfftfreq(len(reference), 1.0 / rate_hz)
    inside = (frequency_hz > _LOW_HZ) & (frequency_hz < _HIGH_HZ)
    turns = 2.0 * np.pi * frequency_hz[inside] / rate_hz
    power, phase = np.abs(cross[inside]), np.angle(cross[inside])
    return -float((power * turns * phase).sum() / max((power * turns * turns).sum(), 1e-30))


def delays(sent: Samples, heard: Samples, rate_hz: int, longest_s: float = 0.5, least: int = 0) -> Delays:
    """Find *sent* [n] in *heard* [m], both from the same moment on, from *least* samples to *longest_s* later."""
    window, step = round(WINDOW_SECONDS * rate_hz), round(STEP_SECONDS * rate_hz)
    search = round(longest_s * rate_hz)
    found = []
    for start in range(max(-least, 0), len(sent) - window + 1, step):
        first = start + least
        # Near the end what was heard is too short for the longest delay, but not for the usual one.
        around = np.asarray(heard[first : first + window + search], np.float64)
        if len(around) < window:
            break
        reference = np.asarray(sent[start : start + window], np.float64)
        offset, confidence = _coarse(reference, around)
        fraction = _fraction(reference, around[offset : offset + window], rate_hz) if confidence >= SURE else 0.0
        found.append(((start + window / 2) / rate_hz, least + offset + fraction, max(confidence, 0.0)))
    columns = np.array(found).reshape(-1, 3).T
    return Delays(columns[0], columns[1], columns[2])
