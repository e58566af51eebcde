"""What the study teaches, each as figures measured on the data at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..data.corpus import Clip, read_clip
from ..metrics.waveform import low_band_snr_db
from .config import PairsSection, Split
from .contenders import BASELINES, interpolate
from .evaluation import Standing, evenly
from .measures import DB_PER_UNIT, Samples, quartile_range, score_chunks, snr_unit
from .pairs import FULL_SCALE, Pairs, cut, lower


@dataclass(frozen=True)
class Aliasing:
    """Power above the low rate's end as a share of all, and SNR of the sinc interpolation of either input.

    *bound_db* is what no linear method can better when the input is folded: the lost band and its image.
    """

    share_above: float
    bound_db: float
    folded_snr_db: float
    filtered_snr_db: float
    folded_low_snr_db: float
    filtered_low_snr_db: float


def aliasing(clips: Sequence[Clip], section: PairsSection) -> Aliasing:
    """Means over *clips*, but the share, which is of all power."""
    rows, above, total = [], 0.0, 0.0
    cutoff_hz = section.low_rate_hz / 2.0
    for clip in clips:
        samples, _ = read_clip(clip)
        samples = samples[: len(samples) - len(samples) % section.factor]
        power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
        edge = int(cutoff_hz / 24_000.0 * (len(power) - 1))
        above += float(power[edge:].sum())
        total += float(power.sum())
        row = []
        for filtered in (False, True):
            given = interpolate(lower(samples, with_filter(section, filtered)), section.factor, "sinc")[: len(samples)]
            row += [DB_PER_UNIT * snr_unit(given, samples), low_band_snr_db(given, samples, cutoff_hz)]
        rows.append([*row, 10.0 * math.log10(power.sum() / max(2.0 * power[edge:].sum(), 1e-20))])
    folded, folded_low, filtered_snr, filtered_low, bound = np.mean(rows, axis=0)
    return Aliasing(above / total, bound, folded, filtered_snr, folded_low, filtered_low)


def with_filter(section: PairsSection, filtered: bool) -> PairsSection:
    """*section* with or without the filter."""
    return section.model_copy(update={"filtered": filtered})


@dataclass(frozen=True)
class Leak:
    """One way to split. Shares of the test chunks whose talker, recording and samples are in the training split too.

    *spline_db* is the SNR of the cubic spline on them, *lookup_db* that of the same with all that training
    has heard replaced by what was heard: what memory alone can gain. Both over all samples, in true dB.
    """

    split: str
    speaker: float
    recording: float
    samples: float
    spline_db: float
    lookup_db: float


def leak(pairs: Pairs, how: Split, chunks: int | None) -> Leak:
    """What the test side of a split has in common with its training side."""
    sides = pairs.split(how)
    recording = pairs.recording
    speakers = np.array([clip["speaker"] for clip in pairs.clips])[recording]
    known_recordings = np.unique(recording[sides["train"]])
    known_speakers = np.unique(speakers[sides["train"]])
    trained = set(sides["train"].tolist())
    # Chunks share samples with as many neighbours on either side as fit into one.
    reach = -(-pairs.section.chunk // pairs.section.step) - 1

    def neighbours(number: int) -> list[int]:
        near = [number + move for move in range(-reach, reach + 1) if move and 0 <= number + move < len(pairs)]
        return [other for other in near if recording[other] == recording[number]]

    test = np.array(evenly(sides["test"], chunks))
    overlap = [any(other in trained for other in neighbours(int(number))) for number in test]
    low, high = pairs.read(test)
    spline = interpolate(low, pairs.section.factor, "spline")
    remembered = _recall(pairs, test, trained, spline)
    return Leak(
        how,
        float(np.mean(np.isin(speakers[test], known_speakers))),
        float(np.mean(np.isin(recording[test], known_recordings))),
        float(np.mean(overlap)),
        DB_PER_UNIT * snr_unit(spline, high),
        DB_PER_UNIT * snr_unit(remembered, high),
    )


def _recall(pairs: Pairs, test: NDArray[np.int64], trained: set[int], spline: Samples) -> Samples:
    """*spline*, with what a neighbouring chunk of training has heard put in its place."""
    result = spline.copy()
    step, chunk = pairs.section.step, pairs.section.chunk
    for row, number in enumerate(test):
        for move in (-1, 1):
            other = int(number) + move
            if other not in trained or pairs.recording[other] != pairs.recording[number]:
                continue
            heard = slice(step, chunk) if move > 0 else slice(0, chunk - step)
            memory = slice(0, chunk - step) if move > 0 else slice(step, chunk)
            result[row, heard] = pairs.read([other])[1][0, memory]
    return result


@dataclass(frozen=True)
class Rivalry:
    """Do SNR and LSD agree? Rank correlation of SNR and -LSD over all contenders, and each one's favourite."""

    rank_correlation: float
    best_snr: str
    best_lsd: str


