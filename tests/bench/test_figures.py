"""README.md says what the saved report says, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures import BEGIN, END, figures, quote, quoted
from bench.report.document import read
from realtime.errors import FullbandError

_ROOT = Path(__file__).parents[2]
_REPORT = _ROOT / "bench" / "results" / "report.json"


def test_the_readme_quotes_the_saved_report() -> None:
    assert quoted((_ROOT / "README.md").read_text()) == figures(read(_REPORT))


def test_figures_are_put_between_their_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    report = read(_REPORT)
    quote(report, page)
    quote(report, page)
    assert page.read_text() == f"before\n{BEGIN}\n\n{figures(report)}\n\n{END}\nafter\n"
    report["reports"][0]["models"][0]["p50_ms"] *= 2.0
    assert figures(report) != quoted(page.read_text())


def test_no_place_and_other_reports_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    report = read(_REPORT)
    with pytest.raises(FullbandError, match="no place for figures"):
        quote(report, page)
    with pytest.raises(FullbandError, match="come from a report of 'fullband bench all', not 'model'"):
        figures(report["reports"][0])
    assert page.read_text() == "no marks\n"
