"""What a host was started from, and may be turned from: a preset, and what the command line says beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import FullbandError
from .session import Session
from .settings.live import LiveSettings, live_presets, load_live_settings


class Presets:
    """*preset* (a name, a path or None) with *given* over it. Another one takes the place of the preset alone."""

    def __init__(self, preset: str | None, given: dict[str, Any]) -> None:
        self._given = given
        self._tried = preset
        #: The one in effect.
        self.preset = preset
        #: What has to be done to all settings that are read, before they are used.
        self.adopt: Callable[[LiveSettings], LiveSettings] = lambda settings: settings

    def load(self) -> LiveSettings:
        """The settings, read anew. Raises :class:`FullbandError`."""
        return self.adopt(load_live_settings(self.preset, self._given))

    def turn(self, session: Session) -> str:
        """Have *session* run the next of this user's and the shipped presets, round about; gives what to say of it.

        One that cannot be had changes nothing, and is gone past at the next turn.
        """
        names = live_presets()
        place = names.index(self._tried) + 1 if self._tried in names else 0
        name = self._tried = names[place % len(names)]
        try:
            kept = session.reload(self.adopt(load_live_settings(name, self._given)))
        except FullbandError as error:
            return f"preset '{name}' cannot be had, all stays as it was: {error}"
        self.preset = name
        return f"preset '{name}'" + (f"; until the next start stay as they were: {', '.join(kept)}" if kept else "")
