"""The running host: started, watched, ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ...errors import FullbandError
from ...metrics import Metrics
from ..ending import Ending
from ..exchange import Exchange
from ..limits import Gate
from ..metrics import HostFigures
from .guard import Guard
from .metrics import COUNTERS, WebFigures, families
from .server import Server
from .sessions import Sessions
from .settings import WebSettings
from .uploads import Uploads

_FIGURES_S = 1.0

#: Requests that are being answered at the end.
_FAREWELL_S = 1.0


class Host:
    """Serves *settings* until somebody ends it. *said* is told what happens, in words for people.

    The first SIGTERM or Ctrl-C drains: no new sessions, and up to ``drain_seconds`` for those that there are, with all
    that their pages can ask for. A second one hangs up.
    """

    def __init__(self, settings: WebSettings, said: Callable[[str], None]) -> None:
        self._settings = settings
        self._said = said
        self._faults = 0
        self._ending: Ending

    async def run(self) -> dict[str, Any]:
        """Serve; gives the figures at the end. Raises :class:`FullbandError` where it cannot start."""
        settings = self._settings
        token, tls = settings.token(), settings.tls()
        loop = asyncio.get_running_loop()
        self._ending = Ending()
        loop.set_exception_handler(lambda _, context: self._fault(context.get("exception") or context["message"]))
        with (
            self._ending,
            Exchange(
                settings.model, settings.max_sessions, brightness=settings.brightness, pivot_hz=settings.high_pivot_hz
            ) as exchange,
        ):
            gate = Gate(settings.requests_per_second, settings.sessions_per_second, burst_seconds=5.0)
            guard = Guard(token, gate, self._fault)
            sessions = Sessions(exchange, settings, self._said)
            uploads = Uploads(settings)
            application = Server(settings, guard, sessions, uploads).application()
            runner = web.AppRunner(application, access_log=None, logger=_silent(), shutdown_timeout=_FAREWELL_S)
            metrics = None
            tasks: list[asyncio.Task[None]] = []

            def figures() -> WebFigures:
                counted = {"requests": guard.requests, "refused": guard.refused, "throttled": guard.throttled}
                counted |= {"faults": self._faults, "conversions": uploads.conversions}
                host = HostFigures(
                    "fullband_web", "sessions", COUNTERS, counted, dict(sessions.ended), sessions.count,
                    sessions.draining, sessions.figures(),
                )  # fmt: skip
                return WebFigures(host, exchange.statistics())

            try:
                await runner.setup()
                port = await self._listen(runner, tls)
                if settings.metrics_port is not None:
                    metrics = Metrics(settings.metrics_port, figures(), families)
                    self._said(f"figures for Prometheus: http://127.0.0.1:{metrics.port}/metrics")
                host = settings.place()[0]
                shown = f"[{host}]" if ":" in host else host
                self._said(f"listening on {'https' if tls else 'http'}://{shown}:{port}/")
                if token is not None:
                    self._said("the page asks for the token; or open it with #token=… behind the address")
                tasks.append(loop.create_task(_tell(metrics, figures)))
                await self._ending.asked()
                await self._leave(sessions)
            finally:
                for task in tasks:
                    task.cancel()
                await sessions.close("this host is shutting down")
                await runner.cleanup()
                uploads.close()
                if metrics is not None:
                    metrics.close()
            last = figures()
            return {
                "ended": last.host.ended,
                **last.host.counted,
                "records_lost": sessions.lost,
                "exchange": last.clock.as_dict(),
            }

    def end(self) -> None:
        """Once: drain. Twice: hang up."""
        self._ending.ask()

    async def _leave(self, sessions: Sessions) -> None:
        sessions.draining = True
        if sessions.count:
            seconds, count = self._settings.drain_seconds, sessions.count
            self._said(f"no new sessions; waiting up to {seconds:.0f} s for {count} to end; once more hangs up")
            await self._ending.drained(sessions.drain(), seconds)

    async def _listen(self, runner: web.AppRunner, tls: Any) -> int:
        host, port = self._settings.place()
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            reason = (error.strerror or str(error)).partition("]: ")[2] or error.strerror
            raise FullbandError(f"cannot listen on {self._settings.listen}: {reason}; see --listen") from None
        return int(runner.addresses[0][1])

    def _fault(self, what: object) -> None:
        """What no handler has caught, in one line."""
        self._faults += 1
        self._said(f"fault: {what!r}; please report it")


async def _tell(metrics: Metrics | None, figures: Callable[[], WebFigures]) -> None:
    while metrics is not None:
        metrics.update(figures())
        await asyncio.sleep(_FIGURES_S)


def _silent() -> logging.Logger:
    """What aiohttp tells of requests that are no HTTP goes nowhere: they were answered 400."""
    logger = logging.getLogger("realtime.voip.web.http")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger
