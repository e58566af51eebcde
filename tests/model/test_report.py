"""What people are shown: pictures, tables, the page."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.report.plots import plot_losses, read_log, spectrogram_png
from realtime.errors import FullbandError


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
