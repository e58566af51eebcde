"""A known delay planted in the loop is found, and on real servers what is reported is what is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.device.delay import measure
from bench.device.loop import Cable
from bench.device.report import make_report, open_backend
from bench.signals.probe import SURE, delays, probe
from realtime.errors import FullbandError
from realtime.paths import find_model
from tests import servers
from tests.models import identity_model
from tests.realtime.hosts import connected, started
from tests.servers import RATE_HZ

PROGRAM = [sys.executable, "-c", "from realtime.cli import main; main()", "bench"]
SENT = probe(1.0, RATE_HZ)


def _quiet(_: str) -> None:
    """Progress that nobody watches."""


def _later(sent: np.ndarray, samples: float, length: int) -> np.ndarray:
    """*sent*, so many samples later, whole or not."""
    padded = np.concatenate([sent, np.zeros(length - len(sent))])
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(length) * samples)
    return np.fft.irfft(np.fft.rfft(padded) * turn, length).astype(np.float32)


@pytest.mark.parametrize("planted", [0.0, 1.0, 777.0, 1_280.25, 12_000.5, 23_999.0])
def test_a_planted_delay_is_found_to_a_fraction_of_a_sample(planted: float) -> None:
    found = delays(SENT, _later(SENT, planted, 2 * RATE_HZ), RATE_HZ)
    assert len(found.samples) > 10
    np.testing.assert_allclose(found.samples[1:-1], planted, atol=0.02)
    assert found.figures(RATE_HZ)["ms"] == pytest.approx(planted / 48.0, abs=1e-3)
    assert found.figures(RATE_HZ)["slips"] == 0


def test_volume_noise_and_polarity_of_others_move_it_by_less_than_a_sample() -> None:
    heard = 0.02 * _later(SENT, 500.3, 2 * RATE_HZ)
    heard += 0.002 * np.random.default_rng(1).standard_normal(len(heard)).astype(np.float32) * 0.5
    found = delays(SENT, heard, RATE_HZ)
    assert found.heard_share > 0.9
    np.testing.assert_allclose(found.heard.samples, 500.3, atol=1.0)
    assert np.median(found.heard.samples) == pytest.approx(500.3, abs=0.1)


def test_silence_and_strangers_are_not_heard() -> None:
    stranger = (0.1 * np.random.default_rng(2).standard_normal(2 * RATE_HZ)).astype(np.float32)
    for heard in (np.zeros_like(stranger), stranger):
        found = delays(SENT, heard, RATE_HZ)
        assert (found.confidence < SURE).all()
        assert found.figures(RATE_HZ) == {"windows": 0}


def test_a_slip_is_counted_once_and_a_stray_is_not() -> None:
    sent = probe(4.0, RATE_HZ)
    heard = _later(sent, 300.0, 5 * RATE_HZ)
    slipped = np.concatenate([heard[:90_000], np.zeros(64, np.float32), heard[90_000:]])
    figures = delays(sent, slipped, RATE_HZ).figures(RATE_HZ)
    assert figures["slips"] == 1
    assert (figures["least_samples"], figures["most_samples"]) == (
        pytest.approx(300, abs=0.1),
        pytest.approx(364, abs=0.1),
    )
    hurt = heard.copy()
    hurt[90_000:90_400] = 0.0
    assert delays(sent, hurt, RATE_HZ).figures(RATE_HZ)["slips"] == 0


@pytest.mark.parametrize(("planted", "block"), [(777, 128), (64, 64), (4_801, 256)])
def test_a_delay_planted_in_the_cable_is_found_to_a_sample(planted: int, block: int, tmp_path: Path) -> None:
    model = identity_model(tmp_path / "identity.onnx")
    found = measure(Cable(planted, 6.0, block), model, 2.0, 1.0, _quiet)
    assert [part.name for part in found.parts] == ["bypass", "network"]
    for part in found.parts:
        assert part.loop is not None
        assert part.host is not None
        host = found.budget.host_ms * RATE_HZ / 1000.0
        assert part.loop.figures(RATE_HZ)["samples"] == pytest.approx(planted, abs=1.0)
        assert part.host.figures(RATE_HZ)["samples"] == pytest.approx(host, abs=1.0)
        assert part.total.figures(RATE_HZ)["samples"] == pytest.approx(planted + host, abs=1.0)


def test_the_report_sets_asked_reported_and_measured_side_by_side() -> None:
    report = make_report(None, None, "default", 128, 5.0, 1.0, 960, _quiet)
    content = json.loads(json.dumps(report.as_dict()))
    rows = {row["part"]: row for row in content["parts"] if row["state"] == "network"}
    assert rows["loop"]["reported_ms"] == pytest.approx(20.0)
    assert rows["loop"]["measured_ms"] == pytest.approx(20.0, abs=0.02)
    assert rows["guard"]["reported_ms"] == 5.0
    parts = ("capture resampler", "network", "block", "guard", "playback resampler")
    assert sum(rows[name]["reported_ms"] for name in parts) == pytest.approx(rows["host"]["reported_ms"], abs=1e-3)
    assert rows["total"]["difference_blocks"] == pytest.approx(0.0, abs=0.02)
    assert content["agrees"] is True
    assert content["waterfalls"][0]["measured_ms"] == pytest.approx(rows["total"]["measured_ms"], abs=1e-3)
    assert len(content["series"]["network, host: delay"]["rounds"]) == 4


def test_a_host_that_is_later_than_it_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from realtime.latency import LatencyBudget

    monkeypatch.setattr(LatencyBudget, "host_ms", property(lambda self: self.algorithmic_ms))
    report = make_report(None, None, "default", 128, 5.0, 1.0, 960, _quiet)
    assert report.figures["agrees"] is False
    assert any("blocks from it" in line for line in report.verdicts)


def test_a_loop_without_a_cable_is_told() -> None:
    cable = Cable(480, 6.0, 128)
    silence = np.zeros(1 << 19, np.float32)  # has to outlive the device, which reads it
    cable._device.record["source"] = silence.ctypes.data
    with pytest.raises(FullbandError, match="is there a cable"):
        measure(cable, find_model("none"), 0.0, 1.0, _quiet)


def test_one_device_makes_no_loop() -> None:
    with pytest.raises(FullbandError, match="--output and --input"):
        open_backend("JACK: FakeMic", None, None, None, 1.0)


def _checked(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _assert_agrees(report: dict[str, Any], server: str, quantum: int) -> None:
    rows = {(row["state"], row["part"]): row for row in report["parts"]}
    for state in ("bypass", "network"):
        host, loop = rows[state, "host"], rows[state, "loop"]
        print(
            f"\n{server}, {state}: loop {loop['measured_ms']:.2f} ms measured, {loop['reported_ms']} reported; "
            f"host {host['measured_ms']:.2f} ms measured, {host['reported_ms']:.2f} reported"
        )
        assert abs(host["difference_blocks"]) <= 1.0
        # A server's own loop is a whole number of its periods.
        periods = loop["measured_ms"] * RATE_HZ / 1000.0 / quantum
        assert periods == pytest.approx(round(periods), abs=0.02)
    assert report["agrees"]


@pytest.mark.server
def test_measured_and_reported_agree_on_pipewire() -> None:
    devices = ["--input", "JACK: FakeSpeaker", "--output", "JACK: FakeSpeaker"]
    with started("pipewire", 256) as server:
        report = _checked(server.run([*PROGRAM, "device", *devices, "--quick", "--json", "-"], timeout=180.0))
    _assert_agrees(report, "PipeWire", 256)


@pytest.mark.server
def test_measured_and_reported_agree_on_jack() -> None:
    devices = ["--input", "JACK: system", "--output", "JACK: system"]
    with started("jack", 128) as server:
        command = server.wrap([*PROGRAM, "device", *devices, "--seconds", "3", "--json", "-"])
        process = subprocess.Popen(
            command, env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            servers.poll(lambda: process.poll() is not None or connected(server), "the ports", 180.0, every=0.1)
            server.run(["jack_connect", "PortAudio:out_0", "PortAudio:in_0"])
            out, errors = process.communicate(timeout=120.0)
        finally:
            servers.stop_group(process)
    report = _checked(subprocess.CompletedProcess(command, process.returncode, out, errors))
    _assert_agrees(report, "JACK", 128)


@pytest.mark.server
def test_every_path_is_measured_on_a_real_server() -> None:
    devices = ["--input", "JACK: FakeMic", "--output", "JACK: FakeSpeaker", "--block", "256"]
    options = ["--load", "idle", "--seconds", "1", "--rounds", "1", "--json", "-"]
    with started("pipewire", 256) as server:
        report = _checked(server.run([*PROGRAM, "engine", *devices, *options], timeout=180.0))
    for path, figures in report["loads"]["idle"].items():
        assert figures["clock"] == "JACK: FakeMic → JACK: FakeSpeaker"
        assert figures["hops"] > 100, path
