"""Whole frames at every size: all that must be seen is seen, in text alone, and nothing is drawn past an edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.color import ColorSystem

from realtime.console import frame
from realtime.console.layout import Page, plan
from realtime.console.snapshot import Limiting, Mark, Snapshot
from realtime.console.styles import Look
from tests.realtime.console.conftest import STAGES

MONOCHROME = Look(utf8=True, system=ColorSystem.TRUECOLOR, colour=False)
COLOUR = Look(utf8=True, system=ColorSystem.TRUECOLOR, colour=True)


def text(snapshot: Snapshot, size: tuple[int, int] = (80, 24), page: Page = Page.ENGINE) -> str:
    return "\n".join(frame.draw(snapshot, size, MONOCHROME, page=page).lines())


def test_80_columns_show_all_that_a_host_has_to_say(snapshot: Snapshot) -> None:
    shown = text(snapshot)
    for words in (
        " fullband  1:23  default", "Headset → Speakers, block 128", "band ends at 8.0 kHz", "limiter at rest",
        "-23.0 pk  -6.0", "-23.0 pk  -3.0", "latency", "19.33 ms", "in device     unknown", "network          8.00",
        "guard            2.00", "out device       5.33", "hop done after", "deadline 4.7", "0.61/1.02", "15.3 %",
        "deadline misses       0", "dull             0.00 s", "xruns                 0", "one clock",
        "b bypass", "a A/B", "n model", "+ - gain", "m mute", "r record", "s save", "? help", "q quit",
    ):  # fmt: skip
        assert words in shown, f"{words!r} is missing:\n{shown}"


@pytest.mark.parametrize("stages", [0, 1, 3, 12])
@pytest.mark.parametrize("size", [(80, 24), (160, 48), (60, 16), (81, 25), (129, 31), (130, 32), (300, 100)])
def test_no_area_lies_on_another_or_past_an_edge(size: tuple[int, int], stages: int) -> None:
    for page in Page:
        taken = set()
        for name, area in plan(*size, stages, page).areas.items():
            cells = {
                (row, column)
                for row in range(area.row, area.row + area.height)
                for column in range(area.column, area.column + area.width)
            }
            assert not cells & taken, name
            taken |= cells
        assert all(0 <= row < size[1] and 0 <= column < size[0] for row, column in taken)


def test_every_size_is_drawn_and_the_small_ones_say_what_matters(snapshot: Snapshot) -> None:
    full = replace(snapshot, chain=STAGES, notices=("guard 4.0 ms: hops came late",), recording_seconds=3.0)
    for width in (1, 2, 5, 10, 39, 40, 59, 60, 79, 80, 131, 200):
        for height in (1, 2, 3, 9, 10, 15, 16, 17, 18, 19, 20, 23, 24, 33, 60):
            for look in (MONOCHROME, COLOUR):
                canvas = frame.draw(full, (width, height), look)
                assert canvas.chars.shape == (height, width)
            frame.draw(full, (width, height), MONOCHROME, showing_help=True)
    least = text(replace(snapshot, chain=STAGES), (40, 10)).splitlines()
    assert least[0].startswith("fullband 1:23 chain of 3")
    assert least[1].startswith("in  -6.0  out  -3.0 dBFS")
    assert least[2].startswith("misses 0 dull 0.0 s xruns 0")
    assert least[-1].rstrip().endswith("q quit")


def test_colour_adds_nothing_that_words_do_not_say(snapshot: Snapshot) -> None:
    wanting = replace(snapshot, limiting=Limiting(-1.2, -0.5), chain=STAGES, comparing="B", lost=True)
    plain, coloured = (frame.draw(wanting, (160, 48), look).lines() for look in (MONOCHROME, COLOUR))
    areas = plan(160, 48, len(STAGES)).areas
    pictures = range(
        areas["spectrogram before"].row, areas["spectrogram before"].row + areas["spectrogram before"].height
    )
    assert [line for row, line in enumerate(plain) if row not in pictures] == [
        line for row, line in enumerate(coloured) if row not in pictures
    ]
    shown = "\n".join(plain)
    assert "limiter: high band -1.2, all -0.5 dB" in shown
    assert "A/B: B as it came" in shown
    assert "DEVICE AWAY" in shown


def test_faults_and_settings_are_named(with_statistics: Callable[..., Snapshot]) -> None:
    shown = text(
        with_statistics(deadline_misses=7, dull_seconds=0.25, xruns=2, device_xruns=1, bypass=True, gain_db=-3.0)
    )
    assert "deadline misses       7" in shown
    assert "dull             0.25 s" in shown
    assert "xruns                 3" in shown
    assert "BYPASS  -3 dB" in shown
    moving = replace(with_statistics(drift_ppm=-12.34, muted=True), separate_clocks=True, recording_seconds=62.0)
    shown = text(moving)
    assert "drift         -12.3 ppm" in shown
    assert "MUTED  ● REC 1:02" in shown


def test_a_chain_has_the_load_of_every_stage_in_sight_at_any_size(snapshot: Snapshot) -> None:
    chained = replace(snapshot, chain=[*STAGES[:2], {**STAGES[2], "bypass": True}])
    strip = "chain  high-pass 4 µs 0.1 % → network 612 µs 15.3 % → limiter 20 µs 0.5 %"
    assert strip in text(chained)
    table = text(chained, page=Page.CHAIN)
    assert strip in table
    for shown in (table, text(chained, (160, 48))):
        assert "15.9 % of a hop" in shown
        rows = [line.split() for line in shown.splitlines()]
        assert any("network 612.0 765.0 15.30 4.00" in " ".join(row) for row in rows)
        assert any("limiter (bypassed) 20.4 25.5 0.51 1.50" in " ".join(row) for row in rows)
    assert "latency" in text(chained, (160, 48))
    many = replace(snapshot, chain=STAGES * 5)
    assert "and 9 more" in text(many, page=Page.CHAIN)
    assert " …" in text(many)


def test_the_newest_notice_takes_the_place_of_the_devices(snapshot: Snapshot) -> None:
    told = replace(snapshot, notices=("first", "second " * 20))
    lines = text(told).splitlines()
    assert lines[-2].startswith("second second")
    assert lines[-2].endswith("…")
    assert lines[-1].startswith("b bypass")


def test_without_keys_none_are_shown(snapshot: Snapshot) -> None:
    shown = text(replace(snapshot, has_keys=False))
    assert "bypass" not in shown
    assert "Ctrl-C ends" in shown


def test_marks_of_a_comparison_are_drawn_where_they_happened(snapshot: Snapshot) -> None:
    marked = replace(snapshot, marks=(Mark(999, "A"), Mark(989, "B"), Mark(10, "A")))
    area = plan(80, 24).areas["spectrogram after"]
    line = text(marked).splitlines()[area.row]
    assert line[79] == "A"
    assert line[69] == "B"
    assert line.count("A") == 1
