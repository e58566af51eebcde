"""Figures of the web host for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..exchange import ExchangeStatistics
from ..metrics import HostFigures, host_families

COUNTERS = {
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
    """All figures at one moment."""

    host: HostFigures
    clock: ExchangeStatistics


def families(figures: WebFigures) -> Iterator[Any]:
    """The metric families of prometheus_client for *figures*."""
    from prometheus_client.core import CounterMetricFamily

    yield from host_families(figures.host)
    for field, text in _CLOCK.items():
        yield CounterMetricFamily(f"fullband_web_{field}", text, value=getattr(figures.clock, field))
