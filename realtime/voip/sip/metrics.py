"""Figures of the agent for Prometheus, in the way of :mod:`realtime.metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ... import __version__
from .limits import Counters

_COUNTERS = {
    "received": "Messages received.",
    "sent": "Messages sent.",
    "dropped": "Messages that were no SIP or could not be answered.",
    "refused": "Malformed requests, answered with the standard's code.",
    "throttled": "Messages and calls past the rate of their source.",
    "retransmitted": "Messages sent again because no answer came.",
    "faults": "Failures of the program itself while it handled a message.",
}
_GAUGES = {
    "jitter_ms": ("jitter_seconds", 1e-3, "Jitter of a leg (RFC 3550)."),
    "delay_ms": ("buffer_seconds", 1e-3, "What a leg's jitter buffer adds."),
    "concealed_share": ("concealed_ratio", 1.0, "Part of what was played that had to be made up."),
    "lost": ("lost_packets", 1.0, "Packets of a leg that did not come."),
    "packets_received": ("received_packets", 1.0, "Packets of a leg that came."),
    "mos": ("mos", 1.0, "Quality as the E-model estimates it (G.107)."),
}


@dataclass(frozen=True)
class SipFigures:
    """All figures at one moment. *legs*: call, whose leg, what it counts."""

    counters: Counters
    ended: dict[str, int]
    calls: int
    draining: bool
    registered: bool | None
    legs: list[tuple[str, str, dict[str, Any]]]


def families(figures: SipFigures) -> Iterator[Any]:
    """The metric families of prometheus_client for *figures*."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("fullband_sip", "What runs.", value={"version": __version__})
    for field, text in _COUNTERS.items():
        yield CounterMetricFamily(f"fullband_sip_{field}", text, value=getattr(figures.counters, field))
    ended = CounterMetricFamily("fullband_sip_calls", "Calls that have ended, by how.", labels=["outcome"])
    for outcome, count in sorted(figures.ended.items()):
        ended.add_metric([outcome], count)
    yield ended
    yield GaugeMetricFamily("fullband_sip_active_calls", "Calls now.", value=figures.calls)
    yield GaugeMetricFamily("fullband_sip_draining", "1 while no new calls are taken.", value=figures.draining)
    if figures.registered is not None:
        yield GaugeMetricFamily("fullband_sip_registered", "1 while registered.", value=figures.registered)
    yield from leg_families("fullband_sip", figures.legs)


def leg_families(prefix: str, legs: list[tuple[str, str, dict[str, Any]]]) -> Iterator[Any]:
    """Those of *legs*: call, whose leg, what it counts."""
    from prometheus_client.core import GaugeMetricFamily

    for field, (name, factor, text) in _GAUGES.items():
        family = GaugeMetricFamily(f"{prefix}_leg_{name}", text, labels=["call", "leg"])
        for call, leg, counted in legs:
            if counted.get(field) is not None:
                family.add_metric([call, leg], factor * float(counted[field]))
        yield family
