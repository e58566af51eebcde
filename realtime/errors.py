"""The one error that people see: a line that names what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class FullbandError(Exception):
    """A failure explained in one clear line. *exit_status*: 1 failed, 2 wrong usage."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def nearest(name: str, choices: Sequence[str], count: int = 3) -> list[str]:
    """The *choices* most like *name*, best first, ignoring case; empty when none is similar."""
    by_lower = {choice.lower(): choice for choice in choices}
    return [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.4)]


def suggest(name: str, choices: Iterable[str], what: str = "there are") -> str:
    """What to write instead of an unknown *name*: the nearest of *choices*, or *what* there is."""
    choices = list(choices)
    near = nearest(name, choices, 1)
    return f"did you mean '{near[0]}'?" if near else f"{what}: {', '.join(choices) or 'none'}"


def in_range(name: str, value: float, limits: tuple[float, float]) -> float:
    """*value* as a float, when it lies within *limits*; else a :class:`FullbandError` that names it."""
    low, high = limits
    if not low <= value <= high:
        raise FullbandError(f"{name} is {value:g}; it can be from {low:g} to {high:g}")
    return float(value)
