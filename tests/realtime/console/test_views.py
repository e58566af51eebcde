"""Each view by itself, on quantities that are known: what is drawn lies in the right cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from realtime.console.canvas import Area, Canvas
from realtime.console.glyphs import lying, span, standing
from realtime.console.snapshot import FLOOR_DBFS, Snapshot
from realtime.console.styles import Style
from realtime.console.views import hops, latency, meters, spectrogram, spectrum
from realtime.latency import LatencyBudget
from tests.realtime.console.conftest import histogram, sound


def test_a_meter_is_as_long_as_its_level_and_marks_its_peak() -> None:
    canvas = Canvas(79, 1)
    meters.draw(canvas, Area(0, 0, 1, 79), "in", replace(sound(), peak_dbfs=-30.0, held_dbfs=-6.0))
    line = canvas.lines()[0]
    bar = line[4 : 79 - len(" -99.9 pk -99.9")]
    assert bar.count("█") == len(bar) // 2
    assert bar.index("│") == int(0.9 * len(bar))
    assert line.endswith(" -23.0 pk  -6.0")


def test_a_meter_of_silence_is_empty() -> None:
    canvas = Canvas(39, 1)
    silence = replace(sound(), level_dbfs=FLOOR_DBFS, peak_dbfs=FLOOR_DBFS, held_dbfs=FLOOR_DBFS)
    meters.draw(canvas, Area(0, 0, 1, 39), "in", silence)
    assert canvas.lines()[0].split() == ["in", "-99.9", "pk", "-99.9"]


def test_a_spectrum_ends_where_the_sound_does_and_marks_the_end_of_the_band(snapshot: Snapshot) -> None:
    canvas = Canvas(48, 8)
    spectrum.draw(canvas, Area(0, 0, 8, 48), snapshot, "before", sound(8_000.0))
    lines = canvas.lines()
    assert all(line[:16].strip() and not line[16:].strip() for line in lines[2:7])
    assert lines[7].index("▲") == 16
    assert lines[7].index("4") == 8
    assert lines[0].endswith("band ends at 8.0 kHz")


def test_a_spectrogram_scrolls_from_the_right_and_has_the_high_bands_above() -> None:
    canvas = Canvas(44, 6)
    spectrogram.draw(canvas, Area(0, 0, 6, 44), "before", sound(8_000.0), gradients=False)
    lines = canvas.lines()
    assert lines[0].startswith(" 24k")
    assert lines[5].startswith("   0")
    for row, line in enumerate(lines):
        assert line[34:] == ("█" if row >= 4 else " ") * 10
        assert not line[4:34].strip()


def test_a_spectrogram_in_colour_has_twice_the_bands() -> None:
    canvas = Canvas(44, 3)
    spectrogram.draw(canvas, Area(0, 0, 3, 44), "before", sound(12_000.0), gradients=True)
    dark, bright = canvas.styles[0, 43], canvas.styles[2, 43]
    assert len({dark, bright, canvas.styles[1, 43]}) == 3
    assert canvas.styles[2, 4] == dark


@pytest.mark.parametrize(
    ("milliseconds", "column"), [(0.125, 0), (0.5, 10), (2.0, 20), (31.9, 39), (1e-4, 0), (900.0, 39)]
)
def test_hop_times_fall_into_the_right_column(milliseconds: float, column: int) -> None:
    assert hops.column_of(milliseconds, 40) == column
    bars = hops.heights(histogram(1.02 * milliseconds), 40)
    assert abs(int(np.argmax(bars)) - column) <= 1
    assert bars.max() == 1.0


def test_the_deadline_is_a_line_and_what_comes_after_it_is_red(with_statistics: Callable[..., Snapshot]) -> None:
    canvas = Canvas(40, 8)
    late = with_statistics(response=histogram(*[0.7] * 500, 10.0))
    hops.draw(canvas, Area(0, 0, 8, 40), late)
    deadline = hops.column_of(4.67, 40)
    assert all(line[deadline] == "┃" for line in canvas.lines()[1:7])
    assert "deadline 4.7" in canvas.lines()[1]
    single = hops.column_of(10.0, 40)
    assert canvas.lines()[6][single] != " ", "one of five hundred is seen"
    assert canvas.styles[6, single] == Style.BAD
    assert canvas.styles[6, hops.column_of(0.7, 40)] != Style.BAD


def test_each_part_of_the_latency_begins_where_the_one_before_ends() -> None:
    bars = [span(start, end, 20) for start, end in ((0.0, 0.25), (0.25, 0.5), (0.5, 1.0), (0.5, 0.501))]
    assert bars[0].rstrip() == "█" * 5
    assert bars[1].rstrip() == " " * 5 + "█" * 5
    assert bars[2] == " " * 10 + "█" * 10
    assert bars[3].strip() == "▏", "a part that is short is seen"
    assert all(len(bar) == 20 for bar in bars)


def test_parts_that_do_not_fit_are_joined_and_the_sum_stays() -> None:
    stages = tuple((f"stage {index}", float(index + 1)) for index in range(9))
    budget = LatencyBudget(None, 1.5, 45.0, 2.5, 2.0, 0.0, 0.0, stages)
    for most in (3, 5, 8):
        found = latency.rows(budget, most)
        assert len(found) == most
        assert sum(value or 0.0 for _, value in found) == pytest.approx(budget.total_ms)
        assert found[-1][0].endswith("others")
    assert len(latency.rows(budget, 20)) == 15


def test_bars_have_eighths() -> None:
    assert lying(0.5, 4) == "██  "
    assert lying(9 / 16, 2) == "█▏"
    column = standing(np.array([0.0, 0.25, 9 / 16, 1.0, 7.0]), 2)
    assert ["".join(map(chr, row)) for row in column] == ["  ▁██", " ▄███"]
