"""What every host is told of the high band it adds."""

from __future__ import annotations

from pydantic import Field

from ..bandwidth import CUTOFF_RANGE_HZ
from ..wishes import HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB, Brightness
from .file import Settings


class HighBandSettings(Settings):
    """The model, and how bright its high band shall be; ``fullband match`` finds that for a microphone.

    The level holds, and the tilt turns, at the pivot; without one where the voice's band ends.
    """

    model: str = "default"
    high_level_db: float = Field(default=0.0, ge=HIGH_LEVEL_RANGE_DB[0], le=HIGH_LEVEL_RANGE_DB[1])
    high_tilt_db: float = Field(default=0.0, ge=HIGH_TILT_RANGE_DB[0], le=HIGH_TILT_RANGE_DB[1])
    high_pivot_hz: float | None = Field(default=None, ge=CUTOFF_RANGE_HZ[0], le=CUTOFF_RANGE_HZ[1])

    @property
    def brightness(self) -> Brightness:
        """Both at once."""
        return Brightness(self.high_level_db, self.high_tilt_db)
