"""What the data looks like: five numbers, box plot, histogram, chunks in time and in frequency."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import SAMPLE_RATE_HZ
from .pairs import FULL_SCALE, Pairs
from .pictures import save

#: Chunks that the summary is taken of, evenly over all: enough for its quartiles.
SUMMARY_CHUNKS = 2_000

#: Chunks that are drawn.
DRAWN = 4


@dataclass(frozen=True)
class Summary:
    """Five numbers in steps of 16 bit (Tukey), and what the split is made of."""

    lowest: float
    first_quartile: float
    median: float
    third_quartile: float
    highest: float
    chunks: int
    recordings: int
    speakers: int
    minutes: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sample(pairs: Pairs) -> NDArray[np.float32]:
    """Chunks [n, samples] at the high rate, evenly over all, in steps of 16 bit."""
    places = np.linspace(0, len(pairs) - 1, min(len(pairs), SUMMARY_CHUNKS)).astype(int)
    return pairs.read(places)[1] * np.float32(FULL_SCALE)


def summarise(pairs: Pairs, samples: NDArray[np.float32]) -> Summary:
    """Of *samples*, from :func:`sample`."""
    lowest, first, median, third, highest = map(float, np.quantile(samples, [0.0, 0.25, 0.5, 0.75, 1.0]))
    section = pairs.section
    return Summary(
        lowest=lowest,
        first_quartile=first,
        median=median,
        third_quartile=third,
        highest=highest,
        chunks=len(pairs),
        recordings=len(pairs.clips),
        speakers=len({clip["speaker"] for clip in pairs.clips}),
        minutes=len(pairs) * section.step / SAMPLE_RATE_HZ / 60.0,
    )


def draw(pairs: Pairs, samples: NDArray[np.float32], target: Path, seed: int = 0) -> Path:
    """Box plot, histogram, and a few chunks at both rates in time and in frequency, as one PNG."""
    from matplotlib.figure import Figure

    section = pairs.section
    figure = Figure(figsize=(11, 2.2 + 1.7 * DRAWN), dpi=80, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.2, 1.7 * DRAWN))
    top, rest = parts
    box, histogram = top.subplots(1, 2)
    numbers = np.quantile(samples, [0.0, 0.25, 0.5, 0.75, 1.0])
    names = ("whislo", "q1", "med", "q3", "whishi")
    box.bxp([dict(zip(names, numbers, strict=True))], orientation="horizontal", showfliers=False)
    box.set(title="five numbers, steps of 16 bit", yticks=[], xscale="symlog")
    histogram.hist(samples.ravel(), bins=np.linspace(-4_000, 4_000, 161), color="C0")
    histogram.set(title="histogram", yscale="log", xlabel="steps of 16 bit")
    axes = rest.subplots(DRAWN, 2, squeeze=False)
    chosen = np.random.default_rng(seed).choice(len(pairs), DRAWN)
    low, high = pairs.read(chosen)
    for row, (in_time, in_frequency) in enumerate(axes):
        time_ms = np.arange(section.chunk) / SAMPLE_RATE_HZ * 1000.0
        in_time.plot(time_ms, high[row], lw=0.7, label="high")
        in_time.plot(time_ms[:: section.factor], low[row], ".", ms=1.5, label="low")
        for samples_of, rate_hz, name in ((high[row], SAMPLE_RATE_HZ, "high"), (low[row], section.low_rate_hz, "low")):
            spectrum = np.abs(np.fft.rfft(samples_of * np.hanning(len(samples_of)))) * 4.0 / len(samples_of)
            level_db = 20.0 * np.log10(np.maximum(spectrum, 1e-7))
            in_frequency.plot(np.linspace(0.0, rate_hz / 2000.0, len(level_db)), level_db, lw=0.7, label=name)
        clip = pairs.clips[int(pairs.recording[chosen[row]])]["clip"]
        in_time.set_title(f"chunk {chosen[row]} of {clip}", loc="left", fontsize=8)
    axes[0][0].legend(fontsize=7)
    axes[-1][0].set_xlabel("ms")
    axes[-1][1].set_xlabel("kHz (dBFS upwards)")
    return save(figure, target)
