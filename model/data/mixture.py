"""Draws training segments: which corpus, which speaker, which clips, how fast and how loud."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from realtime.errors import FullbandError

from .corpus import SAMPLE_RATE_HZ, Clip, read_clip

#: Playing speech up to 15 % faster or slower makes other talkers of it.
SPEED_RANGE = (0.85, 1.15)
SPEED_CHANCE = 0.5


@dataclass(frozen=True)
class Segment:
    """Samples at 48 kHz; what lies above *limit_hz* says nothing about speech."""

    samples: NDArray[np.float32]
    limit_hz: float
    lossy: bool


def corpus_shares(clips: Sequence[Clip], pcm_boost: float, cap: float) -> dict[str, float]:
    """Share of each corpus in the mix: by the root of its length, PCM favoured, none above *cap*.

    One recording chain has one high band; a network that hears mostly one chain learns that one. With too
    few corpora for the cap they share equally.
    """
    seconds: dict[str, float] = defaultdict(float)
    lossy: dict[str, bool] = {}
    for clip in clips:
        seconds[clip.corpus] += clip.seconds
        lossy[clip.corpus] = clip.lossy
    names = sorted(seconds)
    weights = np.array([np.sqrt(seconds[name]) * (1.0 if lossy[name] else pcm_boost) for name in names])
    shares = weights / weights.sum()
    cap = max(cap, 1.0 / len(names))
    for _ in names:
        over = shares > cap
        if not over.any() or over.all():
            break
        shares[over] = cap
        free = shares < cap
        shares[free] *= (1.0 - shares[~free].sum()) / shares[free].sum()
    return dict(zip(names, shares.tolist(), strict=True))


class Mixture:
    """An endless supply of segments; each is a function of the generator it is drawn with."""

    def __init__(self, clips: Sequence[Clip], *, lossy_floor_hz: float, pcm_boost: float, corpus_cap: float) -> None:
        # A lossy clip that ends low teaches a missing high band even where the loss is masked: its codec
        # starved the bands below as well.
        usable = [clip for clip in clips if not clip.lossy or (clip.cutoff_hz or 0.0) >= lossy_floor_hz]
        if not usable:
            raise FullbandError("no clip reaches high enough to learn a high band from")
        self._shares = corpus_shares(usable, pcm_boost, corpus_cap)
        self._clips: dict[str, dict[str, list[Clip]]] = {}
        for clip in usable:
            self._clips.setdefault(clip.corpus, {}).setdefault(clip.speaker, []).append(clip)
        self.seconds = sum(clip.seconds for clip in usable)
        self.speakers = sum(len(speakers) for speakers in self._clips.values())

    def _speaker(self, generator: np.random.Generator) -> list[Clip]:
        names = list(self._shares)
        corpus = self._clips[names[generator.choice(len(names), p=list(self._shares.values()))]]
        groups = list(corpus.values())
        weights = np.sqrt([sum(clip.seconds for clip in group) for group in groups])
        return groups[generator.choice(len(groups), p=weights / weights.sum())]

    def draw(self, generator: np.random.Generator, samples: int) -> Segment:
        """A segment of one speaker, of *samples* samples: a cut of a clip, or several clips in a row."""
        group = self._speaker(generator)
        seconds = np.array([clip.seconds for clip in group])
        speed = generator.uniform(*SPEED_RANGE) if generator.random() < SPEED_CHANCE else 1.0
        needed = int(np.ceil(samples * speed)) + 64
        parts: list[NDArray[np.float32]] = []
        length, limit_hz = 0, float("inf")
        while length < needed:
            clip = group[generator.choice(len(group), p=seconds / seconds.sum())]
            part, cutoff_hz = read_clip(clip)
            if len(part) > needed:
                start = generator.integers(len(part) - needed + 1)
                part = part[start : start + needed]
            parts.append(part)
            length += len(part)
            limit_hz = min(limit_hz, cutoff_hz)
        joined = np.concatenate(parts)[:needed]
        if speed != 1.0:
            joined = soxr.resample(joined, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ, quality="HQ")
            limit_hz = min(limit_hz * speed, 0.5 * SAMPLE_RATE_HZ * min(speed, 1.0) * 0.95)
        return Segment(joined[:samples].astype(np.float32), limit_hz, group[0].lossy)
