"""The study's own measures, as it computed them, and in units that others use.

Arrays are chunks [n, samples] in ±1; the study kept 16-bit integers, which the mean squared error is given in.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics.waveform import TINY
from .pairs import FULL_SCALE

Samples = NDArray[np.float32]

#: The study's ratio is 10 · ln(rms / rms): so many decibels, 20 · log10, are one of its units.
DB_PER_UNIT = 20.0 / math.log(10.0) / 10.0


@dataclass(frozen=True)
class ChunkScores:
    """Means over batches of chunks, as the study's loss and metrics were, and two figures over all samples at once."""

    mse: float  # steps of 16 bit, squared
    snr_unit: float
    nrmse: float  # root mean squared error of a batch over the inter-quartile range of all samples
    pooled_snr_db: float
    pooled_nrmse: float

    @property
    def snr_db(self) -> float:
        """The mean ratio in true decibels."""
        return self.snr_unit * DB_PER_UNIT

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "snr_db": self.snr_db}


def snr_unit(given: Samples, wanted: Samples) -> float:
    """10 · ln(rms of *wanted* / rms of the error), over all samples: the study's SNR, whose logarithm was natural."""
    signal = float(np.mean(np.square(wanted, dtype=np.float64)))
    noise = float(np.mean((given.astype(np.float64) - wanted) ** 2))
    return 5.0 * math.log((signal + TINY) / (noise + TINY))


def quartile_range(samples: Samples) -> float:
    """From the first to the third quartile of all *samples*."""
    first, third = np.quantile(samples, [0.25, 0.75])
    return float(third - first)


def score_chunks(given: Samples, wanted: Samples, batch: int) -> ChunkScores:
    """Scores of *given* against *wanted* in batches of *batch* chunks; digital silence has no ratio and is left out."""
    spread = quartile_range(wanted)
    errors, ratios = [], []
    for start in range(0, len(wanted), batch):
        mine, theirs = given[start : start + batch], wanted[start : start + batch]
        errors.append(float(np.mean((mine.astype(np.float64) - theirs) ** 2)))
        if np.any(theirs):
            ratios.append(snr_unit(mine, theirs))
    pooled = float(np.mean((given.astype(np.float64) - wanted) ** 2))
    return ChunkScores(
        mse=FULL_SCALE**2 * float(np.mean(errors)),
        snr_unit=float(np.mean(ratios)) if ratios else math.nan,
        nrmse=float(np.mean(np.sqrt(errors))) / spread if spread else math.nan,
        pooled_snr_db=DB_PER_UNIT * snr_unit(given, wanted),
        pooled_nrmse=math.sqrt(pooled) / spread if spread else math.nan,
    )


def border_error_db(error: Samples, chunk: int, reach: int = 32) -> float:
    """Power of *error* [samples] within *reach* of the borders between chunks over that of the rest, in dB."""
    places = np.arange(len(error)) % chunk
    near = (places < reach) | (places >= chunk - reach)
    near[:reach] = near[len(error) - reach :] = False  # the ends of a recording are no borders
    power = np.square(error, dtype=np.float64)
    return 10.0 * math.log10((np.mean(power[near]) + TINY) / (np.mean(power[~near]) + TINY)) if near.any() else math.nan


def border_step_db(samples: Samples, chunk: int) -> float:
    """Power of the second difference across borders between chunks over that elsewhere, in dB: a click is a step."""
    bends = np.square(np.diff(samples.astype(np.float64), 2))
    places = np.arange(1, len(samples) - 1) % chunk
    near = (places == 0) | (places == chunk - 1)
    return 10.0 * math.log10((np.mean(bends[near]) + TINY) / (np.mean(bends[~near]) + TINY)) if near.any() else math.nan
