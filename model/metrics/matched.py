"""Systems with the level and tilt of each clip's microphone, as other recordings of its corpus tell them.

What a listener would do once for a microphone, done for a corpus: what is scored is never what was matched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from realtime.errors import FullbandError
from realtime.matching import Difference, difference, fit
from realtime.wishes import Brightness

from ..data.corpus import Clip, read_clip
from . import conditions, pool
from .scores import LIMIT_MARGIN_HZ
from .systems import Given, System, estimate

#: A microphone is known by so many; more change nothing.
MOST_OTHERS = 50


class Place(NamedTuple):
    """What a level and a tilt hold for."""

    clip: Clip
    rate_hz: int
    system: System


@dataclass(frozen=True)
class Task:
    """One clip at all rates through all systems."""

    clip: Clip
    rates_hz: tuple[int, ...]
    systems: tuple[System, ...]


def work(task: Task) -> list[tuple[Place, Difference]]:
    """Do one task."""
    samples, end_hz = read_clip(task.clip)
    found = []
    for rate_hz in task.rates_hz:
        way = conditions.protocol(rate_hz)
        given = Given(way.apply(samples), way.cutoff_hz, samples)
        for system in task.systems:
            (heard,) = estimate(system, [given])
            off = difference(heard, samples, way.cutoff_hz, end_hz - LIMIT_MARGIN_HZ)
            found.append((Place(task.clip, rate_hz, system), off))
    return found


def others(clip: Clip, clips: Sequence[Clip]) -> list[Clip]:
    """Up to :data:`MOST_OTHERS` recordings of *clip*'s corpus by other speakers; where there are none, by the same."""
    corpus = [other for other in clips if other.corpus == clip.corpus and other != clip]
    found = [other for other in corpus if other.speaker != clip.speaker] or corpus
    # From all of the corpus, as its speakers follow one another.
    count = min(len(found), MOST_OTHERS)
    return [found[number * len(found) // count] for number in range(count)]


def match(
    clips: Sequence[Clip],
    rates_hz: Sequence[int],
    systems: Sequence[System],
    jobs: int,
    advance: Callable[[float], None],
) -> dict[Place, System]:
    """*systems* as the others of each clip's corpus want them; *advance* is told the share that was done.

    Raises :class:`FullbandError` for a corpus of one recording.
    """
    beside = {clip: tuple(others(clip, clips)) for clip in clips}
    alone = [clip.corpus for clip in clips if not beside[clip]]
    if alone:
        raise FullbandError(f"--matched: {alone[0]} has one recording here, and none to match it by")
    tasks = [Task(clip, tuple(rates_hz), tuple(systems)) for clip in clips]
    differences: dict[Place, Difference] = {}
    for _, found in pool.run(work, tasks, jobs):
        differences.update(found)
        advance(1.0 / len(tasks))
    wanted = {}
    # Those of one speaker are matched by the same others.
    known: dict[tuple[tuple[Clip, ...], int, System], Brightness] = {}
    for place in differences:
        key = (beside[place.clip], place.rate_hz, place.system)
        if key not in known:
            known[key] = fit([differences[place._replace(clip=other)] for other in key[0]])
        level_db, tilt_db = known[key]
        wanted[place] = replace(place.system, level_db=level_db, tilt_db=tilt_db)
    return wanted
