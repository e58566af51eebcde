"""``fullband voip rtp`` with GStreamer and FFmpeg at the other end."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.signals.alignment import align
from bench.signals.material import at_48_khz, telephone_voice
from realtime.errors import FullbandError
from realtime.voip.relay import load_rtp_settings, parse_address, read_description

SECONDS = 3.0

_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
c=IN IP4 127.0.0.1
t=0 0
m=audio 5004 RTP/AVP 97
a=rtpmap:97 opus/48000/2
a=fmtp:97 sprop-stereo=0
a=ptime:20
"""


def _free_port() -> int:
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind(("127.0.0.1", 0))
            port = int(line.getsockname()[1])
        if port % 2 == 0:
            return port
    raise AssertionError("no even port")


def _fullband(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from realtime.cli import main; main()", "voip", "rtp", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def _until_it_listens(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "Ctrl-C ends" in line, (line, process.stderr.read() if process.stderr else "")
    return line


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    soundfile.write(path, telephone_voice(SECONDS)[0], 8_000, "PCM_16")
    return path


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="needs gstreamer1.0-tools and its good plugins")
@pytest.mark.parametrize(
    ("codec", "chain", "rate_hz"),
    [
        ("PCMU", "mulawenc ! rtppcmupay min-ptime=20000000 max-ptime=20000000", 8_000),
        ("opus", "opusenc frame-size=20 ! rtpopuspay pt=111", 48_000),
    ],
)
def test_every_packet_of_gstreamer_is_accounted_for(
    codec: str, chain: str, rate_hz: int, recording: Path, tmp_path: Path
) -> None:
    port, heard, figures = _free_port(), tmp_path / "heard.wav", tmp_path / "figures.json"
    process = _fullband(
        "--listen", f"127.0.0.1:{port}", "--codec", codec, "--output", str(heard),
        "--until-silent", "1", "--seconds", "60", "--json", str(figures),
    )  # fmt: skip
    try:
        _until_it_listens(process)
        source = (
            f"filesrc location={recording} ! wavparse ! audioconvert ! audioresample ! "
            f"audio/x-raw,rate={rate_hz},channels=1 ! {chain} ! "
            f"udpsink host=127.0.0.1 port={port} sync=true"
        )
        subprocess.run(["gst-launch-1.0", "-q", *source.split()], check=True, timeout=60)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    told = json.loads(figures.read_text())["in"]
    # What GStreamer sent came, and each packet became what it should: none is left over.
    assert told["expected"] == told["packets_received"] == pytest.approx(SECONDS * 50, abs=2)
    assert told["lost"] == told["malformed"] == told["refused"] == told["strange"] == told["duplicate"] == 0
    assert "received" in output
    samples, rate = soundfile.read(heard, dtype="float32")
    assert rate == 48_000
    said = at_48_khz(telephone_voice(SECONDS))[0]
    offset = _offset(samples, said)
    found = align(samples, said, offset, steered=True)
    assert len(found.places) > 60
    assert np.ptp(found.delays[len(found.delays) // 4 :]) < 48 * 150
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / 48_000)
    if rate_hz == 8_000:
        assert power[frequency_hz > 5_500].sum() > 1e-4 * power.sum()


def _offset(heard: np.ndarray, said: np.ndarray) -> int:
    """Where in *heard* the voice begins: whoever listens, listens before it is spoken."""
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    return int(np.argmax(product[: len(heard)]))


@pytest.mark.slow
def test_a_recording_goes_out_as_opus_and_ctrl_c_ends_it_cleanly(recording: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        line.settimeout(30.0)
        to = f"127.0.0.1:{line.getsockname()[1]}"
        process = _fullband("--input", str(recording), "--to", to, "--to-codec", "opus", "--json", "-")
        try:
            packets = [line.recv(2_000) for _ in range(20)]
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert errors == ""
    told = json.loads(output)["out"]
    assert told["packets_sent"] >= 20
    assert told["codec"] == "opus/48000/2"
    sequence = [int.from_bytes(packet[2:4], "big") for packet in packets if packet[1] & 0x7F == 111]
    assert all((b - a) % 65_536 == 1 for a, b in itertools.pairwise(sequence))


def test_a_description_tells_where_and_what(tmp_path: Path) -> None:
    path = tmp_path / "stream.sdp"
    path.write_text("SDP:\n" + _SDP)
    told = read_description(path)
    assert (told.listen, told.codec.name, told.payload_type, told.ptime_ms) == (("127.0.0.1", 5004), "opus", 97, 20)


@pytest.mark.parametrize(
    "text", ["", "no SDP", _SDP.replace("opus", "GSM"), "v=0\r\nm=audio x RTP/AVP\r\n", "\0" * 100]
)
def test_a_description_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stream.sdp"
    path.write_text(text)
    with pytest.raises(FullbandError, match=r"stream\.sdp"):
        read_description(path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "--listen"),
        ({"listen": ":5004", "input": "a.wav"}, "once"),
        ({"listen": ":5004", "to": ":5006", "output": "a.wav"}, "one way"),
        ({"listen": "somewhere"}, "no address such as"),
        ({"listen": ":5004", "codec": "PCM"}, "PCMU"),
        ({"listen": ":5004", "to_ptime_ms": 15}, "to_ptime_ms"),
        ({"lisen": ":5004"}, "listen"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do(given: dict[str, object], says: str) -> None:
    with pytest.raises(FullbandError, match=says) as caught:
        load_rtp_settings(None, given)
    assert caught.value.exit_status == 2


def test_a_preset_that_ships_is_found_by_name_and_the_command_line_wins() -> None:
    settings = load_rtp_settings("telephone", {"codec": "PCMA"})
    assert (settings.listen, settings.codec, settings.cutoff_hz) == ("127.0.0.1:5004", "PCMA", 4_000.0)
    with pytest.raises(FullbandError, match="telephone"):
        load_rtp_settings("telefone", {})


def test_addresses_of_both_families_are_read() -> None:
    assert parse_address(":5004") == ("127.0.0.1", 5004)
    assert parse_address("[::1]:5004") == ("::1", 5004)
    assert parse_address("10.1.2.3:9") == ("10.1.2.3", 9)


@pytest.mark.slow
def test_nothing_to_hear_is_no_reason_to_hang(tmp_path: Path) -> None:
    process = _fullband(
        "--listen", f"127.0.0.1:{_free_port()}", "--output", str(tmp_path / "o.wav"), "--seconds", "0.5"
    )
    began = time.monotonic()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "received 0 of 0" in output
    assert time.monotonic() - began < 60
