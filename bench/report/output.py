"""Where a report goes: to people as tables, to a file or standard output as JSON, to a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table as RichTable

from realtime.errors import FullbandError
from realtime.report import Report

from .document import Document, Table, parts_of, tables_of

#: Narrower terminals wrap; a file or a pipe has no width of its own.
_LEAST_WIDTH = 140


class Output:
    """Of one command. *json_target* as in :class:`realtime.report.Report`; *html_target* is a path or None."""

    def __init__(self, json_target: str | None, html_target: str | None = None) -> None:
        self.report = Report(json_target)
        self.html_target = html_target
        if not self.report.console.is_terminal:
            self.report.console.width = max(self.report.console.width, _LEAST_WIDTH)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """A line that tells what is being measured."""
        with self.report.console.status("") as status:
            yield status.update

    def finish(self, document: Document | dict[str, Any]) -> None:
        """Show *document* and write it where it was asked for; then fail with what does not hold."""
        content = document.as_dict() if isinstance(document, Document) else document
        if self.report.json_target != "-":
            for part in parts_of(content):
                self._show(part)
        self.report.finish(content)
        if self.html_target is not None:
            write_page(content, self.html_target)
        if content["problems"]:
            raise FullbandError("; ".join(content["problems"]))

    def _show(self, part: dict[str, Any]) -> None:
        notes = []
        for table in tables_of(part):
            if table.title:
                self.report.console.print(table.title, style="bold")
            self.report.console.print(_rich(table))
            if table.note and table.note not in notes:
                self.report.say(table.note)
                notes.append(table.note)
        for line in part["verdicts"]:
            self.report.console.print(line, style="bold", soft_wrap=True)


def write_page(content: dict[str, Any], target: str) -> None:
    """The page of a report to the file *target*."""
    from .page import render

    try:
        Path(target).write_text(render(content), encoding="utf-8")
    except OSError as error:
        raise FullbandError(f"cannot write {target}: {error.strerror}") from None


def _rich(table: Table) -> RichTable:
    shown = RichTable(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in table.columns:
        text = column.is_text(table.rows)
        shown.add_column(column.title, justify="left" if text else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(column.show(row) for column in table.columns))
    return shown
