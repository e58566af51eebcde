"""The servers that tests start are real, are seen by PortAudio, and leave nothing behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests import servers
from tests.servers import Server

_LIST = [
    sys.executable,
    "-c",
    "import json, sounddevice as s; apis = s.query_hostapis();"
    "print(json.dumps([[apis[d['hostapi']]['name'], d['name'], d['max_input_channels'], d['max_output_channels']]"
    " for d in s.query_devices()]))",
]


def _devices(server: Server) -> dict[tuple[str, str], tuple[int, int]]:
    """(host API, name) of every device a client sees: its input and output channels."""
    done = server.run(_LIST)
    assert done.returncode == 0, done.stderr
    return {(api, name): (inputs, outputs) for api, name, inputs, outputs in json.loads(done.stdout)}


def _need(server: str) -> None:
    reason = servers.missing(server)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.server
def test_pipewire_shows_a_microphone_and_a_speaker() -> None:
    _need("pipewire")
    with servers.pipewire(quantum=128) as server:
        seen = _devices(server)
    assert seen["JACK Audio Connection Kit", "FakeMic"] == (1, 1)
    assert seen["JACK Audio Connection Kit", "FakeSpeaker"] == (1, 1)


@pytest.mark.server
def test_jack_shows_its_dummy_driver() -> None:
    _need("jack")
    with servers.jack(period=256) as server:
        seen = _devices(server)
    assert seen["JACK Audio Connection Kit", "system"] == (2, 2)


@pytest.mark.server
def test_pulse_shows_its_devices_through_alsa() -> None:
    _need("pulse")
    with servers.pulse() as server:
        seen = _devices(server)
    if not any(api == "ALSA" for api, _ in seen):
        pytest.skip("ALSA's plugin for PulseAudio is not installed (libasound2-plugins)")
    for name in ("FakeMic", "FakeMicFeed", "FakeSpeaker", "FakeSpeakerMonitor"):
        assert ("ALSA", name) in seen


@pytest.mark.server
@pytest.mark.parametrize("name", sorted(servers.SERVERS))
def test_two_servers_run_at_once_and_leave_nothing(name: str) -> None:
    _need(name)
    make: Callable[[], AbstractContextManager[Server]] = getattr(servers, name)
    with make() as first, make() as second:
        folders = {first.folder, second.folder}
        assert len(folders) == 2
        assert _devices(first) == _devices(second) != {}
    assert not any(folder.exists() for folder in folders)


@pytest.mark.server
def test_a_server_goes_when_its_test_fails() -> None:
    _need("pipewire")
    with pytest.raises(ZeroDivisionError), servers.pipewire() as server:
        raise ZeroDivisionError
    assert not server.folder.exists()
    assert server.run(["pw-link", "--output"]).returncode != 0


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    reason = servers.missing("pipewire")
    assert reason is not None
    assert "wireplumber" in reason
    with pytest.raises(RuntimeError, match="wireplumber"), servers.pipewire():
        pass
