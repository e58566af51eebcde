"""What came over SIP and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Counters:
    """What came and what became of it, since the start."""

    received: int = 0
    sent: int = 0
    dropped: int = 0
    """No SIP, or a message that cannot be answered."""
    refused: int = 0
    """Malformed, and answered with the standard's code."""
    throttled: int = 0
    retransmitted: int = 0
    faults: int = 0
    """Failures of this program while it handled a message. They are answered 500."""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls that have ended, by how."""

    def ended(self, how: str) -> None:
        """Count a call that ended *how*."""
        self.calls[how] = self.calls.get(how, 0) + 1
