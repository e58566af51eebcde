"""Two reports of the same measurement: what has changed, and what only seems to have.

Durations on a shared machine come in moods: neighbouring ones are alike, and a minute later all may be slower. An
interval from single durations would be far too narrow. So a report keeps medians of stretches, in rounds, and the
bootstrap draws rounds first and stretches within them (the two-stage bootstrap for nested data, Davison and Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8). And it keeps, for each round, how long a fixed piece of
work took: a difference that goes away when divided by that is the machine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from realtime.errors import FullbandError

from .document import Document, Series, Table, columns, parts_of, rounded, series_of

RESAMPLES = 2_000
COVERAGE = 0.99

#: A change smaller than this is nobody's concern, even where it can be told from noise.
MARGIN = 0.05

#: The same of counts, per second: one hop in a thousand.
MARGIN_COUNT = 0.25

#: With fewer there is no telling how much one round differs from another.
LEAST_ROUNDS = 3

Verdict = Literal["worse", "better", "same", "noise", "too few rounds"]


@dataclass(frozen=True)
class Difference:
    """One figure in two reports. *change* is a ratio, or for counts a difference, *low* and *high* the ends of its
    interval; *corrected* is the change of what is left when the machine's own is taken out."""

    name: str
    unit: str
    before: float
    after: float
    change: float
    low: float
    high: float
    corrected: float | None
    verdict: Verdict


def _draw(rounds: Sequence[NDArray[np.float64]], rng: np.random.Generator, mean: bool) -> NDArray[np.float64]:
    """:data:`RESAMPLES` times the statistic of rounds drawn anew, and of stretches drawn anew within them."""
    longest = max(len(one) for one in rounds)
    padded = np.full((len(rounds), longest), np.nan)
    for index, one in enumerate(rounds):
        padded[index, : len(one)] = one
    lengths = np.array([len(one) for one in rounds])
    chosen = rng.integers(len(rounds), size=(RESAMPLES, len(rounds)))
    places = (rng.random((RESAMPLES, len(rounds), longest)) * lengths[chosen][..., None]).astype(int)
    drawn = padded[chosen[..., None], places]
    # A round counts as one, however many stretches it has.
    centres = drawn.mean(axis=2) if mean else np.median(drawn, axis=2)
    return np.asarray(centres.mean(axis=1) if mean else np.median(centres, axis=1))


def _statistic(rounds: Sequence[NDArray[np.float64]], mean: bool) -> float:
    centres = [float(np.mean(one) if mean else np.median(one)) for one in rounds]
    return float(np.mean(centres) if mean else np.median(centres))


def _arrays(series: Series) -> list[NDArray[np.float64]]:
    return [np.array(one) for one in series.rounds if len(one)]


def _corrected(series: Series) -> list[NDArray[np.float64]] | None:
    """The series in units of the yardstick of each round."""
    if series.yardstick is None or len(series.yardstick) != len(series.rounds):
        return None
    pairs = zip(series.rounds, series.yardstick, strict=True)
    return [np.array(one) / length for one, length in pairs if len(one) and length > 0.0]


def _interval(
    a: Sequence[NDArray[np.float64]], b: Sequence[NDArray[np.float64]], seed: int, *, is_count: bool
) -> tuple[float, float, float]:
    """The change from *a* to *b* and its interval."""
    rng = np.random.default_rng(seed)
    drawn_a, drawn_b = _draw(a, rng, is_count), _draw(b, rng, is_count)
    ends = [(1.0 - COVERAGE) / 2, (1.0 + COVERAGE) / 2]
    if is_count:
        low, high = np.quantile(drawn_b - drawn_a, ends)
        return _statistic(b, True) - _statistic(a, True), float(low), float(high)
    low, high = np.quantile(drawn_b / drawn_a, ends)
    return _statistic(b, False) / _statistic(a, False), float(low), float(high)


Ends = tuple[float, float]


def _judge(ends: Ends, corrected: Ends | None, centre: float, margin: float) -> Literal["up", "down", "same", "noise"]:
    """Up or down: beyond the margin for certain, and for certain not the machine's doing."""
    low, high = ends
    without_low, without_high = corrected or ends
    if low > centre + margin and without_low > centre:
        return "up"
    if high < centre - margin and without_high < centre:
        return "down"
    return "same" if low > centre - margin and high < centre + margin else "noise"


