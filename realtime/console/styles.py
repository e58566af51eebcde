"""How things look: by name for the views, as control sequences for the terminal there is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rich.color import ColorSystem
from rich.style import Style as RichStyle


class Style(IntEnum):
    """What a cell is drawn as. Words and signs say the same, so that nothing is lost without colour."""

    PLAIN = 0
    DIM = 1
    BOLD = 2
    BANNER = 3
    BEFORE = 4
    AFTER = 5
    GOOD = 6
    WARN = 7
    BAD = 8
    MARK = 9


_LOOKS = {
    Style.PLAIN: "",
    Style.DIM: "dim",
    Style.BOLD: "bold",
    Style.BANNER: "bold reverse",
    Style.BEFORE: "cyan",
    Style.AFTER: "green",
    Style.GOOD: "green",
    Style.WARN: "bold yellow",
    Style.BAD: "bold red",
    Style.MARK: "bold yellow",
}

#: Sixteen steps of matplotlib's colour map "magma" (public domain): even to the eye, from black to nearly white.
_MAGMA = (
    "#000004", "#0a0822", "#1e1149", "#38106c", "#54137d", "#6d1d81", "#882781", "#a1307e",
    "#bd3977", "#d6456c", "#ec5860", "#f8765c", "#fd9467", "#feb47b", "#fed194", "#fcf0b2",
)  # fmt: skip
HEAT_LEVELS = len(_MAGMA)
_FIRST_HEAT = 32


def heat(upper, lower):  # type: ignore[no-untyped-def]
    """The style of an upper half block whose halves are so hot; levels, or arrays of them, below HEAT_LEVELS."""
    return _FIRST_HEAT + HEAT_LEVELS * upper + lower


#: In place of what a terminal without UTF-8 cannot show: one letter for one, so that columns stay.
_ASCII = str.maketrans(
    "▁▂▃▄▅▆▇█▏▎▍▌▋▊▉▐░▒▓▀│┃─━┄▲●·…–—→←µ×±″",
    "__.-=+##|||#####.:%#||--.^*..--><ux+'",
)


@dataclass(frozen=True)
class Look:
    """What a terminal can show: characters beyond ASCII, and colours (None: not even bold).

    *colour* is false where colours are not wanted (NO_COLOR); bold and reverse then still are.
    """

    utf8: bool = True
    system: ColorSystem | None = None
    colour: bool = False

    @property
    def gradients(self) -> bool:
        """Whether there are colours enough for a picture."""
        many = self.system in (ColorSystem.EIGHT_BIT, ColorSystem.TRUECOLOR)
        return self.utf8 and self.colour and many

    def encode(self, text: str) -> bytes:
        """As bytes for the terminal."""
        return text.encode("utf-8", "replace") if self.utf8 else text.translate(_ASCII).encode("ascii", "replace")

    def sequences(self) -> list[str]:
        """For every style what has the terminal draw in it, whatever it drew in before."""
        drawn = {int(style): RichStyle.parse(look) for style, look in _LOOKS.items()}
        if self.gradients:
            for upper, above in enumerate(_MAGMA):
                for lower, below in enumerate(_MAGMA):
                    drawn[heat(upper, lower)] = RichStyle(color=above, bgcolor=below)
        return [self._sequence(drawn.get(style)) for style in range(max(drawn) + 1)]

    def _sequence(self, style: RichStyle | None) -> str:
        if self.system is None:
            return ""
        wanted = style or RichStyle.null()
        if not self.colour:
            wanted = wanted.without_color
        begun = wanted.render("\0", color_system=self.system).partition("\0")[0]
        return begun.replace("\x1b[", "\x1b[0;", 1) if begun else "\x1b[0m"
