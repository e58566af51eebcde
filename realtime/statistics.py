"""What the data plane has counted, as a frozen record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .native.histogram import percentile_ms
from .onnx.contract import RATE_HZ

if TYPE_CHECKING:
    from .engine import Engine


@dataclass(frozen=True)
class Statistics:
    """Counters since the start of an engine.

    *deadline_misses* are hops whose high band was not there when playback asked for it; *dull_seconds* is
    what was played without it for that reason; *dropouts* how often. *xruns* are blocks that the device
    reported as over- or underflowed. *resyncs* count delays set anew because two clocks ran apart.
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

    def as_dict(self) -> dict[str, float]:
        """For reports."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


def collect(engine: Engine) -> Statistics:
    """Read the counters of *engine*; it may be running."""
    capture, playback = engine.capture, engine.playback
    inference = engine.inference
    network = inference.record if inference else None
    compute = [0.0] * 4
    response = [0.0] * 2
    hop_ms = 0.0
    if inference is not None:
        hop_ms = inference.contract.hop_ms
        compute = [percentile_ms(inference.compute_histogram.copy(), p) for p in (50, 99, 99.9, 100)]
        response = [percentile_ms(inference.response_histogram.copy(), p) for p in (50, 99)]

    def counter(name: str) -> int:
        return int(network[name]) if network is not None else 0

    return Statistics(
        seconds=int(playback["played_samples"]) / RATE_HZ,
        hops=counter("hops"),
        deadline_misses=counter("deadline_misses"),
        longest_miss_run=counter("longest_miss_run"),
        hop_p50_ms=compute[0],
        hop_p99_ms=compute[1],
        hop_p999_ms=compute[2],
        hop_max_ms=compute[3],
        response_p50_ms=response[0],
        response_p99_ms=response[1],
        load=compute[0] / hop_ms if hop_ms else 0.0,
        xruns=int(capture["device_flags"]) + int(playback["device_flags"]),
        underruns=int(playback["underruns"]),
        resyncs=int(playback["resyncs"]),
        dropouts=int(playback["dropouts"]),
        dull_seconds=int(playback["dull_samples"]) / RATE_HZ,
        bad_chunks=counter("bad_chunks") + counter("failed_runs"),
        skipped_hops=counter("skipped_hops"),
        cleaned_samples=int(capture["cleaned_samples"]),
    )
