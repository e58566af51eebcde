"""``fullband live`` on a real audio server, with a client of the server that speaks to it and listens."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests import servers
from tests.servers import RATE_HZ, Server

#: A host that has to be compiled first, on a busy machine, takes its time.
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Route:
    """Names of devices: what the host opens, and what a client opens to speak and to listen to it."""

    host_input: str
    host_output: str
    feed: str
    listen: str


ROUTES = {
    "pipewire": Route("JACK: FakeMic", "JACK: FakeSpeaker", "JACK: FakeMic", "JACK: FakeSpeaker"),
    # JACK's dummy driver hears nothing of what it is given; the host's own ports are a device to other clients.
    "jack": Route("JACK: system", "JACK: system", "JACK: PortAudio", "JACK: PortAudio"),
    "pulse": Route("ALSA: FakeMic", "ALSA: FakeSpeaker", "ALSA: FakeMicFeed", "ALSA: FakeSpeakerMonitor"),
}


@contextmanager
def started(name: str, quantum: int) -> Iterator[Server]:
    reason = servers.missing(name)
    if reason is not None:
        pytest.skip(reason)
    with servers.pipewire(quantum) if name == "pipewire" else servers.jack(quantum) as server:
        yield server


def connected(server: Server) -> bool:
    """Whether a client of PortAudio has been connected to the devices, both ways."""
    if server.name == "pipewire":
        links = server.run(["pw-link", "--links"]).stdout
        return "|-> PortAudio:in_0" in links and "|<- PortAudio:out_0" in links
    if server.name == "pulse":
        return all(server.run(["pactl", "list", "short", kind]).stdout for kind in ("source-outputs", "sink-inputs"))
    links = server.run(["jack_lsp", "--connections"]).stdout
    return "   PortAudio:in_0" in links and "   PortAudio:out_0" in links


@contextmanager
def spawned(server: Server, command: list[str]) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """*command* in Python, as a client of *server*, and what it writes to standard error; gone at the end."""
    log = server.folder / "client.stderr"
    with open(log, "w") as errors:
        process = subprocess.Popen(
            server.wrap([sys.executable, *command]),
            env=server.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        servers.stop_group(process)


@contextmanager
def client(server: Server, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """*command* in Python, as a client of *server* that has connected itself; gone at the end."""
    with spawned(server, command) as (process, log):
        # Every look is a client of the server itself, which has to be let in and out.
        servers.poll(
            lambda: process.poll() is not None or connected(server), "the host's ports", _START_SECONDS, every=0.3
        )
        assert process.poll() is None, log.read_text()
        yield process
        if process.poll() is None:
            # JACK takes a client's sudden death badly; one that closes its stream goes in peace.
            process.communicate(timeout=60.0)


def follow(stream: IO[str]) -> list[str]:
    """The lines of *stream*, as they come."""
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(stream), daemon=True).start()
    return lines


def told(lines: list[str], words: str) -> bool:
    """Whether one of *lines* has *words*."""
    return any(words in line for line in lines)


def exchange(server: Server, route: Route, sent: NDArray[np.float32], rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """What is heard while *sent* is played, on one clock."""
    played, recorded = server.folder / "sent.wav", server.folder / "heard.wav"
    soundfile.write(played, sent, rate_hz, subtype="FLOAT")
    names = ["--feed", route.feed, "--listen", route.listen, "--wav", str(played), "--out", str(recorded)]
    done = server.run([sys.executable, "-m", "tests.loopback", *names], timeout=120.0)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.logs()}"
    heard: NDArray[np.float32] = soundfile.read(recorded, dtype="float32")[0]
    return heard


def above_band_db(signal: NDArray[np.float32]) -> float:
    """Energy above 4.5 kHz against all of it."""
    power = np.abs(np.fft.rfft(signal.astype(np.float64))) ** 2
    edge = round(4500 * len(signal) / RATE_HZ)
    return float(10 * np.log10(power[edge:].sum() / power.sum()))
