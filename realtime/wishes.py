"""What the listener wishes: how loud all is, and how loud and how bright the high band. Each follows along a ramp."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

from .bandwidth import CUTOFF_RANGE_HZ
from .errors import in_range
from .native.ramp import Ramp
from .runner import Runner

#: What the output gain can be set to. Louder than this is a mistake.
GAIN_RANGE_DB = (-60.0, 24.0)

#: The high band's own level, in dB, and its tilt, in dB for every octave above the cutoff.
HIGH_LEVEL_RANGE_DB = (-24.0, 12.0)
HIGH_TILT_RANGE_DB = (-12.0, 12.0)


class Brightness(NamedTuple):
    """Of the high band: *level_db* at the cutoff, or at a pivot, and *tilt_db* more for every octave above it."""

    level_db: float = 0.0
    tilt_db: float = 0.0

    def __str__(self) -> str:
        return f"level {self.level_db:+.1f} dB, tilt {self.tilt_db:+.1f} dB an octave"

    def from_cutoff(self, cutoff_hz: float, pivot_hz: float | None) -> Brightness:
        """The same line over frequency as a model is told it, from *cutoff_hz* up, where *pivot_hz* (None: the cutoff)
        is where its level holds: what a microphone has is the same wherever a voice's band ends."""
        if pivot_hz is None:
            return self
        return self._replace(level_db=self.level_db + self.tilt_db * math.log2(cutoff_hz / pivot_hz))

    def towards(self, other: Brightness, most_db: float) -> Brightness:
        """*other*, or as near to it as *most_db* of each leads."""
        steps = (min(max(there - here, -most_db), most_db) for here, there in zip(self, other, strict=True))
        return Brightness(*(here + step for here, step in zip(self, steps, strict=True)))

    def added_to(self, other: Brightness) -> Brightness:
        """Both at once, within what can be set."""
        ranges_db = BRIGHTNESS_RANGES_DB.values()
        return Brightness(
            *(min(max(a + b, low), high) for a, b, (low, high) in zip(self, other, ranges_db, strict=True))
        )


#: By the names of its fields.
BRIGHTNESS_RANGES_DB = dict(zip(Brightness._fields, (HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB), strict=True))

#: Nothing is wished.
AS_IT_IS = Brightness()


class Wishes:
    """Gain and mute of what is heard, level and tilt of the high band; set from any thread of the control plane.

    Level and tilt go to the model that :meth:`follow` was told of, with what is known of the voice's own beside them; a
    model that takes no level has the listener's applied to what it gives. *cutoff_hz* is where the voice's band ends.
    """

    def __init__(self, cutoff_hz: float) -> None:
        self._gain = Ramp()
        self._level = Ramp()
        self._duck = Ramp()
        self._lock = threading.Lock()
        self._model: Runner | None = None
        self.gain_db = 0.0
        self.high_level_db = 0.0
        self.high_tilt_db = 0.0
        self.high_pivot_hz: float | None = None
        self._cutoff_hz = cutoff_hz
        self._known = AS_IT_IS
        self.muted = False

    @property
    def addresses(self) -> tuple[int, int, int]:
        """Of the ramps of gain, level and duck, for the playback record."""
        return self._gain.address, self._level.address, self._duck.address

    def set_gain_db(self, gain_db: float) -> None:
        """Play louder or softer by *gain_db* (:data:`GAIN_RANGE_DB`), from the next block on, along a ramp of 10 ms."""
        self.gain_db = in_range("gain_db", gain_db, GAIN_RANGE_DB)
        self._set_gain()

    def set_muted(self, muted: bool) -> None:
        """Play silence, or the voice again, along a ramp of 10 ms; the gain is kept."""
        self.muted = muted
        self._set_gain()

    def set_duck_db(self, duck_db: float) -> None:
        """Change by *duck_db* what the limiter lets pass: a loop that howls is then weaker, however loud it is."""
        self._duck.move_to(10.0 ** (duck_db / 20.0))

    def _set_gain(self) -> None:
        self._gain.move_to(0.0 if self.muted else 10.0 ** (self.gain_db / 20.0))

    @property
    def faded_out(self) -> bool:
        """Whether a mute is complete: what is handed to the device is silence. What it holds is still to be heard."""
        return self.muted and self._gain.value == 0.0

    def set_high_level_db(self, level_db: float) -> None:
        """Make the high band louder or softer (:data:`HIGH_LEVEL_RANGE_DB`), against the voice as it came."""
        self.high_level_db = in_range("high_level_db", level_db, HIGH_LEVEL_RANGE_DB)
        self._tell()

    def set_high_tilt_db(self, tilt_db: float) -> None:
        """Tilt the high band, per octave above the cutoff (:data:`HIGH_TILT_RANGE_DB`), with a model that can."""
        self.high_tilt_db = in_range("high_tilt_db", tilt_db, HIGH_TILT_RANGE_DB)
        self._tell()

    def set_high_pivot_hz(self, pivot_hz: float | None) -> None:
        """Have the high band's level hold, and its tilt turn, at *pivot_hz*; None: where the voice's band ends."""
        self.high_pivot_hz = None if pivot_hz is None else in_range("high_pivot_hz", pivot_hz, CUTOFF_RANGE_HZ)
        self._tell()

    def set_cutoff_hz(self, cutoff_hz: float) -> None:
        """The voice's band ends at *cutoff_hz* from now on."""
        self._cutoff_hz = cutoff_hz
        self._tell()

    @property
    def brightness(self) -> Brightness:
        """What a model is told: what the listener wishes and what is known."""
        return self._known.added_to(self.wished.from_cutoff(self._cutoff_hz, self.high_pivot_hz))

    @property
    def wished(self) -> Brightness:
        """What the listener wishes alone."""
        return Brightness(self.high_level_db, self.high_tilt_db)

    def set_known(self, brightness: Brightness) -> None:
        """Have the high band as bright as the voice is known to be, beside what the listener wishes."""
        self._known = brightness
        self._tell()

    @property
    def takes_tilt(self) -> bool:
        """Whether the model in use can tilt its high band."""
        return self._model is not None and "tilt_db" in self._model.contract.controls

    def follow(self, model: Runner | None) -> None:
        """Tell *model*, the one in use from now on, what is wished."""
        with self._lock:
            self._model = model
        if model is not None:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            model = self._model
            in_model = model is not None and "level_db" in model.contract.controls
            whole = model is not None and model.contract.mode == "replace"
            self._level.move_to(1.0 if in_model or whole else 10.0 ** (self.high_level_db / 20.0))
            if model is not None:
                model.set_wishes(*self.brightness)
