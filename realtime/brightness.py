"""How bright a voice was while all of it was heard, kept for when its band becomes narrow.

A call's codec steps down, a headset takes up its telephone profile: the voice goes on, and what its high band was like
is known. :mod:`realtime.matching` finds the level and the tilt that make the model's as bright, on a thread
that every other one goes before.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bandwidth import FULL_BAND_HZ, recording_cutoff_hz
from .errors import FullbandError
from .onnx.contract import RATE_HZ
from .wishes import AS_IT_IS, Brightness

#: What is remembered, and how much of it is matched. A band is known to be narrow after seconds of speech, and
#: what was narrow already is not matched.
KEPT_S, _MATCHED_S = 30.0, 10.0

#: What is above a narrow band is so far below the loudest sound that no sibilant is.
_NOTHING_DB = 45.0
_FRAME_SAMPLES = 1_024

#: How quickly it is come to.
GLIDE_DB_PER_S = 6.0

#: With less there is no opinion.
_LEAST_S = 3.0

#: What is quieter (-60 dBFS) for longer is left out: pauses shall not drive out the speech before them.
_QUIET_POWER, _LONGEST_PAUSE_S = 1e-6, 0.5

_FULL_SCALE = 32_767.0

#: Another end of the band by more asks for another match.
_SAME = 0.025


def _step_back() -> None:
    # Of this thread alone, on Linux.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


#: One voice is matched at a time, however many there are.
_matcher = ThreadPoolExecutor(1, "brightness", _step_back)


def _whole_samples(heard: NDArray[np.float32], cutoff_hz: float) -> int:
    """How many come before the band ended at *cutoff_hz*: all up to the last sound above it."""
    frames = heard[: len(heard) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME_SAMPLES).astype(np.float32))) ** 2
    above = power[:, int(1.15 * cutoff_hz * _FRAME_SAMPLES / RATE_HZ) :].sum(axis=1)
    sounds = np.flatnonzero(above > power.sum(axis=1).max() * 10.0 ** (-_NOTHING_DB / 10.0))
    return (int(sounds[-1]) + 1) * _FRAME_SAMPLES if len(sounds) else 0


def _match(heard: NDArray[np.float32], model: Path, cutoff_hz: float) -> tuple[int, Brightness | None]:
    """What was narrow already at the end of *heard*, in samples, and how bright the rest is, if it tells."""
    # Only now: no start waits for what it needs.
    from .matching import compare, fit

    end = _whole_samples(heard, cutoff_hz)
    narrow, whole = len(heard) - end, heard[max(end - int(_MATCHED_S * RATE_HZ), 0) : end]
    if len(whole) < _LEAST_S * RATE_HZ:
        return narrow, None
    try:
        return narrow, fit([compare(whole, recording_cutoff_hz(whole, RATE_HZ), model, cutoff_hz)])
    except FullbandError:
        # It was no speech, or never full-band, or the model takes no wishes.
        return narrow, None


#: The model, and the end of the band, that a match was asked for.
_NOTHING_ASKED: tuple[Path | None, float] = (None, 0.0)


class BrightnessMemory:
    """Of one voice through *model*. Fed by :meth:`push`, which costs no more than a copy; for one thread."""

    def __init__(self, model: Path | None) -> None:
        #: The model in use, which may become another.
        self.model = model
        #: What is wanted of the high band, where the listener wishes nothing.
        self.brightness = AS_IT_IS
        # In 16 bit: many calls at once shall not cost gigabytes.
        self._heard = np.zeros(int(KEPT_S * RATE_HZ), np.int16)
        #: Where the next sample goes, counted round and round, and how many before it are remembered.
        self._end = self._count = 0
        self._quiet = 0
        self._asked = _NOTHING_ASKED
        self._asked_at = 0
        self._job: Future[tuple[int, Brightness | None]] | None = None

    def push(self, samples: NDArray[np.float32], cutoff_hz: float) -> bool:
        """Take what is heard next [n] at 48 kHz, its band known to end at *cutoff_hz*; True for another match."""
        if cutoff_hz >= FULL_BAND_HZ:
            self._keep(samples)
        else:
            self._ask(cutoff_hz)
        if self._job is None or not self._job.done():
            return False
        # A failure costs the match, not the host.
        narrow, found = (0, None) if self._job.exception() else self._job.result()
        before, self._job = self.brightness, None
        if self._end == self._asked_at:
            self._end -= narrow
            self._count -= narrow
        self.brightness = found or before
        return self.brightness != before

    def _keep(self, samples: NDArray[np.float32]) -> None:
        samples = samples[-len(self._heard) :]
        quiet = np.dot(samples, samples) <= _QUIET_POWER * len(samples)
        self._quiet = self._quiet + len(samples) if quiet else 0
        if self._quiet > _LONGEST_PAUSE_S * RATE_HZ:
            return
        # When the band is narrow again there is more to ask.
        self._asked = _NOTHING_ASKED
        places = np.arange(self._end, self._end + len(samples)) % len(self._heard)
        self._heard[places] = np.clip(samples * _FULL_SCALE, -_FULL_SCALE, _FULL_SCALE)
        self._end += len(samples)
        self._count = min(self._count + len(samples), len(self._heard))

    def _ask(self, cutoff_hz: float) -> None:
        model, asked_hz = self._asked
        known = model == self.model and abs(cutoff_hz - asked_hz) <= _SAME * cutoff_hz
        if known or self.model is None or self._job is not None or self._count < _LEAST_S * RATE_HZ:
            return
        self._asked, self._asked_at = (self.model, cutoff_hz), self._end
        places = np.arange(self._end - self._count, self._end) % len(self._heard)
        heard = self._heard[places].astype(np.float32) / np.float32(_FULL_SCALE)
        self._job = _matcher.submit(_match, heard, self.model, cutoff_hz)
