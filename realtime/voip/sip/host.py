"""The running agent: started, watched, drained, ended."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from ...metrics import Metrics
from ..ending import Ending
from ..exchange import Exchange
from .agent import Agent
from .counters import Counters
from .desk import Desk, describe
from .media import Switchboard
from .metrics import SipFigures, families, sip_figures
from .registration import Registration
from .settings import SipSettings

#: How often figures are handed over, and names of targets looked up again.
_FIGURES_S = 1.0
_NAMES_S = 300.0

#: After the last BYE: what is still to be answered or sent again.
_FAREWELL_S = 0.3


class Host:
    """Runs *settings* until somebody ends it. *said* is told what happens, in words for people.

    The first SIGTERM or Ctrl-C drains: no new calls, and up to ``drain_seconds`` for those that there are. A second
    one hangs up.
    """

    def __init__(self, settings: SipSettings, said: Callable[[str], None], every_s: float = 0.0) -> None:
        self._settings = settings
        self._said = said
        self._every_s = every_s
        self._ending: Ending

    async def run(self) -> dict[str, Any]:
        """Serve; gives the figures at the end. Raises :class:`FullbandError` where it cannot start."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        self._ending = Ending()
        lanes = settings.max_calls * (1 if settings.answer else 2)
        with (
            self._ending,
            Exchange(
                settings.model, lanes, brightness=settings.brightness, pivot_hz=settings.high_pivot_hz
            ) as exchange,
        ):
            agent = Agent(settings, Switchboard(exchange, settings.rtp_ports, settings.latch, settings.opus_complexity))
            loop.set_exception_handler(lambda _, context: self._fault(agent.counters, context))
            desk = Desk(agent, settings, self._said)
            registration = None
            if settings.account is not None and settings.account.register_there:
                registration = Registration(agent, settings.account, self._said)
            metrics = None
            if settings.metrics_port is not None:
                metrics = Metrics(settings.metrics_port, _figures(agent, desk, registration), families)
                self._said(f"figures for Prometheus: http://127.0.0.1:{metrics.port}/metrics")
            tasks: list[asyncio.Task[None]] = []
            try:
                for place in await agent.start():
                    self._said(f"listening on {place}")
                await agent.resolve_targets()
                if registration is not None:
                    registration.start()
                tasks.append(loop.create_task(self._watch(agent, desk, registration, metrics)))
                tasks.append(loop.create_task(self._look_up(agent)))
                await self._ending.asked()
                await self._leave(agent, desk, registration)
            finally:
                for task in tasks:
                    task.cancel()
                desk.hang_up_all("shutting down")
                await asyncio.sleep(_FAREWELL_S)
                await agent.close()
                if metrics is not None:
                    metrics.close()
            return {
                "ended": agent.counters.calls,
                "messages": _counted(agent.counters),
                "records_lost": desk.lost,
                "exchange": exchange.statistics().as_dict(),
            }

    def end(self) -> None:
        """Once: drain. Twice: hang up."""
        self._ending.ask()

    async def _leave(self, agent: Agent, desk: Desk, registration: Registration | None) -> None:
        agent.draining = True
        if registration is not None:
            await registration.stop()
        if desk.calls:
            seconds = self._settings.drain_seconds
            self._said(f"no new calls; waiting up to {seconds:.0f} s for {desk.calls} to end; once more hangs up")
            await self._ending.drained(desk.drain(), seconds)

    async def _watch(self, agent: Agent, desk: Desk, registration: Registration | None, metrics: Any) -> None:
        told_s = 0.0
        while True:
            await asyncio.sleep(_FIGURES_S)
            if metrics is not None:
                metrics.update(_figures(agent, desk, registration))
            told_s += _FIGURES_S
            if self._every_s and told_s >= self._every_s:
                told_s = 0.0
                for conversation in list(desk.conversations.values()):
                    self._said(describe(conversation))

    async def _look_up(self, agent: Agent) -> None:
        while True:
            await asyncio.sleep(_NAMES_S)
            await agent.resolve_targets()

    def _fault(self, counters: Counters, context: dict[str, Any]) -> None:
        """What no handler has caught, in one line."""
        counters.faults += 1
        self._said(f"fault: {context.get('exception') or context.get('message')!r}; please report it")


def _figures(agent: Agent, desk: Desk, registration: Registration | None) -> SipFigures:
    legs = [
        (call, leg, counted)
        for call, conversation in desk.conversations.items()
        for leg, counted in conversation.figures().items()
    ]
    registered = None if registration is None else registration.registered
    return sip_figures(agent.counters, desk.calls, agent.draining, registered, legs)


def _counted(counters: Counters) -> dict[str, int]:
    values = dataclasses.asdict(counters)
    del values["calls"]
    return values
