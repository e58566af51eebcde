"""On which line of a TOML file each key stands. ``tomllib`` knows it, and does not tell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

#: Where a value is: keys, and places in lists, from the outermost on.
Loc = tuple[str | int, ...]


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Every header and every assignment of a valid *text*: its first line, what it says, and what that means.

    A statement ends with the first line up to which it is valid by itself: until then a string, list or table in it
    is open.
    """
    statement, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            first = number
        statement += f"{line}\n"
        try:
            means = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        yield first, statement, means
        statement = ""


def _header(means: dict[str, Any], tables: dict[Loc, int]) -> Loc:
    """Which table a header opens; *tables* counts those of each list so far."""
    loc: Loc = ()
    node: Any = means
    while node:
        ((key, node),) = node.items()
        loc += (key,)
        if isinstance(node, list):
            tables[loc] = tables.get(loc, -1) + 1
            return (*loc, tables[loc])
        if loc in tables:
            loc += (tables[loc],)
    return loc


def key_lines(text: str) -> dict[Loc, int]:
    """The first line, counted from 1, of every key, table and list item of the valid TOML *text*."""
    lines: dict[Loc, int] = {}
    tables: dict[Loc, int] = {}

    def note(value: Any, loc: Loc, line: int) -> None:
        lines.setdefault(loc, line)
        items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in items:
            note(inner, (*loc, key), line)

    table: Loc = ()
    for line, statement, means in _statements(text):
        if statement.lstrip().startswith("["):
            table = _header(means, tables)
            for depth in range(1, len(table) + 1):
                lines.setdefault(table[:depth], line)
        else:
            for key, value in means.items():
                note(value, (*table, key), line)
    return lines
