"""Scores recordings that any system has made, by the same code as ours.

A folder holds ``reference/NAME.wav`` and, in one more folder for each system, its ``NAME.wav``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from realtime.errors import FullbandError

from ..data.corpus import SUFFIXES
from . import pool
from .alignment import align
from .evaluation import Evaluation, Row, summarise
from .scores import Scores, prepare, score
from .spectral import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Samples

REFERENCE = "reference"
CONVENTION = (
    "a folder of pairs holds reference/NAME.wav and estimate/NAME.wav (any folder beside reference is a system)"
)


@dataclass(frozen=True)
class Pair:
    """Two files to compare; *rate_hz* is that of the input the system had."""

    reference: Path
    estimate: Path
    system: str
    rate_hz: int
    visqol: bool


@dataclass(frozen=True)
class PairScore:
    """What was found: the delay taken out before scoring, in samples at 48 kHz, and the scores."""

    delay: float
    row: Row


def find_pairs(folder: Path, rate_hz: int, visqol: bool) -> list[Pair]:
    """All pairs under *folder*; a reference without its estimate, or the other way round, is refused by name."""
    if not (folder / REFERENCE).is_dir():
        raise FullbandError(f"{folder} has no folder reference: {CONVENTION}")
    references = _files(folder / REFERENCE)
    systems = sorted(path for path in folder.iterdir() if path.is_dir() and path.name != REFERENCE)
    if not systems or not references:
        what = "nothing beside reference" if not systems else "no audio in reference"
        raise FullbandError(f"{folder} has {what}: {CONVENTION}")
    pairs = []
    for system in systems:
        estimates = _files(system)
        if missing := sorted(set(references) ^ set(estimates)):
            side = system.name if missing[0] in references else REFERENCE
            raise FullbandError(f"{folder}: {side} has no '{missing[0]}' (and {len(missing) - 1} more): {CONVENTION}")
        pairs += [Pair(references[name], estimates[name], system.name, rate_hz, visqol) for name in sorted(references)]
    return pairs


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}


def _read(path: Path) -> tuple[Samples, int]:
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise FullbandError(f"cannot read {path}: {error}") from None
    mono = samples.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    return np.asarray(mono, dtype=np.float32), int(rate_hz)


def score_pair(pair: Pair) -> PairScore:
    """Align and score. A reference of less than 48 kHz is scored up to its own end, and has no plain LSD."""
    wanted, rate_hz = _read(pair.reference)
    given, _ = _read(pair.estimate)
    given, wanted, delay = align(given, wanted)
    if len(wanted) < WINDOW_SAMPLES:
        raise FullbandError(f"{pair.reference} and {pair.estimate} share less than {WINDOW_SAMPLES} samples")
    limit_hz = rate_hz / 2 - 500.0 if rate_hz < SAMPLE_RATE_HZ else SAMPLE_RATE_HZ / 2
    visqol = pair.visqol and len(wanted) >= SAMPLE_RATE_HZ // 2
    pesq = pair.visqol and pair.rate_hz == 8_000
    scores = score(given, prepare(wanted, limit_hz), pair.rate_hz / 2, visqol=visqol, pesq=pesq)
    if rate_hz < SAMPLE_RATE_HZ:
        scores = replace(scores, lsd=np.nan, lsd_high=np.nan)
    return PairScore(delay, _row(pair, scores))


def _row(pair: Pair, scores: Scores) -> Row:
    return Row(pair.reference.stem, "pairs", "", pair.rate_hz, "pairs", "pairs", pair.system, scores)


def score_pairs(
    pairs: list[Pair], jobs: int, advance: Callable[[float], None] | None = None
) -> tuple[Evaluation, dict[str, list[float]]]:
    """Scores of all *pairs*, and the delays found, in samples at 48 kHz, by system."""
    done: dict[Pair, PairScore] = {}
    for pair, result in pool.run(score_pair, pairs, jobs):
        done[pair] = result
        if advance is not None:
            advance(1.0 / len(pairs))
    ordered = [done[pair] for pair in pairs]
    delays: dict[str, list[float]] = {}
    for result in ordered:
        delays.setdefault(result.row.system, []).append(result.delay)
    rows = [result.row for result in ordered]
    return Evaluation(rows, [], summarise(rows)), delays
