"""A real audio server is stopped and started again under the running host: the voice returns, the process stays."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests import servers
from tests.realtime.hosts import ROUTES, client, connected, exchange, follow, told
from tests.servers import RATE_HZ, Server


def _exchange_by_pulse(server: Server, sent: NDArray[np.float32]) -> NDArray[np.float32]:
    """What PulseAudio's own recorder hears at the speaker while its own player plays *sent* to the microphone."""
    played, recorded = server.folder / "sent.wav", server.folder / "heard.wav"
    soundfile.write(played, sent, RATE_HZ, subtype="FLOAT")
    recorder = subprocess.Popen(["parec", "-d", "spk.monitor", "--file-format=wav", str(recorded)], env=server.env)
    try:
        assert server.run(["paplay", "-d", "micfeed", str(played)]).returncode == 0
    finally:
        recorder.terminate()
        recorder.wait(10.0)
    heard: NDArray[np.float32] = soundfile.read(recorded, dtype="float32")[0]
    return heard


@pytest.mark.server
@pytest.mark.parametrize("name", ["pipewire", "pulse", "jack"])
def test_the_host_survives_its_audio_server(name: str, identity: Path) -> None:
    reason = servers.missing(name)
    if reason is not None:
        pytest.skip(reason)
    sent = (np.random.default_rng(1).standard_normal(2 * RATE_HZ) * 0.1).astype(np.float32)
    route = ROUTES[name]
    deaths = 3 if name == "jack" else 1  # each leaves a library behind, and none may be mistaken for another
    with servers.SERVERS[name]() as server:  # type: ignore[attr-defined]
        figures, recording = server.folder / "figures.json", server.folder / "kept.wav"
        command = ["-c", "from realtime.cli import main; main()", "live", "--backend", "portaudio", "--plain"]
        command += ["--interval", "0.5"]
        command += ["--input", route.host_input, "--output", route.host_output, "--model", str(identity)]
        command += ["--record", str(recording), "--json", str(figures)]
        with client(server, command) as process:
            assert process.stdout is not None
            lines = follow(process.stdout)
            servers.poll(lambda: told(lines, "dBFS"), "the first audio", 60.0, every=0.1)
            for _ in range(deaths):
                before = len(lines)
                server.stop()
                servers.poll(lambda: told(lines[before:], "waiting"), "the loss", 60.0, every=0.1)  # noqa: B023
                server.start()
                servers.poll(lambda: told(lines[before:], "back after"), "the return", 60.0, every=0.1)  # noqa: B023
            servers.poll(lambda: connected(server), "the host's ports", 60.0, every=0.3)
            heard = _exchange_by_pulse(server, sent) if name == "pulse" else exchange(server, route, sent)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(60.0) == 0, (server.folder / "client.stderr").read_text()
        said = [line for line in lines if "waiting" in line or "back after" in line]
        report = json.loads(figures.read_text())
        assert recording.exists()
    assert len(said) == 2 * deaths, lines
    assert report["model"] == "identity"
    # Late by what a server holds ready, but the voice: without it there would be digital silence.
    assert np.sqrt(np.mean(heard**2)) > 0.01
