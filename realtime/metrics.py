"""Figures for Prometheus on a loopback port: the newest frozen statistics, put into words when asked for.

The control plane hands them over some ten times a second; a scrape reads that record and nothing else, on a thread of
its own, so that it cannot touch audio. One scrape at a time, and a client that dawdles is hung up on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from . import __version__
from .errors import FullbandError
from .native.histogram import Histogram
from .statistics import Statistics

#: Only this machine's own programs can ask.
_ADDRESS = "127.0.0.1"

_CLIENT_SECONDS = 2.0

#: Histograms are told by octaves from 16 µs to 1 s; below and above lies nothing that anybody asks for.
_LEAST_MS, _MOST_MS = 0.016, 1100.0

_COUNTERS = {
    "fullband_audio_seconds": ("seconds", "Audio played."),
    "fullband_hops": ("hops", "Hops run by the network."),
    "fullband_deadline_misses": ("deadline_misses", "Hops that came later than playback asked for them."),
    "fullband_dropouts": ("dropouts", "Times the high band was missing."),
    "fullband_dull_seconds": ("dull_seconds", "Audio played without the high band though it was wanted."),
    "fullband_underruns": ("underruns", "Blocks for which the low band was missing."),
    "fullband_resyncs": ("resyncs", "Delays set anew because two clocks ran apart."),
    "fullband_bad_chunks": ("bad_chunks", "Chunks dropped because the network gave no usable audio."),
    "fullband_skipped_hops": ("skipped_hops", "Hops left out after a long stall."),
    "fullband_cleaned_samples": ("cleaned_samples", "Captured samples that were not finite."),
    "fullband_device_losses": ("device_losses", "Times a device went away."),
    "fullband_step_downs": ("step_downs", "Times overload led to a cheaper model."),
    "fullband_feedback_ducks": ("feedback_ducks", "Times the output was turned down because it howled."),
    "fullband_guard_changes": ("guard_changes", "Times the guard was adapted."),
}
_GAUGES = {
    "fullband_latency_seconds": ("latency_ms", 1e-3, "Delay from microphone to speaker."),
    "fullband_guard_seconds": ("guard_ms", 1e-3, "Delay held against late hops, a part of the latency."),
    "fullband_gain_decibels": ("gain_db", 1.0, "Gain of all that is heard."),
    "fullband_cutoff_hertz": ("cutoff_hz", 1.0, "Where the voice's own band ends."),
    "fullband_drift_ppm": ("drift_ppm", 1.0, "How much faster the capture clock runs than the playback clock."),
    "fullband_load_ratio": ("load", 1.0, "Median time of a hop's computation, of the time it has."),
    "fullband_bypass": ("bypass", 1.0, "1 while the voice only passes through."),
    "fullband_muted": ("muted", 1.0, "1 while silence is played."),
}
_HISTOGRAMS = {
    "fullband_hop_compute_seconds": ("compute", "How long hops took."),
    "fullband_hop_response_seconds": ("response", "How long after their last sample had come hops were done."),
}


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    finite = [(f"{ms / 1e3:.9g}", float(count)) for ms, count in histogram.octaves() if _LEAST_MS < ms < _MOST_MS]
    return [*finite, ("+Inf", float(histogram.count))]


def families(statistics: Statistics) -> Iterator[Any]:
    """The metric families of prometheus_client for *statistics*."""
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )

    labels = {"version": __version__, "model": statistics.model or "none"}
    yield InfoMetricFamily("fullband", "What runs.", value=labels)
    for name, (field, text) in _COUNTERS.items():
        yield CounterMetricFamily(name, text, value=float(getattr(statistics, field)))
    # What the callbacks were told of and what the driver counted are two views of the same blocks.
    yield CounterMetricFamily(
        "fullband_xruns", "Blocks that came too late or too early.", value=statistics.xruns + statistics.device_xruns
    )
    for name, (field, factor, text) in _GAUGES.items():
        yield GaugeMetricFamily(name, text, value=factor * float(getattr(statistics, field)))
    for name, (field, text) in _HISTOGRAMS.items():
        histogram = getattr(statistics, field)
        yield HistogramMetricFamily(name, text, buckets=_buckets(histogram), sum_value=histogram.sum_ms / 1e3)


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard error is for people."""


class Metrics:
    """Serves what it was last given by :meth:`update`, on ``http://127.0.0.1:port/metrics``.

    *describe* makes metric families of it, by default of :class:`Statistics`. Raises :class:`FullbandError` where the
    port is taken or prometheus_client is missing. *port* 0 takes any.
    """

    def __init__(self, port: int, newest: Any, describe: Callable[[Any], Iterator[Any]] = families) -> None:
        try:
            from prometheus_client import CollectorRegistry, make_wsgi_app
        except ModuleNotFoundError:
            raise FullbandError(
                "figures for Prometheus need prometheus_client: pip install 'fullband[metrics]'"
            ) from None
        self._newest = newest
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(lambda: describe(self._newest)))
        try:
            self._server = make_server(_ADDRESS, port, make_wsgi_app(registry), handler_class=_Handler)
        except OSError as error:
            raise FullbandError(f"cannot serve figures on {_ADDRESS}:{port}: {error.strerror}") from None
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def update(self, newest: Any) -> None:
        """Tell these from now on."""
        self._newest = newest

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Collector:
    """Prometheus' own kind of object that is asked for families."""

    def __init__(self, told: Callable[[], Iterator[Any]]) -> None:
        self._told = told

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        return self._told()
