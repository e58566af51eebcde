"""Where a running host is controlled from: the socket and the keys, in the loop of who draws it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import FullbandError
from .commands import Commands
from .keyboard import RESET, request_for
from .server import DEFAULT_NAME, ControlServer

if TYPE_CHECKING:
    from ..metrics import Metrics
    from ..session import Session
    from ..settings.live import LiveSettings
    from ..statistics import Statistics


class Desk:
    """Controls *session* from the thread that calls :meth:`serve` and :meth:`press`.

    A *name* that cannot be had is an error. Without one a host runs on where no socket can be made, and *notices*
    says so.
    """

    def __init__(
        self, session: Session, *, name: str | None = None, load_settings: Callable[[], LiveSettings] | None = None
    ) -> None:
        self._session = session
        self._commands = Commands(session, load_settings)
        self._cleanup = ExitStack()
        self._server: ControlServer | None = None
        self._metrics: Metrics | None = None
        self.notices: list[str] = []
        #: From when on counters are to be shown; None: from the start.
        self.since: Statistics | None = None
        try:
            self._server = self._cleanup.enter_context(ControlServer(self._commands.execute, name))
        except FullbandError as error:
            if name is not None:
                raise
            self.notices.append(f"no 'fullband ctl' for this host: {error}")
            return
        self._commands.name = self._server.name
        if self._server.name not in (name, DEFAULT_NAME):
            self.notices.append(f"another host is running: this one is 'fullband ctl --to {self._server.name}'")

    def serve_metrics(self, port: int) -> None:
        """Figures for Prometheus on a loopback *port*."""
        from ..metrics import Metrics

        self._metrics = self._cleanup.enter_context(Metrics(port, self._session.statistics()))
        self.notices.append(f"figures: http://127.0.0.1:{self._metrics.port}/metrics")

    @property
    def stopping(self) -> bool:
        """Whether the host was asked to end."""
        return self._commands.stopping

    def press(self, keys: str) -> list[str]:
        """Do what *keys* ask for; gives the lines, if any, that people should see."""
        lines = []
        for key in keys:
            try:
                if key == RESET:
                    self.since = self._session.statistics()
                elif (request := request_for(key, self._session.settings)) is not None:
                    done = self._commands.execute(request)
                    lines += [f"saved to {done['path']}"] if "path" in done else []
            except FullbandError as error:
                lines.append(str(error))
        return lines

    def serve(self, seconds: float) -> None:
        """Wait for *seconds*, doing what the socket asks for meanwhile."""
        if self._metrics is not None:
            self._metrics.update(self._session.statistics())
        if self._server is not None:
            self._server.serve(seconds)
        else:
            time.sleep(seconds)

    def leave(self) -> None:
        """Obey no more; who asked for the end learns of it when it has come."""
        if self._server is not None:
            self._server.leave()

    def close(self) -> None:
        """Hang up and remove the socket."""
        self._cleanup.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
