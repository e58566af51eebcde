"""A dot plot with intervals as SVG that takes its colours from the page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from ..metrics.evaluation import ALL, Evaluation
from ..metrics.scores import METRICS
from .content import rate_text
from .peers import PEERS

_WIDTH, _LEFT, _RIGHT, _LINE, _GAP, _TOP = 760, 170, 60, 19, 14, 26


@dataclass(frozen=True)
class Dot:
    """One line of the plot. A *kind* is a CSS class: "model", "baseline" or "peer" (published elsewhere)."""

    name: str
    value: float
    low: float
    high: float
    kind: str


def dots(evaluation: Evaluation, metric: str, models: list[str]) -> dict[str, list[Dot]]:
    """Lines by input rate: what was measured here, then what peers published."""
    groups: dict[str, list[Dot]] = {}
    for line in evaluation.find(ALL, "protocol"):
        found = line.scores.get(metric)
        if found is not None:
            kind = "model" if line.system in models else "baseline"
            dot = Dot(line.system, found.value, found.low, found.high, kind)
            groups.setdefault(rate_text(line.rate_hz), []).append(dot)
    place = {"lsd": 0, "visqol": 1}.get(metric)
    for peer in PEERS[1:]:
        for rate_hz, scores in peer.scores.items():
            if place is not None and rate_text(rate_hz) in groups:
                value = scores[place]
                groups[rate_text(rate_hz)].append(Dot(f"{peer.name} *", value, value, value, "peer"))
    return groups


def dot_plot(evaluation: Evaluation, metric: str, models: list[str]) -> str:
    """SVG of *metric*; empty where it was not measured."""
    groups = dots(evaluation, metric, models)
    if not groups:
        return ""
    values = [value for group in groups.values() for dot in group for value in (dot.low, dot.high)]
    start, end = (0.0 if metric == "lsd" else 1.0), max(values) * 1.04

    def x(value: float) -> float:
        return _LEFT + (value - start) / (end - start) * (_WIDTH - _LEFT - _RIGHT)

    parts: list[str] = []
    y = float(_TOP)
    for title, group in groups.items():
        parts.append(f'<text class="rate" x="4" y="{y + 10:.0f}">{escape(title)}</text>')
        for dot in group:
            parts.append(f'<g class="{dot.kind}"><title>{escape(dot.name)}: {dot.value:.3f}</title>')
            parts.append(f'<text class="name" x="{_LEFT - 10}" y="{y + 10:.0f}">{escape(dot.name)}</text>')
            if dot.high > dot.low:
                parts.append(f'<line x1="{x(dot.low):.1f}" x2="{x(dot.high):.1f}" y1="{y + 6:.1f}" y2="{y + 6:.1f}"/>')
            parts.append(f'<circle cx="{x(dot.value):.1f}" cy="{y + 6:.1f}" r="4.5"/>')
            label = f"{dot.value:.{METRICS[metric].digits - (metric == 'lsd')}f}"
            parts.append(f'<text class="value" x="{x(dot.high) + 9:.1f}" y="{y + 10:.0f}">{label}</text></g>')
            y += _LINE
        y += _GAP
    bottom = y - _GAP + 2
    grid = []
    step = 0.5
    for tick in range(int(start / step), int(end / step) + 1):
        at = x(tick * step)
        grid.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}" y2="{bottom:.0f}"/>')
        grid.append(f'<text class="tick" x="{at:.1f}" y="{_TOP - 11}">{tick * step:g}</text>')
    size = f'viewBox="0 0 {_WIDTH} {bottom + 6:.0f}" role="img"'
    return f'<svg class="dots" {size}>{"".join(grid)}{"".join(parts)}</svg>'
