"""What each key of the console asks a host for; the console has some keys of its own beside them."""

from __future__ import annotations

from ..settings.live import LiveSettings
from ..wishes import GAIN_RANGE_DB
from . import protocol

#: Counters are shown from now on. The host has no request for it: only who looks at them starts anew.
RESET = "z"

_STEP_DB = 1.0


def _stepped(gain_db: float, step_db: float) -> protocol.Gain:
    low, high = GAIN_RANGE_DB
    return protocol.Gain(db=min(max(gain_db + step_db, low), high))


def request_for(key: str, settings: LiveSettings) -> protocol.AnyRequest | None:
    """What *key* asks of a host with these *settings*; None where it has no meaning."""
    match key:
        case "b":
            return protocol.Bypass(stage=None, state="toggle")
        case "m":
            return protocol.Mute(state="toggle")
        case "+" | "=":  # the same key, with and without shift
            return _stepped(settings.gain_db, _STEP_DB)
        case "-" | "_":
            return _stepped(settings.gain_db, -_STEP_DB)
        case "n":
            return protocol.Model(name=protocol.NEXT)
        case "s":
            return protocol.Save()
        case "q":
            return protocol.Stop()
    return None
