"""The protocol: full-band clips are brought down and up again, extended, and compared with themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ..data.corpus import Clip, read_clip
from ..degrade.filters import decimate, fir_taps, sinc_decimate, upsample
from ..stream import Stream, open_session
from .spectral import (
    SAMPLE_RATE_HZ,
    Samples,
    edge_bin,
    high_level_errors_db,
    level_dbfs,
    log_spectral_distance,
    low_band_snr_db,
    power_spectrum,
)

RATES_HZ = (8_000, 12_000, 16_000, 24_000)


@dataclass(frozen=True)
class Scores:
    """Means over the clips of one rate; lower is better for the distances, levels are best at 0 dB."""

    lsd: float
    lsd_low: float
    lsd_high: float
    low_snr_db: float
    level_error_db: float
    pause_error_db: float
    visqol: float | None


@dataclass(frozen=True)
class Floor:
    """High band in dBFS after digital silence, and for noise at -50 dBFS that ends at 4 kHz."""

    silence_dbfs: float
    noise_dbfs: float


def _as_file(samples: Samples) -> Samples:
    """Rounded to 16 bit: the protocol scores files, and the rounding noise is part of their high band."""
    return np.asarray(np.round(np.clip(samples, -1.0, 1.0) * 32_767.0) / 32_767.0, dtype=np.float32)


def low_band(samples: Samples, rate_hz: int) -> Samples:
    """Down to *rate_hz* by the protocol's filter, up again by the host's."""
    return upsample(sinc_decimate(samples, rate_hz), rate_hz)[: len(samples)]


def extend(stream_path: Path, lows: Sequence[Samples], cutoff_hz: float) -> list[Samples]:
    """The high band of each of *lows*, streamed as one batch."""
    longest = max(len(low) for low in lows)
    batch = np.stack([np.pad(low, (0, longest - len(low))) for low in lows])
    stream = Stream(open_session(stream_path), batch=len(lows))
    highs = stream.run(batch, np.full((len(lows), 1), cutoff_hz, np.float32))
    return [high[: len(low)] for high, low in zip(highs, lows, strict=True)]


def make_visqol() -> Callable[[Samples, Samples], float]:
    """(reference, degraded) -> MOS-LQO of ViSQOL's audio mode."""
    from visqol import VisqolApi

    logging.getLogger("visqol").setLevel(logging.ERROR)
    api = VisqolApi()
    api.create(mode="audio")

    def score(reference: Samples, degraded: Samples) -> float:
        first, second = reference.astype(np.float64), degraded.astype(np.float64)
        return float(api.measure_from_arrays(first, second, SAMPLE_RATE_HZ).moslqo)

    return score


def score_clip(
    given: Samples, wanted: Samples, cutoff_hz: float, visqol: Callable[[Samples, Samples], float] | None
) -> Scores:
    """Scores of one clip."""
    given, wanted = _as_file(given), _as_file(wanted)
    spectra = power_spectrum(given), power_spectrum(wanted)
    edge = edge_bin(cutoff_hz)
    active_db, pause_db = high_level_errors_db(*spectra, cutoff_hz)
    return Scores(
        lsd=log_spectral_distance(*spectra),
        lsd_low=log_spectral_distance(*spectra, 0, edge),
        lsd_high=log_spectral_distance(*spectra, edge),
        low_snr_db=low_band_snr_db(given, wanted, cutoff_hz),
        level_error_db=active_db,
        pause_error_db=pause_db,
        visqol=visqol(wanted, given) if visqol else None,
    )


def _mean(scores: Sequence[Scores]) -> Scores:
    means: dict[str, float | None] = {}
    for field in fields(Scores):
        values = [getattr(score, field.name) for score in scores]
        means[field.name] = None if None in values else float(np.nanmean(values))
    return Scores(**means)  # type: ignore[arg-type]


def evaluate_clips(
    clips: Sequence[Clip],
    model: Path | None,
    rate_hz: int,
    visqol: Callable[[Samples, Samples], float] | None = None,
) -> Scores:
    """Mean scores of *clips* at *rate_hz*; without a model those of the low band alone."""
    wanted = [read_clip(clip)[0] for clip in clips]
    lows = [low_band(samples, rate_hz) for samples in wanted]
    cutoff_hz = rate_hz / 2
    given = lows
    if model is not None:
        highs = extend(model, lows, cutoff_hz)
        given = [low + high for low, high in zip(lows, highs, strict=True)]
    return _mean([score_clip(g, w, cutoff_hz, visqol) for g, w in zip(given, wanted, strict=True)])


def measure_floor(model: Path) -> Floor:
    """What the model adds where it should add nothing."""
    generator = np.random.default_rng(0)
    second = SAMPLE_RATE_HZ
    noise = decimate(generator.standard_normal(3 * second).astype(np.float32), fir_taps(511, 3_500.0), 1)
    noise *= np.float32(10.0 ** (-50.0 / 20.0) / np.sqrt(np.mean(noise**2)))
    interrupted = 100.0 * noise * (np.arange(3 * second) < second)
    silence, hiss = extend(model, [interrupted, noise], 4_000.0)
    return Floor(level_dbfs(silence[-second:]), level_dbfs(hiss[-second:]))


def as_dict(scores: Scores | Floor) -> dict[str, float | None]:
    """For JSON."""
    return asdict(scores)
