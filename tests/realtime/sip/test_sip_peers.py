"""Calls between telephones that others have written, through the agent as a process, with real audio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, correlate, sosfiltfilt

from tests.servers import stop_group
from tests.sip_peers import Baresip, callee_scenario, caller_scenario, free_port, host, sipp, voice, wait

pytestmark = [pytest.mark.slow, pytest.mark.server]

_RATE_HZ = 48_000


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def band(samples: NDArray[np.float32], low_hz: float, high_hz: float) -> NDArray[np.float64]:
    return sosfiltfilt(butter(8, (low_hz, high_hz), "bandpass", fs=_RATE_HZ, output="sos"), samples)


def best_correlation(said: NDArray[np.float64], heard: NDArray[np.float64]) -> float:
    """Over windows of a second: the median of the best correlation at any lag, as a jitter buffer may move it."""
    second, found = _RATE_HZ, []
    sums = np.concatenate([[0.0], np.cumsum(said**2)])
    energy = np.maximum(sums[second:] - sums[:-second], 1e-9)
    for start in range(second, len(heard) - second, second // 2):
        piece = heard[start : start + second]
        if np.std(piece) < 0.01:
            continue
        products = correlate(said, piece, "valid", "fft")
        found.append(np.max(products / np.sqrt(energy * np.sum(piece**2))))
    assert found, "nothing was heard"
    return float(np.median(found))


def test_three_calls_between_baresips_are_full_band_and_end_cleanly_either_way(tmp_path: Path) -> None:
    """PCMU → Opus hung up by the caller, PCMU → G.722 hung up by the callee, G.722 → Opus."""
    pairs = [
        (Baresip(tmp_path, "alice", "PCMU/8000/1", 8_000), Baresip(tmp_path, "bob", "opus/48000/2", 48_000), 7, 10),
        (Baresip(tmp_path, "carol", "PCMU/8000/1", 8_000), Baresip(tmp_path, "dave", "G722/16000/1", 16_000), 10, 7),
        (Baresip(tmp_path, "erin", "G722/16000/1", 16_000), Baresip(tmp_path, "frank", "opus/48000/2", 48_000), 7, 10),
    ]
    config = tmp_path / "voip.toml"
    targets = "\n".join(f'{callee.folder.name} = "{callee.uri}"' for _, callee, _, _ in pairs)
    config.write_text(
        f'codec_in = ["G722", "PCMU"]\ncodec_out = ["opus", "G722"]\nmax_calls = 4\n[targets]\n{targets}\n'
    )
    with host(tmp_path, "--config", str(config)) as running:
        running_baresips = [callee.start(seconds) for _, callee, _, seconds in pairs]
        try:
            running_baresips += [
                caller.start(seconds, f"sip:{callee.folder.name}@{running.address}")
                for caller, callee, seconds, _ in pairs
            ]
            for process in running_baresips:
                assert wait(process, 40.0) == 0
        finally:
            for process in running_baresips:
                stop_group(process)
        running.signal()
        assert wait(running.process, 20.0) == 0, running.log
        made = {record["called"]: record for record in records(running.records)}
        assert "Traceback" not in running.log
    assert {name: record["ended_by"] for name, record in made.items()} == {
        "bob": "caller", "dave": "callee", "frank": "caller"
    }  # fmt: skip
    assert all(record["outcome"] == "answered" and record["full_band"][1] for record in made.values())
    for caller, callee, _, _ in pairs:
        samples, rate_hz = callee.heard()
        heard = soxr.resample(samples, rate_hz, _RATE_HZ)
        own_hz = 8_000 if caller.folder.name != "erin" else 16_000
        said = soxr.resample(voice(own_hz), own_hz, _RATE_HZ)
        correlation = best_correlation(band(said, 300.0, 0.42 * own_hz), band(heard, 300.0, 0.42 * own_hz))
        high = (0.53 * own_hz, 0.46 * rate_hz)
        ratio_db = 20 * np.log10(np.std(band(heard, *high)) / np.std(band(said, *high)))
        legs = made[callee.folder.name]["legs"]
        print(
            f"{callee.folder.name}: low band correlation {correlation:.3f}, above {high[0]:.0f} Hz {ratio_db:+.0f} dB, "
            f"buffers {legs['caller']['delay_ms']:.0f} ms and {legs['callee']['delay_ms']:.0f} ms"
        )
        assert correlation >= 0.95
        assert ratio_db > 20.0
        assert legs["caller"]["packets_received"] > 200
        assert legs["callee"]["packets_sent"] > 200


def test_twenty_calls_at_once_and_two_hundred_in_a_row_all_succeed(tmp_path: Path) -> None:
    speech = (np.clip(voice(8_000), -1, 1) * 32767).astype(np.int16)
    from realtime.voip import g711

    (tmp_path / "voice.ul").write_bytes(g711.ENCODE["mu"][speech.view(np.uint16)].tobytes())
    callee_port, media_port = free_port(), 20_000 + 2 * (free_port() % 5_000)
    callee = sipp(
        tmp_path, "callee", "-sf", str(callee_scenario(tmp_path)), "-p", str(callee_port),
        "-mp", str(media_port), "-rtp_echo",
    )  # fmt: skip
    arguments = [
        "--bridge-to", f"sip:bob@127.0.0.1:{callee_port}", "--codec-in", "PCMU", "--codec-out", "opus",
        "--max-calls", "24", "--model", "light",
    ]  # fmt: skip
    config = tmp_path / "voip.toml"
    config.write_text("calls_per_second = 200.0\nmessages_per_second = 5000.0\n")
    try:
        with host(tmp_path, "--config", str(config), *arguments) as running:
            together = caller_scenario(tmp_path, 4_000, "voice.ul")
            in_a_row = caller_scenario(tmp_path, 20, None)
            done = sipp(tmp_path, "together", running.address, "-sf", str(together), "-p", str(free_port()),
                        "-m", "20", "-r", "20", "-l", "20")  # fmt: skip
            assert wait(done, 60.0) == 0, (tmp_path / "together.log").read_text()[-3000:]
            together_records = records(running.records)
            done = sipp(tmp_path, "row", running.address, "-sf", str(in_a_row), "-p", str(free_port()),
                        "-m", "200", "-r", "200", "-l", "1")  # fmt: skip
            assert wait(done, 120.0) == 0, (tmp_path / "row.log").read_text()[-3000:]
            running.signal()
            assert wait(running.process, 20.0) == 0, running.log
            figures = json.loads(running.figures.read_text())
    finally:
        stop_group(callee)
    print(
        {key: figures["exchange"][key] for key in ("ticks", "late_ticks", "dull_ticks", "skipped_ticks", "tick_p50_ms")}
    )
    assert figures["ended"] == {"answered": 220}
    assert figures["messages"]["faults"] == 0
    began = [record["answered"] for record in together_records]
    assert max(began) < min(record["ended"] for record in together_records), "they were not all there at once"
    for record in together_records:
        assert record["full_band"] == [False, True]
        assert record["legs"]["caller"]["packets_received"] > 100
        assert record["legs"]["callee"]["packets_received"] > 100
