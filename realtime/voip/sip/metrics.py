"""Figures of the agent for Prometheus."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ..metrics import HostFigures, host_families
from .counters import Counters

_COUNTERS = {
    "received": "Messages received.",
    "sent": "Messages sent.",
    "dropped": "Messages that were no SIP or could not be answered.",
    "refused": "Malformed requests, answered with the standard's code.",
    "throttled": "Messages and calls past the rate of their source.",
    "retransmitted": "Messages sent again because no answer came.",
    "faults": "Failures of the program itself while it handled a message.",
}


@dataclasses.dataclass(frozen=True)
class SipFigures:
    """All figures at one moment. *registered* None: it is not wished."""

    host: HostFigures
    registered: bool | None


def sip_figures(
    counters: Counters, now: int, draining: bool, registered: bool | None, legs: list[tuple[str, str, dict[str, Any]]]
) -> SipFigures:
    """Of *counters*, *now* calls and their *legs* (:class:`HostFigures`)."""
    counted = {name: int(getattr(counters, name)) for name in _COUNTERS}
    host = HostFigures("fullband_sip", "calls", _COUNTERS, counted, dict(counters.calls), now, draining, legs)
    return SipFigures(host, registered)


def families(figures: SipFigures) -> Iterator[Any]:
    """The metric families of prometheus_client for *figures*."""
    from prometheus_client.core import GaugeMetricFamily

    yield from host_families(figures.host)
    if figures.registered is not None:
        yield GaugeMetricFamily("fullband_sip_registered", "1 while registered.", value=figures.registered)
