"""Scores of networks and interpolations: on chunks as the study had them, and on whole recordings as others do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.corpus import Clip, read_clip
from ..metrics import pool
from ..metrics.evaluation import spread
from ..metrics.scores import prepare, score
from .config import PairsSection, Split
from .contenders import BASELINES, Contender, on_chunks, on_recording
from .measures import ChunkScores, border_error_db, border_step_db, score_chunks, snr_unit
from .pairs import Pairs, lower

#: Scores of recordings that are kept, by the names of `METRICS`.
KEPT = ("snr_db", "si_sdr_db", "low_snr_db", "lsd", "lsd_low", "lsd_high", "visqol")


@dataclass(frozen=True)
class Work:
    """What is scored on what. *numbers* are chunks of the test split; the first *heard* of *clips* get ViSQOL."""

    folder: Path
    numbers: tuple[int, ...]
    batch: int
    clips: tuple[Clip, ...]
    heard: int
    section: PairsSection


@dataclass(frozen=True)
class ClipScores:
    """One recording made from isolated chunks, and how that differs from making it in one piece."""

    clip: str
    scores: dict[str, float]
    border_error_db: float = math.nan
    whole_border_error_db: float = math.nan
    border_step_db: float = math.nan
    whole_border_step_db: float = math.nan
    whole_snr_db: float = math.nan


@dataclass(frozen=True)
class Standing:
    """All scores of one contender. What was spent on it is 0 for what needs no training."""

    name: str
    parameters: int = 0
    steps: int = 0
    minutes: float = 0.0
    chunks: ChunkScores | None = None
    single: ChunkScores | None = None
    clips: list[ClipScores] = field(default_factory=list)

    def mean(self, name: str) -> float:
        """Mean of a score, or of a field of `ClipScores`, over the recordings that have it; NaN without any."""
        values = [
            clip.scores[name] if name in clip.scores else float(getattr(clip, name, math.nan)) for clip in self.clips
        ]
        known = [value for value in values if not math.isnan(value)]
        return float(np.mean(known)) if known else math.nan


def _score_clip(contender: Contender, clip: Clip, work: Work, visqol: bool) -> ClipScores:
    samples, limit_hz = read_clip(clip)
    section = work.section
    samples = samples[: len(samples) - len(samples) % section.factor]
    low = lower(samples, section)
    isolated = on_recording(contender, low, section.factor, section.chunk)
    original = prepare(samples, limit_hz)
    found = score(isolated, original, section.low_rate_hz / 2.0, visqol=visqol).as_dict()
    name = f"{clip.speaker}/{clip.path.stem}"
    scores = {key: found[key] for key in KEPT}
    if contender.streams:
        return ClipScores(name, scores)
    whole = on_recording(contender, low, section.factor, None)
    return ClipScores(
        name,
        scores,
        border_error_db(isolated - samples, section.chunk),
        border_error_db(whole - samples, section.chunk),
        border_step_db(isolated, section.chunk),
        border_step_db(whole, section.chunk),
        snr_unit(whole, samples) * 20.0 / math.log(10.0) / 10.0,
    )


def assess(task: tuple[Contender, Work]) -> Standing:
    """All scores of one contender."""
    contender, work = task
    about: dict[str, Any] = {}
    if contender.path is not None and not contender.streams:
        from .trainer import load_trained
        from .unet import count_parameters

        trained = load_trained(contender.path)
        parameters = count_parameters(trained.network)
        about = {"parameters": parameters, "steps": trained.steps, "minutes": trained.minutes}
    if not contender.streams:
        low, high = Pairs(work.folder).read(work.numbers)
        given = on_chunks(contender, low, work.section.factor)
        about["chunks"] = score_chunks(given, high, work.batch)
        about["single"] = score_chunks(given, high, 1)
    clips = [_score_clip(contender, clip, work, place < work.heard) for place, clip in enumerate(work.clips)]
    return Standing(contender.name, clips=clips, **about)


def evenly(numbers: Any, count: int | None) -> tuple[int, ...]:
    """*count* of *numbers*, evenly over them; all without a count."""
    if count is None or count >= len(numbers):
        return tuple(int(number) for number in numbers)
    return tuple(int(numbers[place]) for place in np.linspace(0, len(numbers) - 1, count).astype(int))


def plan(
    pairs: Pairs,
    test: Sequence[Clip],
    split: Split,
    batch: int,
    chunks: int | None,
    clips: int | None,
    heard: int | None,
) -> Work:
    """What to score: chunks of the test side of *split*, and recordings of *test*, other talkers, of every corpus."""
    unspoilt = [clip for clip in test if not clip.lossy] or list(test)
    chosen = [clip for clip in spread(unspoilt, len(unspoilt)) if clip.seconds >= 1.0][:clips]
    numbers = evenly(pairs.split(split)["test"], chunks)
    heard = len(chosen) if heard is None else heard
    return Work(pairs.folder, numbers, batch, tuple(chosen), heard, pairs.section)


def evaluate(
    contenders: Sequence[Contender], work: Work, jobs: int, advance: Callable[[float], None] | None = None
) -> list[Standing]:
    """Scores of all *contenders*, in their order."""
    # Networks take longest and come first, so that no worker is left with one at the end.
    tasks = sorted(((contender, work) for contender in contenders), key=lambda task: task[0].path is None)
    found = {}
    for (contender, _), standing in pool.run(assess, tasks, jobs):
        found[contender.name] = standing
        if advance is not None:
            advance(1.0 / len(tasks))
    return [found[contender.name] for contender in contenders]


def baselines() -> list[Contender]:
    """The interpolations."""
    return [Contender(name) for name in BASELINES]


def ablate(contender: Contender, work: Work) -> dict[str, float]:
    """The study's SNR of a network whole (""), and with each skip and the added input left out in turn."""
    import torch

    from .trainer import load_trained

    assert contender.path is not None
    network = load_trained(contender.path).network
    low, high = Pairs(work.folder).read(work.numbers)
    found = {}
    for part in ("", *network.parts()):
        with torch.inference_mode():
            parts = np.array_split(low, max(1, len(low) // 16))
            given = np.concatenate([network(torch.from_numpy(one), {part}).numpy() for one in parts])
        found[part] = score_chunks(given, high, work.batch).snr_unit
    return found


def as_dict(standing: Standing) -> dict[str, Any]:
    """For JSON."""

    def clean(value: Any) -> Any:
        if isinstance(value, float):
            return None if math.isnan(value) else value
        if isinstance(value, dict):
            return {key: clean(one) for key, one in value.items()}
        return [clean(one) for one in value] if isinstance(value, list) else value

    return {name: clean(value) for name, value in asdict(standing).items()}


def from_dicts(lines: Sequence[dict[str, Any]]) -> list[Standing]:
    """Standings of what `as_dict` made of them."""

    def number(value: Any) -> Any:
        return math.nan if value is None else value

    def chunk(value: dict[str, Any] | None) -> ChunkScores | None:
        return None if value is None else ChunkScores(**{name: number(one) for name, one in value.items()})

    standings = []
    for line in lines:
        clips = [
            ClipScores(
                **{name: number(value) for name, value in clip.items() if name != "scores"},
                scores={name: number(value) for name, value in clip["scores"].items()},
            )
            for clip in line["clips"]
        ]
        rest = {**line, "chunks": chunk(line["chunks"]), "single": chunk(line["single"]), "clips": clips}
        standings.append(Standing(**rest))
    return standings
