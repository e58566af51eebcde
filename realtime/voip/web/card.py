"""The tables of the model card that ships with the models: what the page shows of them is what the card says."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...paths import WEIGHTS


@dataclass(frozen=True)
class Table:
    """One table of a Markdown file. *about* is the text of its section before it, in one piece."""

    heading: str
    about: str
    columns: list[str]
    rows: list[list[str]]

    def as_dict(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)


def tables(text: str) -> list[Table]:
    """All tables of Markdown *text*, in order."""
    found: list[Table] = []
    heading = ""
    about: list[str] = []
    rows: list[list[str]] = []

    def finish() -> None:
        if len(rows) > 2 and all(re.fullmatch(r":?-+:?", cell) for cell in rows[1]):
            width = len(rows[0])
            body = [(row + [""] * width)[:width] for row in rows[2:]]
            found.append(Table(heading, " ".join(about), rows[0], body))
        rows.clear()

    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([_plain(cell) for cell in line.strip().strip("|").split("|")])
            continue
        finish()
        if line.startswith("#"):
            heading, about = _plain(line.lstrip("#")), []
        elif line.strip():
            about.append(_plain(line))
    return found


def _plain(text: str) -> str:
    """Without Markdown's own marks."""
    return re.sub(r"[`*]", "", text).strip()


def measured(path: Path = WEIGHTS / "README.md") -> list[Table]:
    """What the models are and what was measured of them; none where the card is missing."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return []
    return [table for table in tables(text) if table.heading in ("Measured", "What they are")]
