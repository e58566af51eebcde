"""The plots of a report, as SVG that stands in the page itself."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from matplotlib.figure import Figure

#: Distinct for all kinds of colour vision (Okabe and Ito 2008), on light ground and on dark.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d46", "#7f7f7f")
_INK = "#8a8780"
_DEADLINE = "#c0392b"

#: Bars of a histogram in every doubling of time.
_PER_OCTAVE = 4

_serial = count()


def _figure(height: float, columns: int = 1) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(10.5, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.set_facecolor("none")
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(_INK)
        axis.tick_params(colors=_INK, which="both")
        axis.xaxis.label.set_color(_INK)
        axis.yaxis.label.set_color(_INK)
        axis.grid(True, color=_INK, alpha=0.2, linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, list(axes)


def _svg(figure: Figure, alt: str) -> str:
    buffer = io.BytesIO()
    figure.patch.set_alpha(0.0)
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"fullband-{next(_serial)}", "font.size": 10}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    # The page gives the width; names of clip paths and the like were salted so that they are its own.
    text = re.sub(
        r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    )
    return text.replace("<svg ", f'<svg role="img" aria-label="{alt}" class="plot" ', 1)


def _legend(axis: Any, where: str = "best") -> None:
    legend = axis.legend(frameon=False, fontsize=9, loc=where)
    for text in legend.get_texts():
        text.set_color(_INK)


def _deadline(axis: Any, value: float, text: str, *, vertical: bool) -> None:
    line = axis.axvline if vertical else axis.axhline
    line(value, color=_DEADLINE, linewidth=1.3, linestyle="--", label=text)


def _bars(edges: Any, counts: Any) -> tuple[Any, Any]:
    """Counts and edges in buckets wide enough for the eye, empty ones between them included."""
    index = np.ceil(_PER_OCTAVE * np.log2(edges) - 1e-6).astype(int)
    lowest = index.min()
    summed = np.bincount(index - lowest, weights=counts)
    return summed, 2.0 ** ((lowest - 1 + np.arange(len(summed) + 1)) / _PER_OCTAVE)


def distribution(title: str, given: Sequence[dict[str, Any]]) -> str:
    """How long it took: counts on the left, on the right the share that took longer, both on logarithmic axes."""
    figure, (left, right) = _figure(3.6, columns=2)
    for colour, one in zip(_COLOURS * 4, given, strict=False):
        edges, counts = np.array(one["buckets"]).T if one["buckets"] else (np.ones(1), np.zeros(1))
        total = max(counts.sum(), 1)
        left.stairs(*_bars(edges, counts), color=colour, label=one["name"], linewidth=1.4)
        # A point says: so many were no longer than this. What is left is the tail that hurts.
        longer = 1.0 - np.cumsum(counts) / total
        right.step(
            np.concatenate([edges, edges[-1:]]),
            np.maximum(np.concatenate([[1.0], longer]), 0.3 / total),
            where="pre",
            color=colour,
            label=one["name"],
            linewidth=1.4,
        )
    for value in sorted({one["deadline_ms"] for one in given if one["deadline_ms"]}):
        for axis in (left, right):
            _deadline(axis, value, f"deadline {value:g} ms", vertical=True)
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xlabel("ms")
    left.set_yscale("log")
    left.set_ylabel("how many")
    right.set_yscale("log")
    right.set_ylabel("share that took longer")
    _legend(left, "upper right")
    return _svg(figure, title)


def timeline(title: str, given: Sequence[dict[str, Any]]) -> str:
    """Values over time, with the machine's own stalls below them."""
    figure, (axis,) = _figure(3.0)
    for colour, one in zip(_COLOURS * 4, given, strict=False):
        axis.plot(one["t_s"], one["values"], color=colour, label=one["name"], linewidth=1.1, marker=".", markersize=3)
    stalls = np.array([stall for one in given for stall in one["stalls"]])
    if len(stalls):
        axis.vlines(
            stalls[:, 0], 0.0, stalls[:, 1], color=_INK, alpha=0.7, linewidth=2.0, label="stalls of the machine itself"
        )
    for value in sorted({one["deadline"] for one in given if one["deadline"]}):
        _deadline(axis, value, f"deadline {value:g} {given[0]['unit']}", vertical=False)
    values = [value for one in given for value in one["values"]]
    values += [one["deadline"] for one in given if one["deadline"]]
    if values and min(values) > 0.0 and max(values) > 10.0 * float(np.median(values)):
        axis.set_yscale("log")
    axis.set_xlabel("s")
    axis.set_ylabel(given[0]["unit"])
    _legend(axis, "upper right")
    return _svg(figure, title)


def waterfall(given: dict[str, Any]) -> str:
    """Where each millisecond comes from, one part upon the other, and what was measured of the sum."""
    parts = [(name, ms) for name, ms in given["parts"] if ms]
    total = sum(ms for _, ms in parts)
    rows = len(parts) + 1 + (given["measured_ms"] is not None)
    figure, (axis,) = _figure(0.7 + 0.38 * rows)
    begin = 0.0
    names = []
    for index, (name, ms) in enumerate(parts):
        axis.barh(index, ms, left=begin, color=_COLOURS[index % len(_COLOURS)], height=0.62)
        axis.text(begin + ms, index, f"  {ms:.2f} ms", va="center", color=_INK, fontsize=9)
        begin += ms
        names.append(name)
    sums = [("sum", total)] + ([("measured", given["measured_ms"])] if given["measured_ms"] is not None else [])
    for index, (name, ms) in enumerate(sums, len(parts)):
        axis.barh(index, ms, color=_INK, height=0.62)
        axis.text(ms, index, f"  {ms:.2f} ms", va="center", color=_INK, fontsize=9)
        names.append(name)
    axis.set_yticks(range(rows), names)
    axis.invert_yaxis()
    axis.set_xlim(0.0, 1.12 * max(total, given["measured_ms"] or 0.0, 1e-3))
    axis.set_xlabel("ms")
    axis.grid(False, axis="y")
    return _svg(figure, given["title"])
