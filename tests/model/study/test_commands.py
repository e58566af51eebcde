"""The commands lead from recordings to a report, and go on where they were stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.cli import app
from realtime.errors import FullbandError

from ..speech import write_corpus

PRESET = """
width = 0.03
[pairs]
chunk = 1024
overlap = 512
clips = 6
[run]
steps = 20
batch = 2
learning_rate = 1e-3
norm_momentum = 0.1
validation_steps = 20
validation_chunks = 2
[all]
scored_clips = 1
visqol_clips = 0
scored_chunks = 8
"""


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["study", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_one_command_does_all_of_the_study(tmp_path: Path) -> None:
    voices = write_corpus(tmp_path / "voices", speakers=3, clips=2, seconds=1.1)
    (tmp_path / "tiny.toml").write_text(PRESET)
    folder = tmp_path / "study"
    shared = ("--preset", tmp_path / "tiny.toml", "--data", voices, "--study", folder, "--jobs", 1)
    found = json.loads(run("all", *shared, "--json", "-"))
    names = [standing["name"] for standing in found["standings"]]
    assert names[:3] == ["linear", "spline", "sinc"] and "default" in names
    networks = [standing for standing in found["standings"] if standing["steps"]]
    assert len(networks) == 12 and all(standing["steps"] == 20 for standing in networks)
    assert all(standing["chunks"]["mse"] > 0.0 for standing in networks)
    assert {leak["split"] for leak in found["leaks"]} == {"chunk", "shuffled", "speaker"}

    text = (folder / "report.md").read_text()
    for standing in networks:
        assert re.search(rf"\| {standing['name']} \| [\d ]+ \| [\d.]+ \|", text)
    for picture in re.findall(r"\]\((report/[\w.]+)\)", text):
        assert (folder / picture).stat().st_size > 1_000
    assert len(re.findall(r"\]\(report/", text)) == 5
    page = (folder / "report.html").read_text()
    assert page.count("<audio") >= 5 and page.count("data:image/png") == 5 and "http://" not in page

    checkpoint = folder / "runs" / "plain-5" / "checkpoint.pt"
    log = (folder / "runs" / "plain-5" / "log.jsonl").read_text()
    again = json.loads(run("train", "plain-5", *shared[:2], *shared[4:], "--json", "-"))
    assert again == {"steps": {"plain-5": 20}} and (folder / "runs" / "plain-5" / "log.jsonl").read_text() == log
    assert checkpoint.exists()
    run("report", "--study", folder, "--markdown", tmp_path / "other.md", "--html", tmp_path / "other.html")
    assert (tmp_path / "other" / "rivals.png").exists() and (tmp_path / "other.html").exists()


def test_wrong_names_are_answered_in_one_line(tmp_path: Path) -> None:
    voices = write_corpus(tmp_path / "voices", speakers=1, clips=1)
    for arguments, words in (
        (("train", "plane-5", "--study", tmp_path), "no network 'plane-5'; did you mean 'plain-5'"),
        (("train", "plain-5", "--study", tmp_path), "study data"),
        (("evaluate", "--data", voices, "--study", tmp_path), "no trained network"),
        (("report", "--study", tmp_path), "no results"),
        (("all", "--preset", "quik", "--data", voices, "--study", tmp_path), "no preset 'quik'; did you mean 'quick'"),
        (("data", "--data", voices, "--study", tmp_path, "--factor", "6"), "no multiple of the factor 6"),
    ):
        with pytest.raises(FullbandError, match=re.escape(words)) as refusal:
            run(*arguments)
        assert "\n" not in str(refusal.value)


def test_data_has_its_summary_and_pictures(tmp_path: Path) -> None:
    voices = write_corpus(tmp_path / "voices", speakers=3, clips=1)
    found = json.loads(run("data", "--data", voices, "--study", tmp_path, "--chunk", 4800, "--jobs", 1, "--json", "-"))
    assert found["pairs"]["overlap"] == 2400 and found["recordings"] == found["speakers"] == 3
    assert found["chunks"] == 3 * 19
    assert -32_768 <= found["lowest"] < found["first_quartile"] < found["median"] + 1 < found["third_quartile"] + 1
    assert (tmp_path / "pairs" / "data.png").stat().st_size > 10_000
