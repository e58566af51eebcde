"""What else the machine did meanwhile: a figure in minutes says little without it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spent:
    """Wall-clock minutes, and shares of all cores over them: our own processes', others', stolen by other machines."""

    minutes: float
    cores: int
    own: float
    others: float
    stolen: float

    def __str__(self) -> str:
        return (
            f"{self.minutes:.1f} minutes on {self.cores} cores, of which this took {self.own:.0%}, "
            f"other processes {self.others:.0%}, and {self.stolen:.0%} was stolen"
        )


def _ticks() -> tuple[float, float, float]:
    """Busy and stolen seconds of all cores since the start, and seconds of this process and its ended children."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return own, 0.0, own
    user, nice, system, _, _, irq, soft_irq, steal = fields
    per_second = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft_irq) / per_second, steal / per_second, own


class Watch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic(), *_ticks()

    def read(self) -> Spent:
        """Since the beginning; children count once they have ended."""
        started, busy, stolen, own = self._began
        wall_s = time.monotonic() - started
        busy_now, stolen_now, own_now = _ticks()
        cores = os.cpu_count() or 1
        available = max(wall_s * cores, 1e-9)
        mine = (own_now - own) / available
        others = max(0.0, (busy_now - busy) / available - mine)
        return Spent(wall_s / 60.0, cores, mine, others, (stolen_now - stolen) / available)
