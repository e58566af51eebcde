"""The running agent: started, watched, drained, ended."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
from collections.abc import Callable
from typing import Any

from ...metrics import Metrics
from ..exchange import Exchange
from .agent import Agent
from .desk import Desk, describe
from .limits import Counters
from .media import Switchboard
from .metrics import SipFigures, families
from .registration import Registration
from .settings import SipSettings

#: How often figures are handed over, and names of targets looked up again.
_FIGURES_S = 1.0
_NAMES_S = 300.0

#: After the last BYE: what is still to be answered or sent again.
_FAREWELL_S = 0.3

#: Threads take the interpreter from each other this often. Python's own 5 ms would be half a tick of the exchange.
_SWITCH_S = 0.0005


class Host:
    """Runs *settings* until somebody ends it. *said* is told what happens, in words for people.

    The first SIGTERM or Ctrl-C drains: no new calls, and up to ``drain_seconds`` for those that there are. A second
    one hangs up.
    """

    def __init__(self, settings: SipSettings, said: Callable[[str], None], every_s: float = 0.0) -> None:
        self._settings = settings
        self._said = said
        self._every_s = every_s
        self._ends = 0
        self._ending: asyncio.Event
        self._hurry: asyncio.Event

    async def run(self) -> dict[str, Any]:
        """Serve; gives the figures at the end. Raises :class:`FullbandError` where it cannot start."""
        settings = self._settings
        sys.setswitchinterval(_SWITCH_S)
        loop = asyncio.get_running_loop()
        self._ending, self._hurry = asyncio.Event(), asyncio.Event()
        lanes = settings.max_calls * (1 if settings.answer else 2)
        with Exchange(settings.model, lanes) as exchange:
            agent = Agent(settings, Switchboard(exchange, settings.rtp_ports, settings.latch))
            loop.set_exception_handler(lambda _, context: self._fault(agent.counters, context))
            desk = Desk(agent, settings, self._said)
            registration = None
            if settings.account is not None and settings.account.register_there:
                registration = Registration(agent, settings.account, self._said)
            metrics = None
            if settings.metrics_port is not None:
                metrics = Metrics(settings.metrics_port, _figures(agent, desk, registration), families)
                self._said(f"figures for Prometheus: http://127.0.0.1:{metrics.port}/metrics")
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.end)
            tasks: list[asyncio.Task[None]] = []
            try:
                for place in await agent.start():
                    self._said(f"listening on {place}")
                await agent.resolve_targets()
                if registration is not None:
                    registration.start()
                tasks.append(loop.create_task(self._watch(agent, desk, registration, metrics)))
                tasks.append(loop.create_task(self._look_up(agent)))
                await self._ending.wait()
                await self._leave(agent, desk, registration)
            finally:
                for task in tasks:
                    task.cancel()
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
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
        self._ends += 1
        (self._ending if self._ends == 1 else self._hurry).set()

    async def _leave(self, agent: Agent, desk: Desk, registration: Registration | None) -> None:
        agent.draining = True
        if registration is not None:
            await registration.stop()
        if desk.calls:
            seconds = self._settings.drain_seconds
            self._said(f"no new calls; waiting up to {seconds:.0f} s for {desk.calls} to end; once more hangs up")
            waits = [asyncio.ensure_future(work) for work in (desk.drain(seconds), self._hurry.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

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
    return SipFigures(
        dataclasses.replace(agent.counters), dict(agent.counters.calls), desk.calls, agent.draining, registered, legs
    )


def _counted(counters: Counters) -> dict[str, int]:
    values = dataclasses.asdict(counters)
    del values["calls"]
    return values
