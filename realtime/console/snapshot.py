"""All that one frame of the console shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..latency import LatencyBudget
from ..statistics import Statistics

#: What is quieter is not shown.
FLOOR_DBFS = -120.0


@dataclass(frozen=True)
class Sound:
    """One side, before or after. Levels in dBFS of what came since the last frame; *held_dbfs* is the peak of late.

    *spectrum_db* [lines] goes from 0 to 24 kHz and falls slowly. *columns_db* [columns, bands], too, is from 0 to
    24 kHz; the newest of the *column_count* columns that ever were is last.
    """

    level_dbfs: float
    peak_dbfs: float
    held_dbfs: float
    spectrum_db: NDArray[np.float32]
    columns_db: NDArray[np.float32]
    column_count: int


@dataclass(frozen=True)
class Limiting:
    """By how much the limiter makes the high band and the whole softer, in dB: 0 or less."""

    high_db: float = 0.0
    whole_db: float = 0.0


@dataclass(frozen=True)
class Mark:
    """A letter at a column of the spectrogram, counted as :attr:`Sound.column_count` is."""

    column: int
    letter: str


@dataclass(frozen=True)
class Snapshot:
    """A moment of a running host. *chain* is :meth:`realtime.engine.Engine.describe_chain`.

    *deadline_ms* is within which a hop has to be done after its last sample has come; None without a model.
    *comparing* is the side that is heard of a comparison, ``A`` (as set) or ``B`` (bypass), or None.
    *recording_seconds* is None while nothing is recorded from the console.
    """

    statistics: Statistics
    devices: str
    block_frames: int
    before: Sound
    after: Sound
    budget: LatencyBudget
    deadline_ms: float | None = None
    separate_clocks: bool = False
    lost: bool = False
    limiting: Limiting = Limiting()
    chain: list[dict[str, Any]] = field(default_factory=list)
    comparing: str | None = None
    marks: tuple[Mark, ...] = ()
    recording_seconds: float | None = None
    notices: tuple[str, ...] = ()
    has_keys: bool = True
