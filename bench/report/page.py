"""One HTML page with all of a report: tables and plots in one file that needs no other and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import plots
from .document import parts_of, tables_of

_TEMPLATE = "page.html.j2"


def _grouped(given: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in given:
        groups.setdefault(one["plot"], []).append(one)
    return groups


def _pictures(part: dict[str, Any]) -> list[tuple[str, str]]:
    """(title, SVG) of every plot of one report."""
    found = [(one["title"], plots.waterfall(one)) for one in part["waterfalls"]]
    found += [(title, plots.distribution(title, given)) for title, given in _grouped(part["distributions"]).items()]
    found += [(title, plots.timeline(title, given)) for title, given in _grouped(part["timelines"]).items()]
    return found


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values for people; what is not known is left out."""
    shown = {True: "yes", False: "no"}
    return [
        (key.replace("_", " "), shown.get(value, str(value)) if isinstance(value, bool) else str(value))
        for key, value in record.items()
        if value is not None and value != []
    ]


def _tables(part: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for table in tables_of(part):
        texts = [column.is_text(table.rows) for column in table.columns]
        said = any(one["note"] == table.note for one in found)
        found.append(
            {
                "title": table.title,
                "note": "" if said else table.note,
                "head": [(column.title, text) for column, text in zip(table.columns, texts, strict=True)],
                "rows": [
                    [(column.show(row), text) for column, text in zip(table.columns, texts, strict=True)]
                    for row in table.rows
                ],
            }
        )
    return found


def render(document: dict[str, Any]) -> str:
    """The page of a report as :meth:`bench.report.document.Document.as_dict` gives it, or as it was read."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    sections = [
        {
            "kind": part["kind"],
            "command": part["command"],
            "verdicts": part["verdicts"],
            "tables": _tables(part),
            "pictures": _pictures(part),
            "settings": _facts(part["settings"]),
            "conditions": _facts(part["conditions"]),
        }
        for part in parts_of(document)
    ]
    return environment.get_template(_TEMPLATE).render(
        title=f"fullband bench {document['kind']}",
        command=document["command"],
        created=document["created"],
        version=document["fullband"],
        revision=document["revision"] or "no checkout",
        machine=_facts({key: value for key, value in document["machine"].items() if key != "revision"}),
        sections=sections,
    )
