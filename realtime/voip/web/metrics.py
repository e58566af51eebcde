"""Figures of the web host for Prometheus, in the way of :mod:`realtime.metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ... import __version__
from ..exchange import ExchangeStatistics
from ..sip.metrics import leg_families

_COUNTERS = {
    "requests": "HTTP requests.",
    "refused": "Requests that were refused.",
    "throttled": "Requests past the rate of their source.",
    "faults": "Failures of the program itself.",
    "conversions": "Recordings converted.",
}
_CLOCK = {
    "ticks": "Frames of 10 ms of all sessions.",
    "late_ticks": "Those that went out more than a frame late.",
    "dull_ticks": "Those without the network in time.",
}


@dataclass(frozen=True)
class WebFigures:
    """All figures at one moment. *legs*: session, whose leg, what it counts."""

    counted: dict[str, int]
    ended: dict[str, int]
    sessions: int
    clock: ExchangeStatistics
    legs: list[tuple[str, str, dict[str, Any]]]


def families(figures: WebFigures) -> Iterator[Any]:
    """The metric families of prometheus_client for *figures*."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("fullband_web", "What runs.", value={"version": __version__})
    for field, text in _COUNTERS.items():
        yield CounterMetricFamily(f"fullband_web_{field}", text, value=figures.counted[field])
    for field, text in _CLOCK.items():
        yield CounterMetricFamily(f"fullband_web_{field}", text, value=getattr(figures.clock, field))
    ended = CounterMetricFamily("fullband_web_sessions", "Sessions that have ended, by how.", labels=["outcome"])
    for outcome, count in sorted(figures.ended.items()):
        ended.add_metric([outcome], count)
    yield ended
    yield GaugeMetricFamily("fullband_web_active_sessions", "Sessions now.", value=figures.sessions)
    yield from leg_families("fullband_web", figures.legs)
