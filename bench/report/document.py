"""The one form of every report: what was measured, on what, how, and enough of it to compare two of them.

A measurement fills a :class:`Document`. Tables on the terminal, JSON, the page and ``bench compare`` are made from
it and know nothing of what was measured; a new measurement needs no other code here.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from realtime import __version__
from realtime.errors import FullbandError

from ..machine.about import Watch

#: Grows when a reader of older files would misread a newer one.
SCHEMA = 1

_KEYS = ("schema", "kind", "fullband", "revision", "created", "command", "machine", "conditions", "settings")


@dataclass(frozen=True)
class Column:
    """A column of a :class:`Table`: the key of a row's value, its heading, and how a number is written."""

    key: str
    title: str
    format: str = ""

    def is_text(self, rows: Sequence[dict[str, Any]]) -> bool:
        """Whether all that is known in *rows* is words."""
        known = [row[self.key] for row in rows if row.get(self.key) is not None]
        return bool(known) and all(isinstance(value, str) for value in known)

    def show(self, row: dict[str, Any]) -> str:
        """The value of *row* as people read it; a dash for what was not measured."""
        value = row.get(self.key)
        if value is None:
            return "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str) or not self.format:
            return str(value)
        return format(value, self.format)


@dataclass(frozen=True)
class Table:
    """Rows of figures, with units in their keys. What is in no column is for programs only. *note* explains."""

    title: str
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    note: str = ""


@dataclass(frozen=True)
class Series:
    """One figure, measured again and again, so that two reports can be compared.

    *rounds* are separate in time; each holds the figure of one stretch after the other (a median, or a count for
    every second where *is_count*). What lies close together in time is alike for the machine's reasons, not the
    program's: hence two levels. *yardstick* is the time of a fixed piece of work, one for each round.
    """

    unit: str
    rounds: list[list[float]]
    lower_is_better: bool = True
    is_count: bool = False
    yardstick: list[float] | None = None


@dataclass(frozen=True)
class Distribution:
    """How long something took: *buckets* of [upper edge in ms, count]. Those with the same *plot* share one."""

    plot: str
    name: str
    buckets: list[list[float]]
    deadline_ms: float | None = None


@dataclass(frozen=True)
class Timeline:
    """Values in *unit* at *t_s*. *stalls* [when, ms] are the machine's own. Those with the same *plot* share one."""

    plot: str
    name: str
    unit: str
    t_s: list[float]
    values: list[float]
    deadline: float | None = None
    stalls: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Waterfall:
    """Delays that add up: [name, ms], and what was measured of the sum."""

    title: str
    parts: list[tuple[str, float]]
    measured_ms: float | None = None


@dataclass
class Document:
    """A report. *verdicts* are its results in sentences; *figures* go to the top level of the JSON.
    *problems* are what does not hold: the command fails with them, once all is shown and written.

    Made before the measurement, so that the machine is watched during it.
    """

    kind: str
    settings: dict[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)
    verdicts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    distributions: list[Distribution] = field(default_factory=list)
    timelines: list[Timeline] = field(default_factory=list)
    waterfalls: list[Waterfall] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        machine = self.watch.machine
        head = {
            "schema": SCHEMA,
            "kind": self.kind,
            "fullband": __version__,
            "revision": machine.get("revision"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["fullband", *sys.argv[1:]]),
            "machine": machine,
            "conditions": self.watch.conditions(),
            "settings": self.settings,
        }
        body = {name: [asdict(one) for one in getattr(self, name)] for name in _LISTS}
        series = {name: asdict(one) for name, one in self.series.items()}
        return {**head, "verdicts": self.verdicts, "problems": self.problems, **self.figures, **body, "series": series}


_LISTS = {"tables": Table, "distributions": Distribution, "timelines": Timeline, "waterfalls": Waterfall}


def tables_of(document: dict[str, Any]) -> list[Table]:
    """The tables of a report that was read."""
    return [
        Table(one["title"], tuple(Column(**column) for column in one["columns"]), one["rows"], one["note"])
        for one in document["tables"]
    ]


def series_of(document: dict[str, Any]) -> dict[str, Series]:
    """The series of a report that was read."""
    return {name: Series(**one) for name, one in document["series"].items()}


def together(documents: Sequence[Document]) -> dict[str, Any]:
    """One report of several: each keeps its own conditions, as they were measured one after the other."""
    reports = [one.as_dict() for one in documents]
    shared = {key: reports[0][key] for key in ("schema", "fullband", "revision", "created", "command", "machine")}
    verdicts = [line for report in reports for line in report["verdicts"]]
    problems = [line for report in reports for line in report["problems"]]
    return {**shared, "kind": "all", "verdicts": verdicts, "problems": problems, "reports": reports}


def parts_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The reports that *document* is made of: those of ``bench all``, or itself."""
    return list(document["reports"]) if document["kind"] == "all" else [document]


def read(path: Path) -> dict[str, Any]:
    """A report from its file. Raises :class:`FullbandError` for a file that is none, or too new."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise FullbandError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise FullbandError(f"{path} is no report: not JSON") from None
    if not isinstance(document, dict) or "schema" not in document:
        raise FullbandError(f"{path} is no report of this 'fullband bench': it has no 'schema'; measure again")
    if document["schema"] != SCHEMA:
        raise FullbandError(f"{path} has schema {document['schema']}, this fullband reads {SCHEMA}: measure again")
    missing = [key for key in (*_KEYS, *_LISTS, "series") if key not in document]
    if missing and document["kind"] != "all":
        raise FullbandError(f"{path} is no report: it has no {', '.join(missing)}")
    return document


def rounded(row: dict[str, Any], digits: int = 4) -> dict[str, Any]:
    """*row* with floats short enough to read."""
    return {key: round(value, digits) if isinstance(value, float) else value for key, value in row.items()}


def columns(*given: Sequence[str]) -> tuple[Column, ...]:
    """Columns from (key, title) or (key, title, format)."""
    return tuple(Column(*one) for one in given)
