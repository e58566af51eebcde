"""How long to hold packets: as long as all but a few of them need, by what was seen of late.

As in NetEq, the jitter buffer of WebRTC, the target follows a percentile of a histogram that forgets.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numba import njit

from ..native import COMPILE

#: The share of packets that has to be in time; what the others lack is concealed.
IN_TIME = 0.98

_CELL_MS = 2.0
_CELLS = 200

#: A packet's weight is halved after so many more (some 4 s of them).
_HALF_LIFE = 200

#: Packets that settle the histogram; until then it stands for more than was seen.
_FIRST = 10
_FIRST_TARGET_MS = 20.0

#: The fastest packet is looked for among those of so many seconds: a slower route is then the new measure, and two
#: clocks 300 ppm apart are wrong by less than 2 ms.
_SLOT_NS = 1_000_000_000
_SLOTS = 6


#: When so many packets in a row come later than the fastest by more than anybody would wait for, the sender's clock has
#: stood still, or the route is another one: what was learnt is worth nothing any more.
_STEP_MS = 200.0
_STEP_PACKETS = 8


@njit(**COMPILE)
def _count(cells, newest, forget):  # type: ignore[no-untyped-def]
    """Let all *cells* fade by *forget* and count one in *newest*; gives the cell up to which IN_TIME of all lie."""
    total = 0.0
    for i in range(cells.shape[0]):
        cells[i] *= forget
        total += cells[i]
    cells[newest] += 1.0
    wanted = IN_TIME * (total + 1.0)
    found = 0
    summed = cells[0]
    while summed < wanted and found < cells.shape[0] - 1:
        found += 1
        summed += cells[found]
    return found


class DelayTarget:
    """Fed with the transit time of each packet: its arrival less its timestamp, in ms and to any constant."""

    def __init__(self) -> None:
        self._cells = np.zeros(_CELLS)
        self._forget = 0.5 ** (1.0 / _HALF_LIFE)
        self._seen = 0
        self._slots: deque[list[float]] = deque(maxlen=_SLOTS)
        self._recent: deque[float] = deque(maxlen=_STEP_PACKETS)
        self.base_ms = 0.0
        #: What jitter asks for: IN_TIME of the packets came within so much of the fastest.
        self.target_ms = _FIRST_TARGET_MS

    def restart(self) -> None:
        """Another stream: the base is unknown, the jitter is likely what it was."""
        self._slots.clear()
        self._recent.clear()

    def add(self, transit_ms: float, arrival_ns: int) -> None:
        """Take the next packet."""
        slots, recent = self._slots, self._recent
        recent.append(transit_ms)
        if slots and len(recent) == _STEP_PACKETS and min(recent) - self.base_ms > _STEP_MS:
            slots.clear()
            slots.append([arrival_ns, min(recent)])
            self._cells[:] = 0.0
            self._seen = 0
        if not slots or arrival_ns - slots[-1][0] >= _SLOT_NS:
            slots.append([arrival_ns, transit_ms])
        else:
            slots[-1][1] = min(slots[-1][1], transit_ms)
        self.base_ms = min(slot[1] for slot in slots)
        self._seen += 1
        newest = min(int((transit_ms - self.base_ms) / _CELL_MS), _CELLS - 1)
        target_ms = (_count(self._cells, newest, self._forget) + 1) * _CELL_MS
        self.target_ms = max(target_ms, _FIRST_TARGET_MS) if self._seen < _FIRST else target_ms
