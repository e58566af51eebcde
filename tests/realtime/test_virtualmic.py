"""The virtual microphone on real servers: chosen and recorded by their own tools, and gone when the host is."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.errors import FullbandError
from realtime.paths import VOICE_CLIP
from realtime.settings.live import load_live_settings
from realtime.virtualmic import VirtualMicrophone
from tests import servers
from tests.realtime.hosts import ROUTES, above_band_db, client, exchange, follow, started, told
from tests.servers import RATE_HZ, Server

_NAME = "Full Mic"
_SOURCE = "Full_Mic"

_LIVE = ["-c", "from realtime.cli import main; main()", "live", "--backend", "portaudio", "--plain"]
_LIVE += ["--virtual-mic", _NAME, "--cutoff", "4000"]

#: Another program at the same time: removes nothing that lives, and cannot have the name.
_SECOND = f"""
from realtime.virtualmic import VirtualMicrophone, remove_left_over
print(remove_left_over())
VirtualMicrophone({_NAME!r}).__enter__()
"""


@contextmanager
def _pipewire() -> Iterator[Server]:
    if shutil.which("pipewire-pulse") is None:
        pytest.skip("pipewire-pulse is not installed")
    with started("pipewire", 256) as server, open(server.folder / "pipewire-pulse.log", "w") as log:
        process = subprocess.Popen(["pipewire-pulse"], env=server.env, stdout=log, stderr=log, start_new_session=True)
        try:
            servers.poll(lambda: server.run(["pactl", "info"]).returncode == 0, "pipewire-pulse", every=0.1)
            yield server
        finally:
            servers.stop_group(process)


@contextmanager
def _pulse() -> Iterator[Server]:
    reason = servers.missing("pulse")
    if reason is not None:
        pytest.skip(reason)
    with servers.pulse() as server:
        yield server


def _sources(server: Server) -> str:
    return server.run(["pactl", "list", "sources"]).stdout


def _left(server: Server) -> str:
    """What the server still has of the microphone."""
    return "".join(
        line
        for kind in ("modules", "sinks", "sources")
        for line in server.run(["pactl", "list", "short", kind]).stdout.splitlines(keepends=True)
        if _SOURCE in line
    )


def _number(server: Server, kind: str, name: str) -> str | None:
    """None while there is no such thing."""
    rows = [line.split("\t") for line in server.run(["pactl", "list", "short", kind]).stdout.splitlines()]
    return next((row[0] for row in rows if row[1:2] == [name]), None)


def _heard_by_clients(server: Server) -> list[str]:
    """Numbers of the sources that clients listen to; modules of the server are none."""
    rows = [line.split("\t") for line in server.run(["pactl", "list", "short", "source-outputs"]).stdout.splitlines()]
    return [row[1] for row in rows if len(row) > 2 and row[2] != "-"]


def _narrow_voice() -> NDArray[np.float32]:
    """Four seconds of speech with nothing above 4 kHz, at 48 kHz."""
    voice, rate_hz = soundfile.read(VOICE_CLIP, dtype="float32")
    narrow = soxr.resample(soxr.resample(voice, rate_hz, 8_000, "VHQ"), 8_000, RATE_HZ, "VHQ")
    return narrow[: 4 * RATE_HZ].astype(np.float32)


def _record(server: Server, sent: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ``parec`` hears of the virtual microphone while *sent* is spoken into the real one."""
    spoken, recorded = server.folder / "spoken.wav", server.folder / "recorded.wav"
    soundfile.write(spoken, sent, RATE_HZ, subtype="FLOAT")
    form = ["--file-format=wav", f"--rate={RATE_HZ}", "--channels=1", "--format=float32le"]
    recorder = subprocess.Popen(["parec", "-d", _SOURCE, *form, str(recorded)], env=server.env)
    try:
        if server.name == "pulse":
            assert server.run(["paplay", "-d", "micfeed", str(spoken)]).returncode == 0
        else:
            exchange(server, ROUTES["pipewire"], sent)
    finally:
        recorder.terminate()
        recorder.wait(10.0)
    heard: NDArray[np.float32] = soundfile.read(recorded, dtype="float32")[0]
    return heard


