"""All pages that there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ...wishes import AS_IT_IS, Brightness
from ..exchange import Exchange
from ..sip.records import Records
from .band import Band
from .guard import Refused
from .offer import read_offer
from .session import Session
from .settings import WebSettings
from .wishes import amended


class Sessions:
    """Opens sessions on *exchange* within *settings*. *said* is told of each that ends, in words for people."""

    def __init__(self, exchange: Exchange, settings: WebSettings, said: Callable[[str], None]) -> None:
        self._exchange = exchange
        self._settings = settings
        self._said = said
        self._records = Records(settings.records)
        self._open: dict[str, Session] = {}
        self._closing: set[asyncio.Task[None]] = set()
        #: Those that have ended, by how.
        self.ended: dict[str, int] = {}
        self.draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def count(self) -> int:
        """How many there are now."""
        return len(self._open)

    def takes(self, wish: str) -> bool:
        """Whether the model takes a *wish*, by its name in :class:`Brightness`."""
        return self._exchange.takes(AS_IT_IS._replace(**{wish: 1.0}))

    def brightness(self, asked: Mapping[str, object]) -> Brightness:
        """What *asked* wishes, beside the settings. Raises :class:`Refused`."""
        return amended(self._settings.brightness, asked, self._exchange)

    @property
    def lost(self) -> int:
        """Records that could not be written."""
        return self._records.lost

    async def open(
        self, source: str, sdp: str, band: Band, bypass: bool, brightness: Brightness
    ) -> tuple[Session, str]:
        """A session and the answer to *sdp*. Raises :class:`Refused`."""
        if self.draining:
            raise Refused(503, "this host is shutting down")
        if len(self._open) >= self._settings.max_sessions:
            raise Refused(503, f"all {self._settings.max_sessions} places are taken; try again later", Retry_After="10")
        offer = read_offer(sdp)
        session = Session(self._exchange, self._settings, source, self._over)
        self._open[session.id] = session
        self._empty.clear()
        try:
            return session, await session.answer(offer, band, bypass, brightness)
        except BaseException as error:
            session.record.answered_s = None
            session.end(str(error) or "the page went away")
            raise

    def find(self, name: str) -> Session:
        """The session called *name*. Raises :class:`Refused` with 404."""
        session = self._open.get(name)
        if session is None:
            raise Refused(404, "there is no such session, or it has ended")
        return session

    def figures(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Session, whose leg, what it counts."""
        return [
            (session.record.id, name, counted)
            for session in self._open.values()
            for name, counted in session.legs().items()
        ]

    def _over(self, session: Session) -> None:
        self._open.pop(session.id, None)
        if not self._open:
            self._empty.set()
        record = session.record
        self.ended[record.outcome] = self.ended.get(record.outcome, 0) + 1
        self._records.write(record)
        self._said(_describe(session))
        task = asyncio.ensure_future(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def drain(self) -> None:
        """Open no more and wait until those that there are have ended by themselves."""
        self.draining = True
        await self._empty.wait()

    async def close(self, reason: str) -> None:
        """End all of them, and wait for it."""
        self.draining = True
        for session in list(self._open.values()):
            session.end(reason)
        if self._closing:
            await asyncio.wait(self._closing, timeout=5.0)


def _describe(session: Session) -> str:
    record = session.record
    legs = [
        f"{leg['codec']} lost {leg['lost']} jitter {leg['jitter_ms']:.1f} ms delay {leg['delay_ms']:.0f} ms"
        + (f" MOS {leg['mos']:.1f}" if leg["mos"] is not None else "")
        for leg in record.legs.values()
    ]
    return f"session {record.id}  {record.source}  {record.talk_s:.1f} s  {'  '.join(legs)}  ended: {record.reason}"