def rivalry(standings: Sequence[Standing]) -> Rivalry:
    """Over the recordings' means."""
    snr = [standing.mean("snr_db") for standing in standings]
    lsd = [standing.mean("lsd") for standing in standings]
    correlation = float(stats.spearmanr(snr, [-value for value in lsd]).statistic)
    return Rivalry(correlation, standings[int(np.argmax(snr))].name, standings[int(np.argmin(lsd))].name)


@dataclass(frozen=True)
class Provenance:
    """Why an interpolation scores here as it does: levels and pauses decide about a mean of ratios.

    SNR in the study's unit, batch 1, by how loud a chunk is: thirds of all chunks from soft to loud.
    """

    quartile_range: float  # steps of 16 bit; the study's was 482
    rms: float
    thirds: dict[str, list[float]]


def provenance(pairs: Pairs, numbers: Sequence[int]) -> Provenance:
    """Of the chunks that were scored."""
    low, high = pairs.read(numbers)
    loudness = np.sqrt(np.mean(np.square(high, dtype=np.float64), axis=1))
    order = np.array_split(np.argsort(loudness), 3)
    thirds = {}
    for how in ("linear", "spline", "sinc"):
        given = interpolate(low, pairs.section.factor, how)
        thirds[how] = [score_chunks(given[third], high[third], 1).snr_unit for third in order]
    first, third = np.quantile(high, [0.25, 0.75])
    return Provenance(FULL_SCALE * float(third - first), FULL_SCALE * float(np.sqrt(np.mean(loudness**2))), thirds)


@dataclass(frozen=True)
class Corpus:
    """One recording chain: SNR of interpolations in the study's unit, batch 1, and what explains it.

    *off_centre* is a linear interpolation that takes a sample for the middle of the *factor* that replace it, as
    resizers of pictures do: late by half of them less a half.
    """

    corpus: str
    recordings: int
    share_above: float
    quartile_range: float
    linear: float
    spline: float
    sinc: float
    off_centre: float


def off_centre(low: Samples, factor: int) -> Samples:
    """[n, samples] -> [n, factor · samples], linear and late by (factor - 1) / 2 samples."""
    samples = low.shape[1]
    wanted = np.clip((np.arange(factor * samples) + 0.5) / factor - 0.5, 0, samples - 1)
    return np.asarray([np.interp(wanted, np.arange(samples), row) for row in low], np.float32)


def corpora(clips: Sequence[Clip], section: PairsSection, most: int = 13) -> list[Corpus]:
    """By corpus, of *most* recordings each: the study's own data, VCTK, among them where it is there."""
    found = []
    for name in dict.fromkeys(clip.corpus for clip in clips):
        own = [clip for clip in clips if clip.corpus == name and clip.seconds * 48_000 >= section.chunk]
        chosen = [own[place] for place in evenly(np.arange(len(own)), most)]
        if not chosen:
            continue
        chunks = [cut(read_clip(clip)[0], section) for clip in chosen]
        sides = (np.concatenate(side).astype(np.float32) for side in zip(*chunks, strict=True))
        high, low = (side / np.float32(FULL_SCALE) for side in sides)
        linear, spline, sinc = (
            score_chunks(interpolate(low, section.factor, how), high, 1).snr_unit for how in BASELINES
        )
        late = score_chunks(off_centre(low, section.factor), high, 1).snr_unit
        spread = FULL_SCALE * quartile_range(high)
        power = np.abs(np.fft.rfft(high * np.hanning(section.chunk).astype(np.float32), axis=1)) ** 2
        edge = power.shape[1] // section.factor
        share = float(power[:, edge:].sum() / power.sum())
        found.append(Corpus(name, len(chosen), share, spread, linear, spline, sinc, late))
    return found
