"""Two clocks kept together: the playback resampler's ratio is steered so that the delay between them stays put.

A second-order control loop (proportional and integral, as in F. Adriaensen, "Controlling adaptive resampling",
Linux Audio Conference 2012). What it watches is not how full the ring is, which jumps with every block, but the
time between two straight lines: where capture is by now, and where playback is. Its noise is then that of the
two callbacks' times alone, and a two-pole filter takes most of that away before it can be heard as wow.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from . import COMPILE
from .memory import load_acquire, offset_of, store_release

RATE_HZ = 48_000

#: When the newest capture block came and how far capture was then. Written by capture, read by playback.
PROGRESS = np.dtype([(name, np.int64) for name in ("address", "sequence", "time_ns", "frames")], align=True)
_SEQUENCE = offset_of(PROGRESS, "sequence")
_TIME = offset_of(PROGRESS, "time_ns")
_FRAMES = offset_of(PROGRESS, "frames")

DRIFT = np.dtype(
    [("sequence", np.int64)]  # of the capture block seen last
    + [
        (name, np.float64)
        for name in (
            "capture_step",  # 48 kHz samples per capture frame
            "origin",  # low-band position at which the capture device's frames would count as zero
            "longest_wait",  # beyond this, in samples, capture has stopped: nothing is learnt
            "error",  # samples too many between capture and playback, after the first pole
            "smooth_error",  # and after the second
            "integral",  # of the loop, in samples per second
            "ppm",  # how much faster than nominal the resampler takes its input
            "seconds",  # since the delay was set
            "wrong_seconds",  # played while the delay was off by more than is left to steering
            "first_errors",  # their sum while the loop is still open
            "first_count",
        )
    ],
    align=True,
)

#: The loop's natural frequency: high at first, to be settled within seconds, then low, so that the pitch stands still.
_FAST_HZ = 0.25
_SLOW_HZ = 0.04
_FAST_SECONDS = 6.0
_SLOWING_SECONDS = 4.0

#: The poles of the filter before the loop, as a multiple of its natural frequency: its phase is then still harmless.
_FILTER_RATIO = 8.0

#: After the delay was set, what the first blocks say on average is waited for: devices begin in bursts.
_ANCHOR_SECONDS = 0.5
_ANCHOR_ERROR = 24.0

#: An error is believed up to this, so that a late callback is no kick: 2 ms.
_LARGEST_ERROR = 96.0

#: A callback that comes 20 ms late is not the delay's being wrong: what follows it makes up for it. One that is wrong
#: stays so for longer.
WRONG_SECONDS = 0.1

#: Crystals differ by less than 300 ppm; more than 1500 ppm (2.6 cents) could be heard.
_LARGEST_PPM = 1500.0


@njit(**COMPILE)
def publish_progress(progress, time_ns, frames):  # type: ignore[no-untyped-def]
    """Capture has *frames* now. The sequence is odd while the pair is being written."""
    sequence = progress.sequence
    store_release(progress.address + _SEQUENCE, sequence + 1)
    store_release(progress.address + _TIME, time_ns)
    store_release(progress.address + _FRAMES, frames)
    store_release(progress.address + _SEQUENCE, sequence + 2)


@njit(**COMPILE)
def read_progress(progress):  # type: ignore[no-untyped-def]
    """(sequence, time_ns, frames); the sequence is 0 when there is none, or when it was caught being written."""
    sequence = load_acquire(progress.address + _SEQUENCE)
    time_ns = load_acquire(progress.address + _TIME)
    frames = load_acquire(progress.address + _FRAMES)
    if sequence & 1 or load_acquire(progress.address + _SEQUENCE) != sequence:
        return 0, time_ns, frames
    return sequence, time_ns, frames


@njit(**COMPILE)
def captured_by_now(drift, time_ns, at_ns, frames):  # type: ignore[no-untyped-def]
    """Where capture is at *time_ns*, in 48 kHz samples, when it had *frames* at *at_ns*."""
    waited = (time_ns - at_ns) * 1e-9 * RATE_HZ
    return drift.origin + frames * drift.capture_step + min(max(waited, 0.0), drift.longest_wait)


@njit(**COMPILE)
def steer(drift, error, seconds):  # type: ignore[no-untyped-def]
    """Close the loop over one block of *seconds* that began with *error*; gives the ratio's new offset in ppm."""
    if drift.seconds < _ANCHOR_SECONDS:
        drift.seconds += seconds
        drift.first_errors += error
        drift.first_count += 1.0
        return drift.ppm
    slowness = min(max((drift.seconds - _FAST_SECONDS) / _SLOWING_SECONDS, 0.0), 1.0)
    natural = 2.0 * math.pi * (_FAST_HZ + slowness * (_SLOW_HZ - _FAST_HZ))
    drift.seconds += seconds
    smoothing = 1.0 - math.exp(-_FILTER_RATIO * natural * seconds)
    error = min(max(error, -_LARGEST_ERROR), _LARGEST_ERROR)
    drift.error += smoothing * (error - drift.error)
    drift.smooth_error += smoothing * (drift.error - drift.smooth_error)
    largest = 1e-6 * _LARGEST_PPM * RATE_HZ
    # Critically damped.
    drift.integral += natural * natural * drift.smooth_error * seconds
    drift.integral = min(max(drift.integral, -largest), largest)
    speed = drift.integral + 2.0 * natural * drift.smooth_error
    drift.ppm = 1e6 / RATE_HZ * min(max(speed, -largest), largest)
    return drift.ppm


@njit(**COMPILE)
def anchor_error(drift):  # type: ignore[no-untyped-def]
    """Samples by which the delay, half a second after it was set, turns out to be wrong; 0 at all other times."""
    if drift.seconds < _ANCHOR_SECONDS or drift.first_count == 0.0:
        return 0.0
    error = drift.first_errors / drift.first_count
    drift.first_count = 0.0
    drift.first_errors = 0.0
    return error if abs(error) > _ANCHOR_ERROR else 0.0


@njit(**COMPILE)
def forget_error(drift):  # type: ignore[no-untyped-def]
    """The delay was set anew: the clocks' difference stands, the error does not."""
    drift.error = 0.0
    drift.smooth_error = 0.0
    drift.seconds = 0.0
    drift.wrong_seconds = 0.0
    drift.first_count = 0.0
    drift.first_errors = 0.0
