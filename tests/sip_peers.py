"""Telephones that others have written, for tests: baresip and sipp, on loopback; and the agent as a process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.paths import VOICE_CLIP

from .servers import poll, stop_group

_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{port}
audio_player aubridge,{name}
audio_source aufile,{source}
audio_alert aubridge,alert-{name}
ausrc_srate {rate}
auplay_srate {rate}
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
module_path {modules}
module g711.so
module g722.so
module opus.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path {folder}
opus_bitrate 64000
"""


def free_port() -> int:
    """A UDP port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def voice(rate_hz: int) -> NDArray[np.float32]:
    """The voice that ships, at *rate_hz*: [samples]."""
    samples, own_hz = soundfile.read(VOICE_CLIP, dtype="float32")
    resampled: NDArray[np.float32] = soxr.resample(samples, own_hz, rate_hz).astype(np.float32)
    return resampled


class Baresip:
    """One baresip: it says the voice clip at *rate_hz*, answers whoever calls, and keeps what it says and hears."""

    def __init__(self, folder: Path, name: str, codec: str, rate_hz: int) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.port = free_port()
        self.uri = f"sip:{name}@127.0.0.1:{self.port}"
        source = self.folder / "voice.wav"
        soundfile.write(source, voice(rate_hz), rate_hz, subtype="PCM_16")
        (self.folder / "config").write_text(
            _CONFIG.format(port=self.port, name=name, source=source, rate=rate_hz, modules=_MODULES, folder=self.folder)
        )
        (self.folder / "accounts").write_text(f"<{self.uri}>;regint=0;answermode=auto;audio_codecs={codec}\n")
        (self.folder / "contacts").write_text("")

    def start(self, seconds: float, dial: str | None = None) -> subprocess.Popen[bytes]:
        """Run for *seconds*, then hang up; call *dial* at once."""
        command = ["baresip", "-n", "127.0.0.1", "-f", str(self.folder), "-t", f"{seconds:.0f}"]
        with open(self.folder / "log", "wb") as log:
            return subprocess.Popen(
                [*command, *(["-e", f"/dial {dial}"] if dial else [])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def heard(self) -> tuple[NDArray[np.float32], int]:
        """What it has decoded, mono, and its rate."""
        (path,) = self.folder.glob("dump-*-dec.wav")
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        return samples.mean(axis=1), int(rate_hz)


class Host:
    """``fullband voip sip`` as a process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.records = folder / "calls.jsonl"
        self.figures = folder / "figures.json"
        self._log = folder / "host.log"
        program = "import sys; sys.argv[0] = 'fullband'; from realtime.cli import main; main()"
        command = [
            sys.executable, "-c", program, "voip", "sip", "--listen", self.address,
            "--records", str(self.records), "--json", str(self.figures), *arguments,
        ]  # fmt: skip
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        poll(lambda: "listening on tcp" in self.log or self.process.poll() is not None, "fullband voip sip", 240.0)
        assert self.process.poll() is None, self.log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def signal(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        stop_group(self.process)


@contextmanager
def host(folder: Path, *arguments: str) -> Iterator[Host]:
    """The agent, ended with the block whatever happens in it."""
    one = Host(folder, *arguments)
    try:
        yield one
    finally:
        one.stop()


def sipp(folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """sipp in *folder*, whose words go to *name*.log."""
    assert shutil.which("sipp"), "sipp is missing: apt-get install sip-tester"
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(
            ["sipp", *arguments, "-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


_REQUEST = """\
<send {retrans}><![CDATA[
{method} sip:bob@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]tag[call_number]
To: <sip:bob@[remote_ip]:[remote_port]>{peer_tag}
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
{body}
]]></send>
"""

_OFFER = """\
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""


def caller_scenario(folder: Path, talk_ms: int, says: str | None) -> Path:
    """A sipp caller: INVITE, talk (playing the µ-law file *says* as RTP), BYE."""
    empty = "Content-Length: 0\n"
    tag = "[peer_tag_param]"
    invite = _REQUEST.format(retrans='retrans="500"', method="INVITE", peer_tag="", number=1, body=_OFFER)
    ack = _REQUEST.format(retrans="", method="ACK", peer_tag=tag, number=1, body=empty)
    bye = _REQUEST.format(retrans='retrans="500"', method="BYE", peer_tag=tag, number=2, body=empty)
    play = f'<nop><action><exec rtp_stream="{says},1,0"/></action></nop>' if says else ""
    path = folder / f"caller-{talk_ms}.xml"
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="caller">\n'
        f'{invite}<recv response="100" optional="true"/><recv response="180" optional="true"/>\n'
        f'<recv response="200"/>{ack}{play}<pause milliseconds="{talk_ms}"/>\n{bye}<recv response="200"/>\n'
        "</scenario>\n"
    )
    return path


_ANSWER = """\
<send{retrans}><![CDATA[
SIP/2.0 {code}
[last_Via:]
[last_From:]
[last_To:];tag=[pid]callee[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
{body}
]]></send>
"""


def callee_scenario(folder: Path) -> Path:
    """A sipp callee that answers with Opus; run with ``-rtp_echo`` it sends back what it hears."""
    body = _OFFER.replace("[rtpstream_audio_port] RTP/AVP 0", "[media_port] RTP/AVP 111").replace(
        "a=rtpmap:0 PCMU/8000", "a=rtpmap:111 opus/48000/2"
    )
    empty = "Content-Length: 0\n"
    ringing = _ANSWER.format(retrans="", code="180 Ringing", body=empty)
    answer = _ANSWER.format(retrans=' retrans="500"', code="200 OK", body=body)
    bye = _ANSWER.format(retrans="", code="200 OK", body=empty).replace(";tag=[pid]callee[call_number]", "")
    path = folder / "callee.xml"
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="callee">\n<recv request="INVITE"/>\n'
        f'{ringing}{answer}<recv request="ACK" rtd="true" crlf="true"/>\n<recv request="BYE"/>\n{bye}</scenario>\n'
    )
    return path


def wait(process: subprocess.Popen[Any], seconds: float) -> int | None:
    """The exit status of *process*; None where it has not ended in time, and then it is ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if process.poll() is None:
        stop_group(process)
        return None
    return process.returncode
