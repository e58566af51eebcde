"""The protocol: full-band clips are brought down and up again, extended, and compared with themselves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..data.corpus import Clip, read_clip
from . import conditions, matched, pool
from .conditions import Condition
from .intervals import Interval, bootstrap
from .probes import Probe, probe
from .scores import LIMIT_MARGIN_HZ, MEDIANS, METRICS, Scores, prepare, score
from .systems import BASELINES, Given, System, estimate

#: Corpora of one recording chain, that of VCTK: the published figures were measured on it.
VCTK_CHAIN = ("vctk", "voicebank")

ALL, CHAIN, OTHER = "all", "VCTK-chain", "other"

#: What a scored second costs beside one that ViSQOL hears, for the progress bar.
_VISQOL_WEIGHT = 12.0

#: Share of the progress bar that matching gets.
_MATCHING = 0.2


@dataclass(frozen=True)
class Plan:
    """What is run. ViSQOL and PESQ hear the protocol's conditions only.

    *matched*: with the level and tilt that other recordings of a clip's corpus ask for.
    """

    clips: Sequence[Clip]
    systems: Sequence[System]
    rates_hz: Sequence[int] = conditions.RATES_HZ
    baselines: Sequence[str] = tuple(BASELINES)
    filters: str = "all"  # "all", "few" or "none"
    codecs: bool = True
    visqol: bool = True
    matched: bool = False
    jobs: int = 1


@dataclass(frozen=True)
class Task:
    """One clip, or no clip and a system to probe, for a worker."""

    clip: Clip | None
    ways: tuple[Condition, ...]
    systems: tuple[System, ...]
    visqol: bool
    rates_hz: tuple[int, ...] = ()
    voices: tuple[Clip, ...] = ()

    @property
    def weight(self) -> float:
        """Share of the whole work, in no unit."""
        if self.clip is None:
            return 10.0
        each = 1.0 + (_VISQOL_WEIGHT if self.visqol else 0.0)
        return self.clip.seconds * len(self.ways) * len(self.systems) * each


@dataclass(frozen=True)
class Row:
    """Scores of one system for one clip in one condition."""

    clip: str
    corpus: str
    speaker: str
    rate_hz: int
    kind: str
    condition: str
    system: str
    scores: Scores

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is null."""
        about = {name: getattr(self, name) for name in ("clip", "corpus", "speaker", "rate_hz", "kind", "condition")}
        known = {name: None if math.isnan(value) else value for name, value in self.scores.as_dict().items()}
        return {**about, "system": self.system, **known}


@dataclass(frozen=True)
class Summary:
    """One line of a table: a system under a condition, over the clips of a group."""

    group: str
    rate_hz: int
    kind: str
    condition: str
    system: str
    scores: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        about = {name: getattr(self, name) for name in ("group", "rate_hz", "kind", "condition", "system")}
        return {**about, "scores": {name: interval.as_dict() for name, interval in self.scores.items()}}


@dataclass
class Evaluation:
    """All that was measured."""

    rows: list[Row] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)

    def find(self, group: str, kind: str, rate_hz: int | None = None, system: str | None = None) -> list[Summary]:
        """Lines of a table, in order."""
        return [
            line
            for line in self.summaries
            if line.group == group
            and line.kind == kind
            and rate_hz in (None, line.rate_hz)
            and system in (None, line.system)
        ]

    @property
    def groups(self) -> list[str]:
        """Groups of clips there are: all, the two kinds of chain, then each corpus."""
        return list(dict.fromkeys(line.group for line in self.summaries))


def groups_of(corpus: str) -> tuple[str, str, str]:
    """The groups a clip of *corpus* counts in."""
    chain = CHAIN if any(name in corpus.lower() for name in VCTK_CHAIN) else OTHER
    return ALL, chain, corpus


def spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """*count* of *clips*, taken from each corpus in turn."""
    queues: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        queues[clip.corpus].append(clip)
    turns = [queue[turn] for turn in range(len(clips)) for queue in queues.values() if turn < len(queue)]
    return turns[:count]


def minutes(clips: Iterable[Clip]) -> float:
    """Length of all *clips*."""
    return sum(clip.seconds for clip in clips) / 60.0


