"""What the data plane has counted and how it is set, as a frozen record.

The counters lie in blocks of memory, each written by one thread of the data plane with no lock. Every counter is
one machine word, so that none can be read half written; and for one that belongs with another, the blocks are read
until two readings are the same. As counters only grow, nothing was written between those two (the double collect of
Afek et al., "Atomic snapshots of shared memory", J. ACM 40, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .native.histogram import Histogram
from .onnx.contract import RATE_HZ

if TYPE_CHECKING:
    from .engine import Engine

#: Readings until one is taken as it is. A block is written for a small part of the time, so the second one mostly does.
_READINGS = 16

_HISTOGRAMS = ("compute", "response")


@dataclass(frozen=True)
class Statistics:
    """Counters since the start of an engine, and what it is set to.

    *deadline_misses* are hops whose high band was not there when playback asked for it; *dull_seconds* is
    what was played without it for that reason; *dropouts* how often. *xruns* are blocks that the device
    reported as over- or underflowed. *resyncs* count delays set anew because two clocks ran apart.
    *compute* holds how long hops took, *response* how long after their last sample had come they were done.
    What the devices did (*device_losses*, *device_xruns*) and what the host did about overload (*step_downs*,
    *guard_changes*) and feedback (*feedback_ducks*) is known to a session only, and 0 without one.
    """

    seconds: float
    hops: int
    deadline_misses: int
    longest_miss_run: int
    hop_p50_ms: float
    hop_p99_ms: float
    hop_p999_ms: float
    hop_max_ms: float
    response_p50_ms: float
    response_p99_ms: float
    load: float
    xruns: int
    underruns: int
    resyncs: int
    dropouts: int
    dull_seconds: float
    bad_chunks: int
    skipped_hops: int
    cleaned_samples: int
    model: str | None
    bypass: bool
    muted: bool
    gain_db: float
    guard_ms: float
    latency_ms: float
    cutoff_hz: float
    drift_ppm: float
    compute: Histogram
    response: Histogram
    device_xruns: int = 0
    device_losses: int = 0
    step_downs: int = 0
    guard_changes: int = 0
    feedback_ducks: int = 0

    def as_dict(self, *, histograms: bool = False) -> dict[str, Any]:
        """For reports; with the buckets of the *histograms* where they are wanted."""
        # Not dataclasses.asdict, which copies the histograms: a client may ask a hundred times a second.
        values: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name not in _HISTOGRAMS:
                values[name] = round(value, 4) if isinstance(value, float) else value
            elif histograms:
                values[name] = value.as_dict()
        return values

    def since(self, earlier: Statistics) -> Statistics:
        """What was counted after *earlier*, with the settings of now. The longest run of misses is kept."""
        compute, response = self.compute.since(earlier.compute), self.response.since(earlier.response)
        load = self.load / self.hop_p50_ms * compute.percentile_ms(50) if self.hop_p50_ms else 0.0
        counted = {name: getattr(self, name) - getattr(earlier, name) for name in _COUNTERS}
        return replace(self, **counted, **_percentiles(compute, response), load=load)


#: What only grows, and can be taken from what it was before.
_COUNTERS = (
    "seconds", "hops", "deadline_misses", "xruns", "underruns", "resyncs", "dropouts", "dull_seconds", "bad_chunks",
    "skipped_hops", "cleaned_samples", "device_xruns", "device_losses", "step_downs", "guard_changes",
    "feedback_ducks",
)  # fmt: skip


def _percentiles(compute: Histogram, response: Histogram) -> dict[str, Any]:
    return {
        "hop_p50_ms": compute.percentile_ms(50),
        "hop_p99_ms": compute.percentile_ms(99),
        "hop_p999_ms": compute.percentile_ms(99.9),
        "hop_max_ms": compute.percentile_ms(100),
        "response_p50_ms": response.percentile_ms(50),
        "response_p99_ms": response.percentile_ms(99),
        "compute": compute,
        "response": response,
    }


def settled(blocks: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Copies of *blocks* that belong together."""
    newest = [block.copy() for block in blocks]
    for _ in range(_READINGS):
        before, newest = newest, [block.copy() for block in blocks]
        if all(a.tobytes() == b.tobytes() for a, b in zip(before, newest, strict=True)):
            break
    return newest


def collect(engine: Engine) -> Statistics:
    """Read the counters of *engine*; it may be running."""
    inference = engine.inference
    hop_ms = inference.contract.hop_ms if inference is not None else 0.0
    blocks = [np.asarray(record) for record in (engine.capture, engine.playback, engine.tally.record)]
    cells = [engine.tally.compute_histogram, engine.tally.response_histogram]
    capture, playback, tally, *histograms = settled([*blocks, *cells])
    compute, response = (Histogram.of(cells) for cells in histograms)

    def counter(name: str) -> int:
        return int(tally[name])

    return Statistics(
        seconds=int(playback["played_samples"]) / RATE_HZ,
        hops=counter("hops"),
        deadline_misses=counter("deadline_misses"),
        longest_miss_run=counter("longest_miss_run"),
        **_percentiles(compute, response),
        load=compute.percentile_ms(50) / hop_ms if hop_ms else 0.0,
        xruns=int(capture["device_flags"]) + int(playback["device_flags"]),
        underruns=int(playback["underruns"]),
        resyncs=int(playback["resyncs"]),
        dropouts=int(playback["dropouts"]),
        dull_seconds=int(playback["dull_samples"]) / RATE_HZ,
        bad_chunks=counter("bad_chunks") + counter("failed_runs"),
        skipped_hops=counter("skipped_hops"),
        cleaned_samples=int(capture["cleaned_samples"]),
        model=inference.contract.name if inference is not None else None,
        bypass=not int(playback["enabled"]),
        muted=engine.wishes.muted,
        gain_db=engine.wishes.gain_db,
        guard_ms=engine.guard_ms,
        latency_ms=engine.latency.total_ms,
        cutoff_hz=engine.cutoff_hz,
        drift_ppm=engine.drift_ppm,
    )
