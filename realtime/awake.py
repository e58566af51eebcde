"""Processors that stay awake: an idle one that has gone to sleep comes late for the next hop.

What a thread that waits pays for is the way out of sleep, most of all on a virtual machine, whose host gives a sleeping
processor to others. The price of staying awake is power.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

#: The kernel's interface for it (Documentation/power/pm_qos_interface.rst): the most microseconds that a processor may
#: take to wake up, as a 32-bit integer, while the file is open.
DEVICE = Path("/dev/cpu_dma_latency")

_RULE = 'KERNEL=="cpu_dma_latency", GROUP="audio", MODE="0660"'


class Awake:
    """Until :meth:`close` no processor of this machine goes to sleep. Where that cannot be *reason* is not None."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.remedy = ""
        self._file: int | None = None
        try:
            self._file = os.open(DEVICE, os.O_WRONLY | os.O_CLOEXEC)
            os.write(self._file, struct.pack("=i", 0))
        except OSError as error:
            self.close()
            self.reason = f"{DEVICE}: {error.strerror}"
            self.remedy = "it takes a kernel that was built with CONFIG_CPU_IDLE"
            if not isinstance(error, FileNotFoundError):
                self.remedy = f"add to /etc/udev/rules.d/99-audio.rules and start the machine again: {_RULE}"

    @property
    def refusal(self) -> str | None:
        """The line for people, where processors may sleep."""
        return None if self.reason is None else f"processors may sleep ({self.reason}): {self.remedy}"

    def close(self) -> None:
        """Let them sleep again. May be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Awake:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
