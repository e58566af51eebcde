"""What a model file costs, beside what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from realtime.kernel import HALF_LENGTH_MS

from .spectral import SAMPLE_RATE_HZ
from .systems import System

_HOPS = 1_000


@dataclass(frozen=True)
class Facts:
    """One model file. *algorithmic_ms* is its latency and that of the host's resampler from a lower rate.

    *hop_ms_p50* and *hop_ms_p99* are of one hop, batch 1, one thread of ONNX Runtime, on this machine as busy
    as it was.
    """

    system: str
    name: str
    trained_on: str
    file_kb: float
    hop_ms: float
    latency_ms: float
    algorithmic_ms: float
    hop_ms_p50: float
    hop_ms_p99: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def find_facts(systems: Sequence[System]) -> list[Facts]:
    """Read and time each model file; checkpoints and baselines are left out."""
    return [_measure(system) for system in systems if system.path is not None and system.path.suffix == ".onnx"]


def _measure(system: System) -> Facts:
    from ..stream import Stream, open_session

    assert system.path is not None
    session = open_session(system.path)
    stream = Stream(session)
    chunk = 0.1 * np.random.default_rng(0).standard_normal((1, stream.input_samples)).astype(np.float32)
    cutoff_hz = np.full((1, 1), 8_000.0, np.float32)
    spent = stream.time_hops(_HOPS, chunk, cutoff_hz)
    known = session.get_modelmeta().custom_metadata_map
    latency_ms = 1e3 * int(known["latency_samples"]) / SAMPLE_RATE_HZ
    return Facts(
        system=system.name,
        name=known.get("name", ""),
        trained_on=known.get("trained_on", ""),
        file_kb=system.path.stat().st_size / 1e3,
        hop_ms=1e3 * stream.hop_samples / SAMPLE_RATE_HZ,
        latency_ms=latency_ms,
        algorithmic_ms=latency_ms + HALF_LENGTH_MS,
        hop_ms_p50=1e3 * float(np.percentile(spent, 50)),
        hop_ms_p99=1e3 * float(np.percentile(spent, 99)),
    )
