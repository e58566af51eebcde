"""The picture shows both signals, and a tone where it is: in the right place, at the right level."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import FullbandError
from realtime.plot import _HOP_SAMPLES, _MOST_COLUMNS, _WINDOW_SAMPLES, _levels_db, spectrograms

RATE_HZ = 48_000


def _tone(hz: float, level_db: float, seconds: float = 1.0) -> NDArray[np.float32]:
    time = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return (10.0 ** (level_db / 20.0) * np.sin(2.0 * np.pi * hz * time)).astype(np.float32)


def _size(picture: Path) -> tuple[int, int]:
    header = picture.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", header[16:24])
    return width, height


@pytest.mark.parametrize("level_db", [0.0, -40.0])
def test_a_tone_is_drawn_at_its_frequency_and_level(level_db: float) -> None:
    line = 256
    column = _levels_db(_tone(line * RATE_HZ / _WINDOW_SAMPLES, level_db))[:, 50]
    assert int(np.argmax(column)) == line
    assert column[line] == pytest.approx(level_db, abs=0.1)


def test_a_click_is_drawn_at_its_time() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[RATE_HZ // 2] = 1.0
    loudest = int(np.argmax(_levels_db(click).mean(axis=0)))
    assert loudest * _HOP_SAMPLES == pytest.approx(RATE_HZ // 2, abs=_HOP_SAMPLES)


def test_a_long_signal_is_drawn_in_bounded_memory() -> None:
    assert _levels_db(np.zeros(RATE_HZ * 120, np.float32)).shape[1] <= _MOST_COLUMNS


def test_two_signals_become_a_picture_with_a_difference(tmp_path: Path) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(RATE_HZ)).astype(np.float32)
    spectrograms(tmp_path / "same.png", noise, noise, "noise")
    spectrograms(tmp_path / "other.png", noise, _tone(12_000, -20.0), "noise and a tone")
    for name in ("same.png", "other.png"):
        width, height = _size(tmp_path / name)
        assert 800 <= width <= 2_000
        assert 500 <= height <= 1_500
    assert (tmp_path / "same.png").read_bytes() != (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_silence_and_hardly_any_signal_can_be_drawn(tmp_path: Path, samples: int) -> None:
    signal = np.zeros(samples, np.float32)
    spectrograms(tmp_path / "short.png", signal, signal, "hardly any")
    assert _size(tmp_path / "short.png") > (0, 0)


def test_a_picture_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    target = tmp_path / "absent" / "a.png"
    with pytest.raises(FullbandError, match="cannot write") as caught:
        spectrograms(target, np.zeros(480, np.float32), np.zeros(480, np.float32), "nowhere")
    assert str(target) in str(caught.value)


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, realtime.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
