"""What people are shown: pictures, tables, the page."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.data.corpus import find_clips
from model.metrics.evaluation import Plan, evaluate
from model.metrics.systems import System
from model.report.marks import judge
from model.report.page import render
from model.report.plots import plot_losses, read_log, spectrogram_png
from realtime.errors import FullbandError

from .speech import write_corpus


def write_log(folder: Path, lines: int, *, torn: bool = False) -> Path:
    folder.mkdir()
    records = [{"step": 20 * n, "elapsed_s": 3.0 * n, "learning_rate": 1e-3, "total": 4.0 / n} for n in range(1, lines)]
    records[-1]["adversary"] = 0.5  # a loss that begins later
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "log.jsonl").write_text(text + ('{"step": 9' if torn else ""))
    return folder


def test_a_log_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    log = read_log(write_log(tmp_path / "run", 6, torn=True))
    assert log["step"].tolist() == [20, 40, 60, 80, 100]
    assert np.isnan(log["adversary"][:-1]).all() and log["adversary"][-1] == 0.5


def test_losses_of_several_runs_are_one_picture(tmp_path: Path) -> None:
    runs = [write_log(tmp_path / name, 30) for name in ("a", "b")]
    path = plot_losses(runs)
    assert path == tmp_path / "a" / "loss.png"
    assert np.asarray(Image.open(path).convert("L")).std() > 5.0


@pytest.mark.parametrize(("content", "message"), [(None, "cannot read"), ("", "nothing is logged")])
def test_a_run_without_a_log_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(FullbandError, match=message):
        plot_losses([tmp_path])


def test_a_tone_is_a_line_at_its_frequency() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 12_000.0 * np.arange(48_000) / 48_000)).astype(np.float32)
    picture = np.asarray(Image.open(io.BytesIO(spectrogram_png(tone, pixels=(100, 200)))).convert("L")).astype(float)
    assert picture.shape == (200, 100)
    assert np.argmax(picture.mean(axis=1)) == pytest.approx(100, abs=2)
    assert spectrogram_png(tone[:10])


def test_the_page_holds_sounds_pictures_tables_and_failures_and_needs_no_other_file(tmp_path: Path) -> None:
    clips = find_clips(write_corpus(tmp_path / "voices", speakers=1), "test")
    plan = Plan(
        clips, [System("sinc")], rates_hz=[16_000], baselines=["oracle"], filters="few", codecs=False, visqol=False
    )
    result = evaluate(plan)
    page = render(result, plan, [], [judge(result, [], "sinc")])
    # One example for each of two clips, each with input, one system and original.
    assert page.count("data:audio/flac;base64,") == page.count("data:image/png;base64,") == 3 * len(clips)
    encoded = page.split("data:audio/flac;base64,")[1].split('"')[0]
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
    assert rate_hz == 48_000 and len(samples) == 48_000
    assert "AP-BWE *" in page and "Published elsewhere" in page
    assert "LSD, 16 kHz, all" in page.split("Where it fails</h2>")[1]  # the low band alone misses this mark
    assert not re.search(r'(src|href)="(?!data:|#)', page)
