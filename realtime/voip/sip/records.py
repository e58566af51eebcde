"""What a call was: one JSON object a line, written when it ends. Keys that were pressed are counted, never kept."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...errors import FullbandError


@dataclass
class CallRecord:
    """One call. *outcome*: ``answered``, ``cancelled``, ``no answer``, or ``refused 486`` and the like; *ended_by*:
    ``caller``, ``callee``, ``us``, with *reason* where that says more. *legs* holds the figures of each party."""

    service: str
    caller: str
    called: str
    source: str
    target: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    began_s: float = field(default_factory=time.time)
    answered_s: float | None = None
    ended_s: float | None = None
    outcome: str = ""
    ended_by: str = ""
    reason: str = ""
    keys: int = 0
    enhanced: list[bool] = field(default_factory=list)
    legs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def talk_s(self) -> float:
        """How long it was up."""
        return 0.0 if self.answered_s is None else (self.ended_s or time.time()) - self.answered_s

    def as_dict(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "id": self.id,
            "began": _iso(self.began_s),
            "answered": _iso(self.answered_s),
            "ended": _iso(self.ended_s),
            "ring_seconds": round((self.answered_s or self.ended_s or time.time()) - self.began_s, 3),
            "talk_seconds": round(self.talk_s, 3),
            "service": self.service,
            "caller": self.caller,
            "called": self.called,
            "source": self.source,
            "target": self.target,
            "outcome": self.outcome,
            "ended_by": self.ended_by,
            "reason": self.reason,
            "keys": self.keys,
            "full_band": self.enhanced,
            "legs": self.legs,
        }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Records:
    """Appends to *path*; opened anew each time, so that the file can be moved away while it runs. None: nowhere.

    Raises :class:`FullbandError` where the file cannot be written, at once and not at the end of the first call.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        #: Records that could not be written, as when the disk was full.
        self.lost = 0
        if path is not None:
            try:
                with path.open("a"):
                    pass
            except OSError as error:
                raise FullbandError(f"cannot write call records to {path}: {error.strerror}") from None

    def write(self, record: CallRecord) -> None:
        """Append *record*."""
        if self._path is None:
            return
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(record.as_dict()) + "\n")
        except OSError:
            self.lost += 1
