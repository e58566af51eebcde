"""Tables for a terminal, and in Markdown."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from .content import Table


def show(console: Console, table: Table) -> None:
    """Print *table*."""
    shown = RichTable(box=box.SIMPLE, padding=(0, 1), title=table.title, title_justify="left", title_style="bold")
    for place, heading in enumerate(table.head):
        shown.add_column(heading, justify="left" if place < table.labels else "right")
    before = ""
    for row in table.rows:
        if before and row[0] != before and table.labels == 2:
            shown.add_section()
        shown.add_row("" if row[0] == before else row[0], *row[1:])
        before = row[0]
    console.print(shown)


def markdown(table: Table) -> str:
    """*table* in GitHub's Markdown."""
    alignment = [":--" if place < table.labels else "--:" for place in range(len(table.head))]
    lines = [f"### {table.title}", "", f"{table.note}.", ""]
    for row in (table.head, alignment, *table.rows):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"
