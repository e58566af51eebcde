"""Cells: text is cut at edges, wide letters take two, and nothing in a name can move a cursor."""

from __future__ import annotations

from realtime.console.canvas import COVERED, Canvas
from realtime.console.styles import Look, Style


def test_text_is_cut_at_every_edge() -> None:
    canvas = Canvas(6, 1)
    assert canvas.put(0, 4, "abc") == 6
    canvas.put(0, -2, "xyz")
    canvas.put(1, 0, "below")
    canvas.put(-1, 0, "above")
    canvas.put(0, 9, "beyond")
    assert canvas.lines() == ["z   ab"]
    canvas.put_right(0, 4, "12345", most=3)
    assert canvas.lines() == ["z123ab"]


def test_letters_that_take_two_cells_leave_the_columns_as_they_are() -> None:
    canvas = Canvas(8, 1)
    assert canvas.put(0, 0, "耳机x") == 5
    assert canvas.chars[0, 1] == canvas.chars[0, 3] == COVERED
    assert canvas.lines() == ["耳机x   "]
    canvas.put(0, 0, "e\u0301!")
    assert canvas.lines()[0].startswith("e!")


def test_a_name_cannot_write_control_sequences() -> None:
    canvas = Canvas(20, 1)
    canvas.put(0, 0, "a\x1b[2Jb\nc\u202ed")
    assert canvas.lines() == ["a?[2Jb?cd".ljust(20)]


def test_without_utf8_every_letter_has_one_of_ascii_in_its_place() -> None:
    shown = "▁▂▃▄▅▆▇█▏▎▍▌▋▊▉ ·░▒▓▀│┃─▲●…→µ 耳é"
    ascii_only = Look(utf8=False).encode(shown)
    assert len(ascii_only) == len(shown)
    assert ascii_only.isascii()
    assert Look().encode(shown).decode() == shown
    assert ascii_only.count(b"?") == 2


def test_without_colour_nothing_is_coloured_but_bold_stays() -> None:
    from rich.color import ColorSystem

    plain, colourless, coloured = (
        Look(),
        Look(system=ColorSystem.EIGHT_BIT, colour=False),
        Look(system=ColorSystem.EIGHT_BIT, colour=True),
    )
    assert not any(plain.sequences())
    assert colourless.sequences()[Style.BAD] == "\x1b[0;1m"
    assert colourless.sequences()[Style.GOOD] == "\x1b[0m"
    assert coloured.sequences()[Style.BAD] == "\x1b[0;1;31m"
    assert len(coloured.sequences()) > len(colourless.sequences())
    assert coloured.gradients and not colourless.gradients and not plain.gradients
