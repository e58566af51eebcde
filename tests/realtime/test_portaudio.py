"""The live host on real audio servers: what it reports is what is measured from outside.

A client of the server plays into the host and records what comes out of it, on one clock, in the manner of
a person on a call; the same is done with a client in the host's place that only copies. The difference is
the host.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.paths import VOICE_CLIP
from tests.loopback import constant_delay_samples, delays_samples
from tests.realtime.hosts import ROUTES, Route, above_band_db, client, exchange, started
from tests.servers import RATE_HZ, Server

WINDOW = RATE_HZ // 10
MAX_DELAY = RATE_HZ // 4


def _through_nothing(server: Server, route: Route, sent: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is heard through a client that only copies its input to its output."""
    names = ["--listen", route.host_input, "--feed", route.host_output, "--block", str(server.quantum)]
    with client(server, ["-m", "tests.loopback", "--through", *names]):
        return exchange(server, route, sent)


def _through_host(
    server: Server, route: Route, sent: NDArray[np.float32], model: str, *options: str
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """What is heard through ``fullband live``, and its report."""
    # A guard that grows with a stalled machine moves the delay that is to be measured.
    config = server.folder / "live.toml"
    config.write_text("guard_ms = 10.0\nadaptive_guard = false\n")
    command = ["-c", "from realtime.cli import main; main()", "live", "--backend", "portaudio"]
    command += [
        "--config",
        str(config),
        "--input",
        route.host_input,
        "--output",
        route.host_output,
        "--block",
        str(server.quantum),
    ]
    command += ["--model", model, *options, "--plain", "--json", "-"]
    with client(server, command) as process:
        heard = exchange(server, route, sent)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60.0)
        assert process.returncode == 0, (server.folder / "client.stderr").read_text()
    return heard, json.loads(text)


@pytest.mark.server
@pytest.mark.parametrize(("name", "quantum"), [("pipewire", 256), ("pipewire", 128), ("jack", 128)])
def test_measured_latency_is_the_reported_one(name: str, quantum: int, identity: Path) -> None:
    sent = (np.random.default_rng(1).standard_normal(3 * RATE_HZ) * 0.1).astype(np.float32)
    route = ROUTES[name]
    with started(name, quantum) as server:
        bare = constant_delay_samples(sent, _through_nothing(server, route, sent), WINDOW, MAX_DELAY)
        heard, report = _through_host(server, route, sent, str(identity))
    measured = constant_delay_samples(sent, heard, WINDOW, MAX_DELAY)
    host = report["latency"]["host_ms"] * RATE_HZ / 1000
    print(
        f"\n{name}, quantum {quantum}: measured {1000 * measured / RATE_HZ:.2f} ms, of it the server "
        f"{1000 * bare / RATE_HZ:.2f} ms; host measured {1000 * (measured - bare) / RATE_HZ:.2f} ms, "
        f"reported {report['latency']['host_ms']:.2f} ms"
    )
    # The server may order its clients in another way, a period more or less; the host is exact.
    periods = round((measured - bare - host) / quantum)
    assert abs(periods) <= 1
    assert measured - bare - host - periods * quantum == pytest.approx(0.0, abs=1.0)
    assert report["model"] == "identity"
    assert report["statistics"]["resyncs"] == 0


@pytest.mark.server
def test_the_shipped_model_is_heard_above_the_band_of_the_voice() -> None:
    voice, rate_hz = soundfile.read(VOICE_CLIP, dtype="float32")
    narrow = soxr.resample(soxr.resample(voice, rate_hz, 8_000, "VHQ"), 8_000, RATE_HZ, "VHQ")[: 6 * RATE_HZ]
    sent = narrow.astype(np.float32)
    with started("pipewire", 256) as server:
        heard, report = _through_host(server, ROUTES["pipewire"], sent, "default", "--cutoff", "4000")
    constant_delay_samples(sent, heard, WINDOW, MAX_DELAY)
    sent_db, heard_db = above_band_db(sent), above_band_db(heard)
    print(f"\nabove 4.5 kHz: {sent_db:.1f} dB of the voice sent, {heard_db:.1f} dB of the voice heard")
    assert sent_db < -70.0
    assert heard_db > -45.0
    assert report["cutoff_hz"] == 4000.0


def test_a_planted_delay_is_found_to_the_sample() -> None:
    rng = np.random.default_rng(2)
    sent = rng.standard_normal(RATE_HZ).astype(np.float32)
    for planted in (0, 1, 777, 11_999):
        heard = np.concatenate([np.zeros(planted, np.float32), 0.03 * sent])[: len(sent)]
        heard += (0.003 * rng.standard_normal(len(heard))).astype(np.float32)
        found = delays_samples(sent, heard, WINDOW, WINDOW, 12_000)
        assert len(found) == (RATE_HZ - WINDOW - 12_000) // WINDOW + 1
        assert all(abs(delay - planted) <= 1.0 and confidence > 0.9 for delay, confidence in found)


def test_fractions_of_a_sample_are_found() -> None:
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(RATE_HZ))
    spectrum[RATE_HZ // 8 :] = 0.0
    turn = np.exp(-2j * np.pi * np.arange(len(spectrum)) * 100.3 / RATE_HZ)
    sent, heard = np.fft.irfft(spectrum), np.fft.irfft(spectrum * turn)
    delays = [delay for delay, _ in delays_samples(sent, heard, WINDOW, WINDOW, 1000)]
    assert np.median(delays) == pytest.approx(100.3, abs=0.1)


def test_silence_and_strangers_have_no_confidence() -> None:
    rng = np.random.default_rng(4)
    sent = rng.standard_normal(RATE_HZ)
    for heard in (np.zeros(RATE_HZ), rng.standard_normal(RATE_HZ)):
        assert all(confidence < 0.2 for _, confidence in delays_samples(sent, heard, WINDOW, WINDOW, 2000))
    assert delays_samples(np.zeros(RATE_HZ), sent, WINDOW, WINDOW, 2000)[0][1] == 0.0