def difference(name: str, before: Series, after: Series, margin: float = MARGIN, seed: int = 0) -> Difference | None:
    """How *after* differs from *before*; None where one of them holds nothing."""
    a, b = _arrays(before), _arrays(after)
    if not a or not b:
        return None
    is_count = before.is_count
    change, low, high = _interval(a, b, seed, is_count=is_count)
    corrected_a, corrected_b = _corrected(before), _corrected(after)
    corrected, corrected_ends = None, None
    if corrected_a and corrected_b and not is_count:
        corrected, *ends = _interval(corrected_a, corrected_b, seed, is_count=False)
        corrected_ends = (ends[0], ends[1])
    centre, least = (0.0, MARGIN_COUNT) if is_count else (1.0, margin)
    direction = _judge((low, high), corrected_ends, centre, least)
    rose: dict[str, Verdict] = {
        "up": "worse" if before.lower_is_better else "better",
        "down": "better" if before.lower_is_better else "worse",
        "same": "same",
        "noise": "noise",
    }
    verdict = rose[direction] if min(len(a), len(b)) >= LEAST_ROUNDS else "too few rounds"
    values = (_statistic(a, is_count), _statistic(b, is_count))
    return Difference(name, before.unit, *values, change, low, high, corrected, verdict)


def _all_series(document: dict[str, Any]) -> dict[str, Series]:
    parts = parts_of(document)
    prefix = len(parts) > 1
    return {
        f"{part['kind']}: {name}" if prefix else name: series
        for part in parts
        for name, series in series_of(part).items()
    }


def _unlike(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What else differs between the two, in sentences."""
    found = []
    for key in ("processor", "cores", "system", "python", "onnxruntime"):
        a, b = before["machine"].get(key), after["machine"].get(key)
        if a != b:
            found.append(f"The machines differ: {key} {a}, then {b}.")
    for one, other in zip(parts_of(before), parts_of(after), strict=False):
        changed = {key for key in one["settings"] if one["settings"][key] != other["settings"].get(key)}
        if changed:
            found.append(f"The settings of {one['kind']} differ: {', '.join(sorted(changed))}.")
    return found


_COLUMNS = columns(
    ("name", "figure"), ("unit", "unit"), ("before", "before", ".4g"), ("after", "after", ".4g"),
    ("change_text", "change"), ("interval_text", "99 % interval"), ("corrected_text", "without the machine's"),
    ("verdict", "verdict"),
)  # fmt: skip
_NOTE = (
    "change: ratio, or difference of counts; without the machine's: the ratio of times in units of a fixed piece of "
    "work, timed in every round. worse, better: the interval lies beyond the margin, and without the machine's share "
    "still beyond nothing; same: within the margin; noise: neither can be said."
)


def _texts(one: Difference) -> dict[str, str | None]:
    if one.unit != "ms":
        return {
            "change_text": f"{one.change:+.2f}",
            "interval_text": f"{one.low:+.2f} … {one.high:+.2f}",
            "corrected_text": None,
        }
    corrected = None if one.corrected is None else f"{one.corrected:.3f} ×"
    return {
        "change_text": f"{one.change:.3f} ×",
        "interval_text": f"{one.low:.3f} … {one.high:.3f}",
        "corrected_text": corrected,
    }


def compare(before: dict[str, Any], after: dict[str, Any], margin: float = MARGIN) -> Document:
    """A report on two reports. Raises :class:`FullbandError` where they have no figure in common."""
    a, b = _all_series(before), _all_series(after)
    names = [name for name in a if name in b]
    if not names:
        raise FullbandError("the two reports have no figure in common: measure both with the same command")
    found = [difference(name, a[name], b[name], margin) for name in names]
    known = [one for one in found if one is not None]
    rows = [{**rounded(vars(one)), **_texts(one)} for one in known]
    document = Document("compare", {"before": before["revision"], "after": after["revision"], "margin": margin})
    document.tables = [Table(f"{before['command']}  →  {after['command']}", _COLUMNS, rows, _NOTE)]
    document.figures = {"differences": [rounded(vars(one)) for one in known]}
    worse = [one for one in known if one.verdict == "worse"]
    better = [one for one in known if one.verdict == "better"]
    document.verdicts = _unlike(before, after)
    only = [*(name for name in a if name not in b), *(name for name in b if name not in a)]
    if only:
        document.verdicts.append(f"In one of the two only: {', '.join(only)}.")
    for what, those in (("Worse", worse), ("Better", better)):
        document.verdicts += [f"{what}: {one.name}, {one.before:.4g} to {one.after:.4g} {one.unit}." for one in those]
    if not worse and not better:
        document.verdicts.append(f"No difference of more than {100 * margin:g} % can be told from noise.")
    return document
