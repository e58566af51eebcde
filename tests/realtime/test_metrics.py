"""Figures for Prometheus: what its own parser reads of a running host is what the host has counted."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime.backends.simulated import SimulatedDevice
from realtime.control.desk import Desk
from realtime.errors import FullbandError
from realtime.session import Session
from realtime.settings.live import LiveSettings
from realtime.statistics import Statistics


def _scrape(line: str) -> str:
    with urllib.request.urlopen(line.split()[-1], timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return str(answer.read().decode())


def _session(model: Path) -> Session:
    device = SimulatedDevice(np.zeros((1, 48_000), np.float32), 48_000, freewheel=True)
    return Session(LiveSettings(model=str(model), adaptive_guard=False, gain_db=-3.0), device)


def test_prometheus_reads_what_a_running_host_has_counted(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    with _session(doubling) as session, Desk(session) as desk:
        desk.serve_metrics(0)
        session.start()
        text = ""
        while session.running:
            session.poll()
            desk.serve(0.01)
            text = text or _scrape(desk.notices[-1])
        desk.serve(0.0)
        text = _scrape(desk.notices[-1])
        counted: Statistics = session.statistics()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(name.startswith("fullband") and family.documentation for name, family in families.items())
    samples = {(s.name, s.labels.get("le")): s.value for family in families.values() for s in family.samples}
    assert counted.hops > 200
    assert samples["fullband_hops_total", None] == counted.hops
    assert samples["fullband_audio_seconds_total", None] == pytest.approx(counted.seconds)
    assert samples["fullband_gain_decibels", None] == -3.0
    assert samples["fullband_latency_seconds", None] == pytest.approx(counted.latency_ms / 1e3)
    for name, histogram in (("compute", counted.compute), ("response", counted.response)):
        family = families[f"fullband_hop_{name}_seconds"]
        assert family.type == "histogram"
        buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert buckets[-1] == (float("inf"), histogram.count)
        assert samples[f"fullband_hop_{name}_seconds_count", None] == histogram.count
        assert samples[f"fullband_hop_{name}_seconds_sum", None] == pytest.approx(histogram.sum_ms / 1e3)


def test_a_port_that_is_taken_is_one_line(doubling: Path) -> None:
    with _session(doubling) as session, Desk(session) as desk:
        desk.serve_metrics(0)
        port = int(desk.notices[-1].split(":")[-1].split("/")[0])
        with pytest.raises(FullbandError, match=str(port)):
            desk.serve_metrics(port)


def test_without_prometheus_client_the_line_says_how_to_get_it(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        _session(doubling) as session,
        Desk(session) as desk,
        pytest.raises(FullbandError, match=r"pip install 'fullband\[metrics\]'"),
    ):
        desk.serve_metrics(0)
