"""Where a hop's time goes, operator by operator, as ONNX Runtime's own profile tells."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime.errors import FullbandError
from realtime.onnx.session import SessionOptions

from .hops import Runner, priority_of_live

_HOPS = 400
_LEAST_PERCENT = 1.0


@dataclass(frozen=True)
class Operator:
    """*count* nodes, each run once a hop, the sum of their medians, and their share of all."""

    operator: str
    count: int
    us_per_hop: float
    share_percent: float


def _events(make: Callable[[SessionOptions], Runner]) -> list[tuple[str, str, float]]:
    """(operator, node, microseconds) of each run of a node, warm-up left out."""
    with tempfile.TemporaryDirectory() as folder:
        options = SessionOptions(profile_prefix=str(Path(folder) / "profile"))
        runner = make(options)
        with priority_of_live():
            for _ in range(_HOPS):
                runner.once()
        runner.close()  # which writes the profile
        written = sorted(Path(folder).glob("profile*.json"))
        if not written:
            raise FullbandError(f"ONNX Runtime has written no profile of {runner.name}")
        events = json.loads(written[0].read_text())
    return [
        (event["args"].get("op_name", "?"), event["name"].removesuffix("_kernel_time"), float(event["dur"]))
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]


def profile(make: Callable[[SessionOptions], Runner]) -> list[Operator]:
    """The operators of what *make* loads, the most expensive first; the cheapest are one line."""
    nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for operator, node, microseconds in _events(make):
        nodes[operator, node].append(microseconds)
    spent: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for (operator, _), durations in nodes.items():
        spent[operator] += float(np.median(durations))
        count[operator] += 1
    total = sum(spent.values()) or 1.0
    shares = {operator: 100.0 * microseconds / total for operator, microseconds in spent.items()}
    order = sorted(spent, key=lambda operator: -spent[operator])
    found = [Operator(one, count[one], spent[one], shares[one]) for one in order if shares[one] >= _LEAST_PERCENT]
    rest = [one for one in order if shares[one] < _LEAST_PERCENT]
    if rest:
        nodes_left = sum(count[one] for one in rest)
        sums = [sum(values[one] for one in rest) for values in (spent, shares)]
        found.append(Operator(f"{len(rest)} others", nodes_left, *sums))
    return found
