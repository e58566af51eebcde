"""How a host of calls comes to its end: SIGTERM or Ctrl-C takes no more and waits; once more hangs up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Within ``with``, in the main thread's loop, both signals :meth:`ask` for it."""

    def __init__(self) -> None:
        self._asked, self._hurried = asyncio.Event(), asyncio.Event()

    def ask(self) -> None:
        """Once: to drain. Twice: at once."""
        (self._hurried if self._asked.is_set() else self._asked).set()

    async def asked(self) -> None:
        """Wait until it is asked for."""
        await self._asked.wait()

    async def drained(self, empty: Awaitable[Any], seconds: float) -> None:
        """Wait for *empty*, for *seconds* at most, or until it is asked once more."""
        waits = [asyncio.ensure_future(work) for work in (empty, self._hurried.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def __enter__(self) -> Ending:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.ask)
        return self

    def __exit__(self, *_: Any) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
