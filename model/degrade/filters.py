"""Band limits as real systems impose them, all with zero phase, and the host's way back to 48 kHz."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from realtime.kernel import PHASES, polyphase_table

SAMPLE_RATE_HZ = 48_000
Samples = NDArray[np.float32]


@lru_cache(maxsize=8)
def _prototype(rate_hz: int) -> NDArray[np.float64]:
    """The rows of the host's kernel for an integer ratio, woven into one interpolation filter."""
    ratio = SAMPLE_RATE_HZ // rate_hz
    table = polyphase_table(float(rate_hz), float(SAMPLE_RATE_HZ)).astype(np.float64)
    rows = table[:: PHASES // ratio][:ratio]
    return rows[:, ::-1].T.reshape(-1)


def upsample(low: Samples, rate_hz: int) -> Samples:
    """`realtime.kernel.upsample` to 48 kHz for rates that divide it, many times faster."""
    if rate_hz == SAMPLE_RATE_HZ:
        return low
    ratio = SAMPLE_RATE_HZ // rate_hz
    prototype = _prototype(rate_hz)
    delay = len(prototype) // 2
    filtered = signal.upfirdn(prototype, low, up=ratio)
    padded = np.pad(filtered, (0, ratio))
    return np.asarray(padded[delay : delay + ratio * len(low)], dtype=np.float32)


def decimate(samples: Samples, taps: NDArray[np.float64], ratio: int) -> Samples:
    """Filter with the odd-length symmetric *taps* and keep every *ratio*-th sample; zero phase."""
    half = len(taps) // 2
    if ratio == 1:
        return np.asarray(signal.oaconvolve(samples, taps, mode="same"), dtype=np.float32)
    lead = -half % ratio  # so that the delay is a whole number of kept samples
    kept = signal.upfirdn(taps, np.pad(samples, (lead, 0)), down=ratio)
    first = (lead + half) // ratio
    count = -(-len(samples) // ratio)
    return np.asarray(kept[first : first + count], dtype=np.float32)


def fir_taps(taps: int, edge_hz: float) -> NDArray[np.float64]:
    """Low-pass of odd length, -6 dB at *edge_hz*, Hamming window, for 48 kHz."""
    return np.asarray(signal.firwin(taps, edge_hz, fs=SAMPLE_RATE_HZ))


def iir_sections(family: str, order: int, edge_hz: float) -> NDArray[np.float64]:
    """Low-pass at *edge_hz* for 48 kHz: "butter", "cheby" (.1 dB), "ellip" (.1 / 60 dB) or "bessel"."""
    if family == "butter":
        design = signal.butter(order, edge_hz, fs=SAMPLE_RATE_HZ, output="sos")
    elif family == "cheby":
        design = signal.cheby1(order, 0.1, edge_hz, fs=SAMPLE_RATE_HZ, output="sos")
    elif family == "ellip":
        design = signal.ellip(order, 0.1, 60.0, edge_hz, fs=SAMPLE_RATE_HZ, output="sos")
    elif family == "bessel":
        design = signal.bessel(order, edge_hz, fs=SAMPLE_RATE_HZ, output="sos", norm="mag")
    else:
        raise ValueError(f"no filter family {family!r}")
    return np.asarray(design)


def zero_phase(samples: Samples, sections: NDArray[np.float64]) -> Samples:
    """Run *sections* forwards and backwards: twice the attenuation, no delay."""
    return np.asarray(signal.sosfiltfilt(sections, samples), dtype=np.float32)


def tilt(samples: Samples, gains_db: NDArray[np.float64]) -> Samples:
    """A smooth equaliser: *gains_db* at frequencies equally apart on a square-root scale up to 24 kHz."""
    corners = np.linspace(0.0, 1.0, len(gains_db)) ** 2
    taps = signal.firwin2(127, corners, 10.0 ** (gains_db / 20.0))
    return decimate(samples, taps, 1)


def sinc_decimate(samples: Samples, rate_hz: int) -> Samples:
    """48 kHz -> *rate_hz* by the Hann-windowed sinc of six zero crossings, rolled off at 99 %.

    The filter of the usual VCTK protocol (the default of torchaudio's `resample`).
    """
    ratio = SAMPLE_RATE_HZ // rate_hz
    crossings, roll_off = 6, 0.99
    half = int(np.ceil(crossings * ratio / roll_off))
    time = np.arange(-half, half + 1) * (roll_off / ratio)
    inside = np.clip(time, -crossings, crossings)
    window = np.cos(0.5 * np.pi * inside / crossings) ** 2
    return decimate(samples, np.sinc(inside) * window * (roll_off / ratio), ratio)
