"""How loud and how bright a page may have its high band."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ...errors import FullbandError, in_range
from ...wishes import BRIGHTNESS_RANGES_DB, Brightness
from ..exchange import Exchange
from .guard import Refused


def amended(before: Brightness, asked: Mapping[str, object], exchange: Exchange) -> Brightness:
    """*before* with what *asked* has of it, as numbers or their text.

    Raises :class:`Refused` with 400 for what makes no sense, or what the model of *exchange* does not take.
    """
    after = before._replace(**{name: _wished_db(name, asked[name]) for name in before._fields if name in asked})
    if not exchange.takes(after):
        raise Refused(400, f"the model here takes no such wish: {after} of its high band")
    return after


def _wished_db(name: str, value: object) -> float:
    number = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if number is None:
        raise Refused(400, f"{name} is {str(value)[:40]!r}, which is no number")
    try:
        return in_range(name, number, BRIGHTNESS_RANGES_DB[name])
    except FullbandError as error:
        raise Refused(400, str(error)) from None
