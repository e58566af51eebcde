"""Servers change under a running host: other defaults, another rate, a device that goes, a pause. Audio goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.backends.watch import node_properties
from tests import servers
from tests.loopback import constant_delay_samples
from tests.realtime.hosts import ROUTES, Route, client, exchange, follow, started, told
from tests.servers import Server

_LIVE = ["-c", "from realtime.cli import main; main()", "live", "--backend", "portaudio", "--plain", "--interval", "0"]

_SINK = (
    "create-node adapter {{ factory.name=support.null-audio-sink node.name={name} node.description={label} "
    "media.class=Audio/Sink audio.position=[MONO] monitor.channel-volumes=true priority.driver=1000 }}\n"
)


class _Host:
    """``fullband live`` on *server*: what it has said since :meth:`forget`."""

    def __init__(self, server: Server, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._server = server
        self._process = process
        self._lines = follow(process.stdout)
        self._first = 0

    def forget(self) -> None:
        self._first = len(self._lines)

    @property
    def lines(self) -> list[str]:
        return self._lines[self._first :]

    def await_line(self, words: str) -> None:
        servers.poll(lambda: told(self.lines, words), f"'{words}' in {self._lines}", 60.0, every=0.1)

    def status(self) -> dict[str, Any]:
        program = [sys.executable, "-c", "from realtime.cli import main; main()", "ctl", "status", "--json", "-"]
        found: dict[str, Any] = json.loads(self._server.run(program).stdout)
        assert found["pid"] == self._process.pid
        return found


@contextmanager
def _host(server: Server, *options: str) -> Iterator[_Host]:
    with client(server, [*_LIVE, *options]) as process:
        yield _Host(server, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60.0) == 0, (server.folder / "client.stderr").read_text()


@contextmanager
def _sink(server: Server, name: str, label: str) -> Iterator[int]:
    """A virtual speaker more; gives its number."""
    process = subprocess.Popen(["pw-cli"], env=server.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(_SINK.format(name=name, label=label))
        process.stdin.flush()
        servers.poll(lambda: _node(server, name) is not None, "the speaker")
        number = _node(server, name)
        assert number is not None
        yield number
    finally:
        process.kill()
        process.wait()


def _node(server: Server, name: str) -> int | None:
    dump = "import json; from realtime.backends.watch import pipewire_objects; print(json.dumps(pipewire_objects()))"
    objects = json.loads(server.run([sys.executable, "-c", dump]).stdout)
    return next((found["id"] for found in objects or [] if node_properties(found).get("node.name") == name), None)


def _links_to(server: Server, name: str) -> bool:
    return f"{name}:playback_MONO\n  |<- PortAudio:out_0" in server.run(["pw-link", "--links"]).stdout


def _pause(server: Server, seconds: float) -> None:
    """Let the server's processes stand still."""
    # They are the leaders of their sessions; in other folders others may run.
    pids = [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and _belongs(path, server) and _name(path) in ("pipewire", "pulseaudio")
    ]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _belongs(path: Path, server: Server) -> bool:
    try:
        return str(server.folder / "run").encode() in (path / "environ").read_bytes()
    except OSError:
        return False


def _name(path: Path) -> str:
    try:
        return (path / "comm").read_text().strip()
    except OSError:
        return ""


def _delay(server: Server, route: Route, rate_hz: int) -> float:
    """Samples from the microphone to the speaker, the same all the time; each is found only where pitch is right."""
    sent = (np.random.default_rng(1).standard_normal(3 * rate_hz) * 0.1).astype(np.float32)
    heard = exchange(server, route, sent, rate_hz)
    return constant_delay_samples(sent, heard, rate_hz // 10, rate_hz // 2, least_share=0.7)


@pytest.mark.server
def test_defaults_rate_and_pauses_of_pipewire_are_followed(identity: Path, tmp_path: Path) -> None:
    """The process stays; what is heard is the voice, at its pitch, with the delay that is reported."""
    config = tmp_path / "still.toml"
    config.write_text(f'model = "{identity}"\nadaptive_guard = false\nguard_ms = 10.0\n')
    quantum = 256
    route = ROUTES["pipewire"]
    with started("pipewire", quantum) as server, _host(server, "--config", str(config)) as host:
        assert host.status()["devices"] == "JACK: FakeMic → JACK: FakeSpeaker"
        with _sink(server, "other", "OtherSpeaker") as number:
            server.run(["wpctl", "set-default", str(number)])
            host.await_line("the default output is another now")
            host.await_line("back after")
            assert host.status()["devices"] == "JACK: FakeMic → JACK: OtherSpeaker"
            assert _links_to(server, "other")
            host.forget()
        host.await_line("back after")  # the other speaker is gone, and the default is again what it was
        assert _links_to(server, "spk")
        host.forget()
        server.run(["pw-metadata", "-n", "settings", "0", "clock.force-rate", "44100"])
        host.await_line("runs at 44100 Hz now")
        host.await_line("back after")
        at_44100 = _delay(server, route, 44_100)
        status = host.status()
        assert (status["capture_rate_hz"], status["playback_rate_hz"]) == (44_100, 44_100)
        reported = 44.1 * status["latency"]["host_ms"]
        block = status["block_frames"]
        # What the server adds is whole periods.
        periods = round((at_44100 - reported) / block)
        assert 0 <= periods <= 4
        assert at_44100 - reported - periods * block == pytest.approx(0.0, abs=2.0)
        host.forget()
        _pause(server, 2.5)
        host.await_line("back after")
        assert _delay(server, route, 44_100) == pytest.approx(at_44100, abs=block + 2.0)


@pytest.mark.server
def test_a_speaker_that_goes_while_pipewire_lives_is_missed_and_used_again() -> None:
    devices = "--input", "JACK: FakeMic", "--output", "JACK: UsbHeadset"
    with (
        started("pipewire", 256) as server,
        _sink(server, "usb", "UsbHeadset") as number,
        _host(server, "--model", "none", *devices) as host,
    ):
        server.run(["pw-cli", "destroy", str(number)])
        host.await_line("UsbHeadset gone; waiting for it")
        assert host.status()["lost"] is True
        with _sink(server, "usb", "UsbHeadset"):
            host.await_line("back after")
            servers.poll(lambda: _links_to(server, "usb"), "the links")


@pytest.mark.server
def test_pulseaudio_moves_the_default_itself_and_a_suspended_speaker_is_lost_once() -> None:
    reason = servers.missing("pulse")
    if reason is not None:
        pytest.skip(reason)
    with servers.pulse() as server, _host(server, "--model", "none") as host:
        server.run(["pactl", "load-module", "module-null-sink", "sink_name=other", "norewinds=1", "rate=48000"])
        server.run(["pactl", "set-default-sink", "other"])
        sinks = server.run(["pactl", "list", "short", "sinks"]).stdout.splitlines()
        other = next(line.split()[0] for line in sinks if "other" in line)

        def moved() -> bool:
            inputs = server.run(["pactl", "list", "short", "sink-inputs"]).stdout.splitlines()
            return bool(inputs) and all(line.split()[1] == other for line in inputs)

        servers.poll(moved, "the stream on the other speaker", every=0.2)
        assert host.status()["lost"] is False
        host.forget()
        server.run(["pactl", "suspend-sink", "other", "1"])
        host.await_line("silent")
        time.sleep(3.0)
        assert len(host.lines) == 1, host.lines
        server.run(["pactl", "suspend-sink", "other", "0"])
        host.await_line("back after")
        host.forget()
        _pause(server, 2.5)
        host.await_line("back after")
