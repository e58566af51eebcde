"""A report says the same as a table, as JSON and as a page, and a file that is none is refused with one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.report import samples
from bench.report.compare import compare
from bench.report.document import (
    SCHEMA,
    Column,
    Distribution,
    Document,
    Series,
    Table,
    Timeline,
    Waterfall,
    read,
    series_of,
    tables_of,
    together,
)
from bench.report.output import Output
from realtime.errors import FullbandError
from realtime.native.histogram import Histogram, new_cells, record_duration


def document(name: str = "a <b> & c") -> Document:
    """A report of every kind of content, small."""
    spent = np.abs(np.random.default_rng(0).normal(0.3, 0.05, 500)) + 1e-3
    columns = (Column("name", "what"), Column("p50_ms", "p50 ms", ".3f"), Column("absent", "absent", ".3f"))
    return Document(
        "test",
        {"seconds": 1.0},
        figures={"p50_ms": 0.3},
        verdicts=[f"{name} holds"],
        tables=[Table("", columns, [{"name": name, "p50_ms": 0.3004, "hidden": 1}], "a note")],
        series={name: Series("ms", [samples.medians(spent, 50)])},
        distributions=[Distribution("time", name, samples.buckets(spent), 4.0)],
        timelines=[Timeline("course", name, "ms", [0.5, 1.5], [0.3, 9.0], 4.0, [[1.2, 20.0]])],
        waterfalls=[Waterfall("where it comes from", [("network", 8.0), ("guard", 2.0), ("nothing", 0.0)], 10.1)],
    )


def test_json_holds_all_that_a_doubter_asks_for_and_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    Output(str(path)).finish(document())
    content = read(path)
    assert content["schema"] == SCHEMA
    assert content["machine"]["cores"] >= 1
    assert {"stolen_percent", "load_average_before"} <= set(content["conditions"])
    assert content["command"].startswith("fullband ")
    assert content["settings"] == {"seconds": 1.0}
    assert content["p50_ms"] == 0.3
    assert tables_of(content) == document().tables
    assert series_of(content)["a <b> & c"] == document().series["a <b> & c"]


def test_the_page_is_one_file_that_needs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    Output(None, str(path)).finish(document())
    page = path.read_text()
    assert page.count("<svg") == 3
    assert "deadline 4 ms" in page
    assert "stalls of the machine itself" in page
    assert "a &lt;b&gt; &amp; c" in page
    assert "<b>" not in page
    for outside in ("http://", "https://", "<script", "<link", "src="):
        rest = page.replace("http://www.w3.org/", "").replace("http://purl.org/", "")
        assert outside not in rest.replace("http://creativecommons.org/", "")


def test_a_table_shows_what_is_measured_and_a_dash_for_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    Output(None).finish(document("plain"))
    shown = capsys.readouterr().out
    assert "0.300" in shown
    assert "–" in shown
    assert "a note" in shown
    assert "plain holds" in shown
    Output("-").finish(document("plain"))
    assert json.loads(capsys.readouterr().out)["kind"] == "test"


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "not JSON"), ("[]", "no 'schema'"), ('{"schema": 99}', "has schema 99"), (None, "No such file")],
)
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "wrong.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FullbandError, match=reason) as failure:
        read(path)
    assert "wrong.json" in str(failure.value)


def test_a_report_without_its_parts_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = document().as_dict()
    del content["series"]
    path = tmp_path / "half.json"
    path.write_text(json.dumps(content))
    with pytest.raises(FullbandError, match="no series"):
        read(path)


def test_percentiles_are_those_of_the_durations_themselves() -> None:
    found = samples.percentiles(np.arange(1.0, 1001.0))
    assert (found["p50_ms"], found["p99_ms"], found["p999_ms"], found["max_ms"]) == (501.0, 991.0, 1000.0, 1000.0)


def test_buckets_are_the_hosts_own_and_lose_nothing() -> None:
    spent_ms = np.random.default_rng(1).lognormal(-1.0, 1.0, 3_000)
    cells = new_cells()
    for value in spent_ms:
        record_duration(cells, int(value * 1e6))
    assert samples.buckets(spent_ms) == samples.buckets_of(Histogram.of(cells))


def test_a_median_is_interpolated_within_its_bucket() -> None:
    cells = new_cells()
    spent_ms = np.random.default_rng(2).lognormal(-1.2, 0.1, 5_000)
    for value in spent_ms:
        record_duration(cells, int(value * 1e6))
    assert samples.interpolated_median(Histogram.of(cells)) == pytest.approx(np.median(spent_ms), rel=0.005)
    assert np.isnan(samples.interpolated_median(Histogram.empty()))


def test_what_is_left_of_a_stretch_joins_the_last() -> None:
    assert samples.medians(np.array([1.0, 1, 1, 5, 5, 5, 5]), 3) == [1.0, 5.0]
    assert samples.medians(np.array([1.0]), 3) == [1.0]


def test_several_reports_in_one_are_shown_compared_and_made_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = together([document("first"), document("second")])
    path, page = tmp_path / "all.json", tmp_path / "all.html"
    Output(str(path), str(page)).finish(both)
    assert read(path) == json.loads(json.dumps(both))
    assert page.read_text().count("<svg") == 6
    shown = capsys.readouterr().out
    assert "first holds" in shown
    assert "second holds" in shown
    same = compare(read(path), read(path)).figures["differences"]
    assert {one["verdict"] for one in same} == {"too few rounds"}