def tasks(plan: Plan, wanted: Mapping[matched.Place, System]) -> list[Task]:
    """The work, longest first, so that no worker is left with a long clip at the end.

    A system that is *wanted* otherwise for a clip and a rate is scored so.
    """
    work = []
    lows = [System(name) for name in plan.baselines if name == "sinc"]
    for rate_hz in plan.rates_hz:
        filtered = conditions.filters(rate_hz, few=plan.filters == "few") if plan.filters != "none" else []
        coded = conditions.codecs(rate_hz) if plan.codecs else []
        for clip in plan.clips:
            systems = tuple(wanted.get(matched.Place(clip, rate_hz, one), one) for one in plan.systems)
            scored = (*(System(name) for name in plan.baselines), *systems)
            work.append(Task(clip, (conditions.protocol(rate_hz),), scored, plan.visqol))
            if filtered:
                work.append(Task(clip, tuple(filtered), systems, False))
            if coded:
                work.append(Task(clip, tuple(coded), (*lows, *systems), False))
    voices = tuple(sorted(plan.clips, key=lambda clip: (clip.seconds < 4.0, clip.seconds))[:4])
    work += [Task(None, (), (system,), False, tuple(plan.rates_hz), voices) for system in plan.systems]
    return sorted(work, key=lambda task: -task.weight)


def work(task: Task) -> tuple[list[Row], Probe | None]:
    """Do one task."""
    if task.clip is None:
        voices = [read_clip(clip)[0] for clip in task.voices]
        # Probes are streams of their own.
        return [], probe(replace(task.systems[0], in_call=False), task.rates_hz, voices)
    clip = task.clip
    samples, cutoff_hz = read_clip(clip)
    original = prepare(samples, cutoff_hz - LIMIT_MARGIN_HZ)
    given = [Given(way.apply(samples), way.cutoff_hz, samples) for way in task.ways]
    rows = []
    for system in task.systems:
        for way, result in zip(task.ways, estimate(system, given), strict=True):
            pesq = task.visqol and way.rate_hz == 8_000
            brief = way.kind == "filter"
            scores = score(result, original, way.cutoff_hz, brief=brief, visqol=task.visqol, pesq=pesq)
            about = (f"{clip.speaker}/{clip.path.stem}", clip.corpus, clip.speaker)
            rows.append(Row(*about, way.rate_hz, way.kind, way.name, system.name, scores))
    return rows, None


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """Means (medians for the crossover) over the clips of every group, with intervals."""
    lines: dict[tuple[str, int, str, str, str], list[Scores]] = defaultdict(list)
    for row in rows:
        for group in groups_of(row.corpus):
            lines[group, row.rate_hz, row.kind, row.condition, row.system].append(row.scores)
    summaries = []
    for key, scores in lines.items():
        intervals = {
            name: bootstrap([getattr(one, name) for one in scores], np.median if name in MEDIANS else np.mean)
            for name in METRICS
        }
        summaries.append(Summary(*key, {name: found for name, found in intervals.items() if found is not None}))
    return summaries


def evaluate(plan: Plan, advance: Callable[[float], None] | None = None) -> Evaluation:
    """Run *plan*; *advance* is told the share of the work that each finished task was."""
    advance = advance or (lambda share: None)
    wanted: dict[matched.Place, System] = {}
    share = _MATCHING if plan.matched else 0.0
    if plan.matched:
        wanted = matched.match(plan.clips, plan.rates_hz, plan.systems, plan.jobs, lambda part: advance(share * part))
    work_list = tasks(plan, wanted)
    total = sum(task.weight for task in work_list) / (1.0 - share)
    result = Evaluation()
    finished: Iterator[tuple[Task, tuple[list[Row], Probe | None]]] = pool.run(work, work_list, plan.jobs)
    for task, (rows, measured) in finished:
        result.rows += rows
        result.probes += [measured] if measured else []
        advance(task.weight / total)
    order = [*plan.baselines, *(system.name for system in plan.systems)]
    ways = [way for rate_hz in plan.rates_hz for way in (*conditions.filters(rate_hz), *conditions.codecs(rate_hz))]
    names = {way.name: place for place, way in enumerate(ways)}
    result.rows.sort(
        key=lambda row: (row.rate_hz, row.kind, names.get(row.condition, -1), order.index(row.system), row.corpus)
    )
    result.probes.sort(key=lambda one: order.index(one.system))
    result.summaries = sorted(summarise(result.rows), key=lambda line: _group_order(line.group))
    return result


def _group_order(group: str) -> int:
    return (ALL, CHAIN, OTHER).index(group) if group in (ALL, CHAIN, OTHER) else 3
