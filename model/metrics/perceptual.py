"""Scores of listening models: ViSQOL in audio mode, and PESQ for wide-band speech."""

from __future__ import annotations

import hashlib
import logging
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..degrade.filters import sinc_decimate
from .spectral import SAMPLE_RATE_HZ, Samples

#: The rate PESQ-WB is defined at.
PESQ_RATE_HZ = 16_000

#: ViSQOL is by far the slowest of all scores, and baselines do not change from one checkpoint to the next.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fullband" / "visqol"


@cache
def _visqol() -> object:
    from visqol import VisqolApi

    logging.getLogger("visqol").setLevel(logging.ERROR)
    api = VisqolApi()
    api.create(mode="audio")
    return api


def visqol(given: Samples, wanted: Samples) -> float:
    """MOS-LQO of ViSQOL's audio mode at 48 kHz, 1 to about 4.7; at least half a second is needed.

    Remembered on disk by the samples, so that the same pair is scored once.
    """
    digest = hashlib.sha256(version("visqol-python").encode())
    digest.update(np.ascontiguousarray(wanted, np.float32).tobytes())
    digest.update(np.ascontiguousarray(given, np.float32).tobytes())
    known = CACHE / digest.hexdigest()
    try:
        return float(known.read_text())
    except (OSError, ValueError):
        pass
    first, second = wanted.astype(np.float64), given.astype(np.float64)
    score = float(_visqol().measure_from_arrays(first, second, SAMPLE_RATE_HZ).moslqo)  # type: ignore[attr-defined]
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = known.with_suffix(f".{os.getpid()}")
        partial.write_text(repr(score))
        partial.replace(known)
    except OSError:
        pass  # a disk that cannot be written costs time only
    return score


def pesq_wb(given: Samples, wanted: Samples) -> float:
    """MOS-LQO of PESQ-WB (ITU-T P.862.2) of two signals at 48 kHz, brought to 16 kHz; NaN without speech."""
    import pesq

    reference, degraded = (sinc_decimate(samples, PESQ_RATE_HZ) for samples in (wanted, given))
    try:
        return float(pesq.pesq(PESQ_RATE_HZ, reference, degraded, "wb"))
    except pesq.PesqError:
        return float("nan")