@pytest.mark.server
@pytest.mark.parametrize("name", ["pipewire", "pulse"])
def test_programs_record_a_full_band_voice_and_nothing_stays_not_even_of_a_killed_run(name: str) -> None:
    sent = _narrow_voice()
    with _pipewire() if name == "pipewire" else _pulse() as server:
        with client(server, _LIVE) as process:
            assert f"Description: {_NAME}\n" in _sources(server)
            second = server.run([sys.executable, "-c", _SECOND])
            assert second.stdout == "False\n"
            assert f"there is a microphone '{_SOURCE}' already: give another name" in second.stderr
            # As people do; the host goes on hearing the microphone that was the default before.
            assert server.run(["pactl", "set-default-source", _SOURCE]).returncode == 0
            if name == "pulse":
                servers.poll(lambda: _number(server, "sources", "mic") in _heard_by_clients(server), "mic", every=0.1)
            heard = _record(server, sent)
            process.send_signal(signal.SIGKILL)
            process.wait(10.0)
        assert _SOURCE in _left(server)
        with client(server, _LIVE) as process:
            assert process.stdout is not None
            lines = follow(process.stdout)
            servers.poll(lambda: told(lines, "a killed run had left"), "word of what was removed", every=0.1)
            assert _sources(server).count(f"Description: {_NAME}\n") == 1
            if name == "pipewire":
                # The default that was set is remembered, and is again the host's own source.
                servers.poll(
                    lambda: f"Default Source: {_SOURCE}" in server.run(["pactl", "info"]).stdout, "it", every=0.3
                )
                heard_link = "PortAudio:in_0\n  |<- mic:capture_MONO"
                servers.poll(
                    lambda: heard_link in server.run(["pw-link", "--links"]).stdout, "the microphone's link", every=0.3
                )
            else:
                server.stop()
                servers.poll(lambda: told(lines, "waiting"), "the loss", 60.0, every=0.1)
                server.start()
                servers.poll(lambda: told(lines, "back after"), "the return", 60.0, every=0.1)
                assert f"Description: {_NAME}\n" in _sources(server)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60.0) == 0, (server.folder / "client.stderr").read_text()
        assert _left(server) == ""
    sent_db, heard_db = above_band_db(sent), above_band_db(heard)
    print(f"\n{name}: above 4.5 kHz: {sent_db:.1f} dB of the voice sent, {heard_db:.1f} dB of the virtual microphone")
    assert np.sqrt(np.mean(heard**2)) > 0.2 * np.sqrt(np.mean(sent**2))
    assert sent_db < -60.0
    assert heard_db > -45.0


def test_names_that_servers_cannot_quote_are_refused() -> None:
    for name in ("", "it's", 'a"b', "x" * 41, " mic", "a/b", "a=b"):
        with pytest.raises(FullbandError, match="cannot be named"):
            VirtualMicrophone(name)
    assert VirtualMicrophone("Große Mic-2.0").sink == "Gro_e_Mic-2.0_sink"


def test_without_pactl_or_a_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    microphone = VirtualMicrophone(_NAME)
    if shutil.which("pactl") is not None:
        monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path / 'nobody'}")
        with pytest.raises(FullbandError, match=r"none answers .*apt-get install pipewire-pulse"):
            microphone.__enter__()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FullbandError, match="needs pactl: sudo apt-get install pulseaudio-utils"):
        microphone.__enter__()


def test_one_place_to_play_is_given(tmp_path: Path) -> None:
    with pytest.raises(FullbandError, match="command line: 'output' and 'virtual_mic' both say where to play"):
        load_live_settings(None, {"output": "speaker", "virtual_mic": _NAME})
    with pytest.raises(FullbandError, match="simulated device has none"):
        load_live_settings(None, {"backend": "simulated", "virtual_mic": _NAME})
    preset = tmp_path / "speaker.toml"
    preset.write_text('output = "speaker"\n')
    settings = load_live_settings(str(preset), {"virtual_mic": _NAME})
    assert (settings.output, settings.virtual_mic) == (None, _NAME)


def test_a_call_without_any_microphone_is_refused_rather_than_fed_back() -> None:
    microphone = VirtualMicrophone(_NAME)
    with pytest.raises(FullbandError, match="no microphone to make full-band"):
        microphone.adopt(load_live_settings(None, {}))
    assert microphone.adopt(load_live_settings(None, {"input": "headset"})).input == "headset"
