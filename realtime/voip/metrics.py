"""What every host of calls tells Prometheus, in the way of :mod:`realtime.metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import __version__

_LEG_GAUGES = {
    "jitter_ms": ("jitter_seconds", 1e-3, "Jitter of a leg (RFC 3550)."),
    "delay_ms": ("buffer_seconds", 1e-3, "What a leg's jitter buffer adds."),
    "concealed_share": ("concealed_ratio", 1.0, "Part of what was played that had to be made up."),
    "lost": ("lost_packets", 1.0, "Packets of a leg that did not come."),
    "packets_received": ("received_packets", 1.0, "Packets of a leg that came."),
    "mos": ("mos", 1.0, "Quality as the E-model estimates it (G.107)."),
}


@dataclass(frozen=True)
class HostFigures:
    """A host of *kind* ("calls", "sessions") at one moment, called *prefix* ("fullband_sip").

    *texts* and *counted* are of its counters, by name; *ended* how many have ended, by how; *now* how many there are;
    *legs*: which of them, whose leg, what that counts.
    """

    prefix: str
    kind: str
    texts: dict[str, str]
    counted: dict[str, int]
    ended: dict[str, int]
    now: int
    draining: bool
    legs: list[tuple[str, str, dict[str, Any]]]


def host_families(figures: HostFigures) -> Iterator[Any]:
    """The metric families of prometheus_client for *figures*."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    prefix, kind = figures.prefix, figures.kind
    yield InfoMetricFamily(prefix, "What runs.", value={"version": __version__})
    for name, text in figures.texts.items():
        yield CounterMetricFamily(f"{prefix}_{name}", text, value=figures.counted[name])
    ended = CounterMetricFamily(f"{prefix}_{kind}", f"{kind.capitalize()} that have ended, by how.", labels=["outcome"])
    for outcome, count in sorted(figures.ended.items()):
        ended.add_metric([outcome], count)
    yield ended
    yield GaugeMetricFamily(f"{prefix}_active_{kind}", f"{kind.capitalize()} now.", value=figures.now)
    yield GaugeMetricFamily(f"{prefix}_draining", f"1 while no new {kind} are taken.", value=figures.draining)
    for field, (name, factor, text) in _LEG_GAUGES.items():
        family = GaugeMetricFamily(f"{prefix}_leg_{name}", text, labels=["call", "leg"])
        for one, leg, counted in figures.legs:
            if counted.get(field) is not None:
                family.add_metric([one, leg], factor * float(counted[field]))
        yield family
