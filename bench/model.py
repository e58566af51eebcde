"""Compute per hop of a model file, by itself, as fast as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from realtime.backends.wavfile import FileStream
from realtime.engine import EngineSettings


def measure(model: Path, seconds: float = 10.0, streams: int = 1, cutoff_hz: float = 8_000.0) -> dict[str, Any]:
    """Percentiles of a hop over *seconds* of noise in *streams* parallel streams (one batch)."""
    stream = FileStream(streams, 48_000, EngineSettings(model, cutoff_hz=cutoff_hz))
    try:
        contract = stream.engine.inference.contract if stream.engine.inference else None
        assert contract is not None
        noise = np.random.default_rng(0).standard_normal((streams, int(48_000 * seconds)))
        stream.push((0.1 * noise).astype(np.float32))
        s = stream.statistics()
        return {
            "model": model.name,
            "name": contract.name,
            "streams": streams,
            "hop_ms": contract.hop_ms,
            "latency_ms": contract.latency_ms,
            "hops": s.hops,
            "p50_ms": round(s.hop_p50_ms, 4),
            "p99_ms": round(s.hop_p99_ms, 4),
            "p999_ms": round(s.hop_p999_ms, 4),
            "max_ms": round(s.hop_max_ms, 4),
            "rtf": round(s.hop_p50_ms / contract.hop_ms, 4),
            "size_kb": round(model.stat().st_size / 1024),
        }
    finally:
        stream.close()


def streams_per_core(model: Path, seconds: float = 2.0) -> int:
    """The largest batch, a power of two up to 64, whose median hop stays within the hop's own time."""
    held = 0
    for streams in (1, 2, 4, 8, 16, 32, 64):
        figures = measure(model, seconds, streams)
        if figures["p50_ms"] > figures["hop_ms"]:
            break
        held = streams
    return held
