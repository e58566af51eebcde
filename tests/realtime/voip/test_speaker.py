"""A recording through ``fullband voip rtp`` to a playback device of a real audio server, heard on its monitor."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from bench.signals.material import at_48_khz, telephone_voice
from tests.realtime.hosts import ROUTES, exchange, started
from tests.servers import RATE_HZ, poll, stop_group

SECONDS = 12.0


@pytest.mark.server
def test_a_call_is_heard_on_a_playback_device() -> None:
    with started("pipewire", 256) as server:
        said = at_48_khz(telephone_voice(SECONDS))[0]
        recording = server.folder / "voice.wav"
        soundfile.write(recording, said, RATE_HZ, "PCM_16")
        command = ["-c", "from realtime.cli import main; main()", "voip", "rtp", "--input", str(recording)]
        command += ["--device", ROUTES["pipewire"].host_output, "--model", "none"]
        log = server.folder / "rtp.stderr"
        with open(log, "w") as errors:
            process = subprocess.Popen(
                server.wrap([sys.executable, *command]),
                env=server.env, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
            )  # fmt: skip
        try:
            poll(
                lambda: process.poll() is not None or "PortAudio:out_0" in server.run(["pw-link", "--links"]).stdout,
                "the call's port", 120.0, every=0.3,
            )  # fmt: skip
            assert process.poll() is None, log.read_text()
            heard = exchange(server, ROUTES["pipewire"], np.zeros(3 * RATE_HZ, np.float32))
            process.communicate(timeout=60.0)
        finally:
            stop_group(process)
        assert process.returncode == 0, log.read_text()
    # A machine that stalls spoils the half seconds that it hits, not the others.
    half = RATE_HZ // 2
    assert max(_match(said, heard[start : start + half]) for start in range(half, len(heard) - half, half)) > 0.95


def _match(said: NDArray[np.float32], piece: NDArray[np.float32]) -> float:
    """Correlation of *piece* with that place in *said* that is most like it.

    The device's clock is its own, but over half a second the resampler moves by next to nothing.
    """
    size = 1 << (len(said) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(said, size) * np.conj(np.fft.rfft(piece, size)), size)[: len(said) - len(piece)]
    best = int(np.argmax(product))
    return float(np.corrcoef(said[best : best + len(piece)], piece)[0, 1])
