"""``fullband bench soak``: from a soak to a report."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..faults.report import model_with_hops
from ..report.document import Document, Table, Timeline, columns
from .run import SoakReport, soak

_COLUMNS = columns(("name", "figure"), ("shown", "value"))
_NOTE = "Growth counts from when every fault had been put in once, after a tenth of the time at least (settled)."


def soak_run(
    model: str, minutes: float, seed: int | None, progress: Callable[[str], None], say: Callable[[str], None]
) -> Document:
    """Soak; what grew, clicked or came later is a problem of the report. Ctrl-C ends it with what was seen."""
    seed = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    model_with_hops(model)
    document = Document("soak", {"model": model, "minutes": minutes, "seed": seed})
    say(f"seed {seed}: the same faults again with --seed {seed}")

    def show(so_far: SoakReport) -> None:
        last = so_far.series[-1]
        fault = so_far.faults[-1][1] if so_far.faults else "no fault yet"
        seen = f"{last.clicks} clicks, {last.rss_kb / 1024:.0f} MB; {fault}"
        left = max(minutes - last.seconds / 60.0, 0.0)
        progress(f"{last.seconds / 60:.1f} min, {left:.1f} left: {seen}")

    result = soak(model, minutes, seed, show)
    figures = result.figures()
    document.figures = result.as_dict()
    listed = [
        {"name": key.replace("_", " "), "shown": str(value)}
        for key, value in figures.items()
        if key not in ("problems", "clicks_at_s")
    ]
    document.tables.append(Table(f"{model}, random faults", _COLUMNS, listed, _NOTE))
    seconds = [sample.seconds for sample in result.series]
    memory = [sample.rss_kb / 1024.0 for sample in result.series]
    document.timelines.append(Timeline("Resident memory", model, "MB", seconds, memory))
    heard = [(sample.seconds, sample.off_ms) for sample in result.series if sample.off_ms is not None]
    times, offs = [at for at, _ in heard], [off for _, off in heard]
    document.timelines.append(Timeline("Delay heard, less the delay claimed", model, "ms", times, offs))
    if figures["problems"]:
        document.problems.append(f"the soak with seed {seed} does not hold: {', '.join(figures['problems'])}")
    else:
        seen = f"{figures['seconds'] / 60.0:.0f} minutes, {figures['faults']} faults"
        document.verdicts.append(f"{seen}: no click, memory {100 * figures['rss_growth']:+.1f} %.")
    return document
