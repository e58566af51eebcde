"""A parameter of a stage: what it is called, what it can be, and what it is if nobody says anything."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import FullbandError


@dataclass(frozen=True)
class Parameter:
    """One parameter. *low* and *high* may be infinite; switches are 0 or 1. *logarithmic* is a hint for sliders."""

    name: str
    unit: str
    low: float
    high: float
    default: float
    help: str = ""
    kind: Literal["float", "integer", "switch"] = "float"
    logarithmic: bool = False

    def check(self, value: Any, where: str) -> float:
        """*value* as a float. Raises :class:`FullbandError`, which begins with *where*, if it cannot be that."""
        if self.kind == "switch" and isinstance(value, bool):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise FullbandError(f"{where}: '{self.name}' is {value!r}; it can be {self.range}")
        # What is written with a few digits may lie a float32 beside its bound.
        slack = 1e-6 * max(abs(value), 1e-3)
        fits = self.low - slack <= value <= self.high + slack
        if not fits or (self.kind != "float" and value != round(value)):
            raise FullbandError(f"{where}: '{self.name}' is {value:g}; it can be {self.range}")
        return min(max(float(value), self.low), self.high)

    @property
    def range(self) -> str:
        """What it can be, in words."""
        if self.kind == "switch":
            return "true or false"
        whole = "a whole number " if self.kind == "integer" else ""
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.low) and math.isinf(self.high):
            return f"any {whole or 'number '}".strip()
        if math.isinf(self.high):
            return f"{whole}{self.low:g}{unit} or more"
        if math.isinf(self.low):
            return f"{whole}{self.high:g}{unit} or less"
        return f"{whole}from {self.low:g} to {self.high:g}{unit}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity: null."""
        values = asdict(self)
        return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in values.items()}
