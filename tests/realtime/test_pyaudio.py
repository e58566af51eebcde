"""The PyAudio backend on a real audio server: its own Python callback, the same compiled steps."""

from __future__ import annotations

import json
import signal
import sys

import pytest

from tests import servers
from tests.realtime.hosts import client, connected, follow, told

pytest.importorskip("pyaudio", reason="PyAudio could not be built here")


@pytest.mark.server
def test_pyaudio_carries_audio_both_ways_on_jack() -> None:
    absent = servers.missing("jack")
    if absent is not None:
        pytest.skip(absent)
    program = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--backend", "pyaudio"]
    with servers.jack(256) as server:
        done = server.run(
            [
                *program,
                "--input",
                "system",
                "--output",
                "system",
                "--block",
                "256",
                "--seconds",
                "2",
                "--plain",
                "--json",
                "-",
            ]
        )
    assert done.returncode == 0, done.stderr + server.logs()
    figures = json.loads(done.stdout)
    assert figures["backend"] == "pyaudio"
    assert figures["statistics"]["seconds"] > 1.0
    assert figures["statistics"]["hops"] > 250


@pytest.mark.server
def test_pyaudio_names_the_nearest_device() -> None:
    absent = servers.missing("jack")
    if absent is not None:
        pytest.skip(absent)
    program = [sys.executable, "-c", "from realtime.cli import main; main()", "live", "--backend", "pyaudio"]
    with servers.jack(256) as server:
        done = server.run([*program, "--input", "systen"])
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("fullband:")]
    assert len(lines) == 1
    assert "systen" in lines[0]
    assert "system" in lines[0].replace("systen", "")


_LIVE = ["-c", "from realtime.cli import main; main()", "live", "--backend", "pyaudio", "--plain", "--interval", "0.5"]
_DEVICES = ["--input", "FakeMic", "--output", "FakeSpeaker", "--model", "none"]


@pytest.mark.server
def test_pyaudio_survives_pulseaudio() -> None:
    absent = servers.missing("pulse")
    if absent is not None:
        pytest.skip(absent)
    with servers.pulse() as server:
        recording = ["--record", str(server.folder / "kept.wav")]
        with client(server, [*_LIVE, *_DEVICES, *recording]) as process:
            assert process.stdout is not None
            lines = follow(process.stdout)
            servers.poll(lambda: told(lines, "dBFS"), "the first audio", 60.0, every=0.1)
            server.stop()
            servers.poll(lambda: told(lines, "waiting"), "the loss", 60.0, every=0.1)
            server.start()
            servers.poll(lambda: told(lines, "back after"), "the return", 60.0, every=0.1)
            servers.poll(lambda: connected(server), "the host's ports", 60.0, every=0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60.0) == 0, (server.folder / "client.stderr").read_text()


@pytest.mark.server
def test_pyaudio_says_that_it_does_not_survive_jack() -> None:
    absent = servers.missing("pipewire")
    if absent is not None:
        pytest.skip(absent)
    with servers.pipewire() as server:
        with client(server, [*_LIVE, *_DEVICES]) as process:
            assert process.stdout is not None
            lines = follow(process.stdout)
            servers.poll(lambda: told(lines, "dBFS"), "the first audio", 60.0, every=0.1)
            server.stop()
            assert process.wait(60.0) == 1
        said = (server.folder / "client.stderr").read_text().splitlines()
    said = [line for line in said if line.startswith("fullband:")]
    assert len(said) == 1
    assert "--backend portaudio" in said[0]
