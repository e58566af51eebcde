"""Measuring delay: a player and recorder on one clock, and the delay between what it played and heard.

As a program it plays a recording into the feed of a virtual microphone and records the monitor of a virtual
speaker in the same callbacks: ``python -m tests.loopback --feed "JACK: FakeMic" --listen "JACK: FakeSpeaker"
--wav sent.wav --out heard.wav``. Sample *i* of the recording was taken when sample *i* of the wav was given.
With ``--through`` it is the least host instead: what it measures then, the audio server costs.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32] | NDArray[np.float64]


def _normalised(reference: NDArray[np.float64], heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation, -1 to 1, of *reference* with every stretch of *heard* that is as long."""
    window, size = len(reference), 1 << (len(heard) + len(reference) - 1).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(reference, size))
    correlation = np.fft.irfft(product, size)[: len(heard) - window + 1]
    energies = np.concatenate([[0.0], np.cumsum(heard**2)])
    energy = np.maximum(energies[window:] - energies[:-window], 0.0)
    scale = np.sqrt(energy * float(reference @ reference))
    # Nearly silent stretches would divide noise by noise.
    floor = 1e-6 * float(scale.max()) + 1e-12
    return np.where(scale > floor, correlation / np.maximum(scale, floor), 0.0)


def delays_samples(sent: Signal, heard: Signal, window: int, hop: int, max_delay: int) -> list[tuple[float, float]]:
    """(delay in samples, confidence 0 to 1) of every *window* samples of *sent* in *heard*, every *hop* samples.

    Delays from 0 to *max_delay* are looked for; a parabola through the peak of the normalised correlation
    gives fractions of a sample. Confidence is the peak itself: 1 for a faithful copy at any volume, about 0
    for silence and strangers.
    """
    found = []
    last = min(len(sent) - window, len(heard) - window - max_delay)
    for start in range(0, last + 1, hop):
        reference = np.asarray(sent[start : start + window], np.float64)
        around = np.asarray(heard[start : start + window + max_delay], np.float64)
        correlation = _normalised(reference, around)
        peak = int(np.argmax(correlation))
        delay = float(peak)
        if 0 < peak < len(correlation) - 1:
            before, at, after = correlation[peak - 1 : peak + 2]
            curvature = before - 2.0 * at + after
            if curvature < 0.0:
                delay += float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
        found.append((delay, max(float(correlation[peak]), 0.0)))
    return found


def constant_delay_samples(sent: Signal, heard: Signal, window: int, max_delay: int, least_share: float = 0.8) -> float:
    """Delay of *heard*, in samples; fails where it wanders, or where *heard* is something else.

    A machine that stalls moves the windows it hits, and takes blocks out of others: *least_share* of them agree to
    a sample, and what is left of a window names its delay with a confidence of a half, while strangers stay below 0.2.
    """
    found = np.array(delays_samples(sent, heard, window, window, max_delay))
    spoken = [np.sqrt(np.mean(sent[k * window : (k + 1) * window] ** 2)) > 1e-3 for k in range(len(found))]
    delays, confidences = found[spoken].T
    median = float(np.median(delays))
    steady = np.abs(delays - median) <= 1.0
    assert steady.mean() >= least_share, f"delays wander: {np.round(delays, 1)}"
    assert np.median(confidences) >= 0.5, f"something else is heard: {np.round(confidences, 2)}"
    return median


class Loopback:
    """Plays *sent* and records as many frames plus *tail* of silence; :attr:`done` is set at the end."""

    def __init__(self, sent: NDArray[np.float32], tail: int) -> None:
        self.sent = np.concatenate([sent, np.zeros(tail, np.float32)])
        self.heard = np.zeros_like(self.sent)
        self.frames = 0
        self.flagged = 0
        self.done = threading.Event()

    def callback(self, indata: NDArray[np.float32], outdata: NDArray[np.float32], frames: int, *rest: Any) -> None:
        """One block, in and out."""
        count = min(frames, len(self.sent) - self.frames)
        now = slice(self.frames, self.frames + count)
        outdata[:] = 0.0
        outdata[:count, 0] = self.sent[now]
        self.heard[now] = indata[:count, 0]
        self.frames += count
        self.flagged += bool(rest[-1])
        if self.frames == len(self.sent):
            self.done.set()


def _copy(indata: NDArray[np.float32], outdata: NDArray[np.float32], *_: Any) -> None:
    outdata[:] = indata


def main() -> None:
    """Play, record, and print the counts as JSON; or only pass audio through."""
    import soundfile

    from realtime.devices import find, import_sounddevice

    parser = argparse.ArgumentParser(description="Play into one device and record another on one clock.")
    parser.add_argument("--feed", required=True, help="playback device, e.g. the feed of a virtual microphone")
    parser.add_argument("--listen", required=True, help="capture device, e.g. the monitor of a virtual speaker")
    parser.add_argument("--wav", type=Path, help="what is played")
    parser.add_argument("--out", type=Path, help="what was heard")
    parser.add_argument("--through", action="store_true", help="copy LISTEN to FEED until standard input ends")
    parser.add_argument("--seconds", type=float, help="play only so much of it")
    parser.add_argument("--tail", type=float, default=0.5, help="seconds to listen on after the end")
    parser.add_argument("--block", type=int, default=0, help="frames per callback; 0 is what the server likes")
    given = parser.parse_args()
    settings: dict[str, Any] = {
        "blocksize": given.block,
        "device": (find(given.listen, "input").index, find(given.feed, "output").index),
        "channels": 1,
        "dtype": "float32",
        "latency": "low",
    }
    stream = import_sounddevice().Stream
    if given.through:
        with stream(callback=_copy, **settings):
            sys.stdin.read()
        return
    if given.wav is None or given.out is None:
        parser.error("--wav and --out are needed, or --through")
    sent, rate_hz = soundfile.read(given.wav, dtype="float32", always_2d=True)
    mono = np.ascontiguousarray(sent[: None if given.seconds is None else round(given.seconds * rate_hz), 0])
    loopback = Loopback(mono, round(given.tail * rate_hz))
    with stream(samplerate=rate_hz, callback=loopback.callback, **settings):
        complete = loopback.done.wait(4.0 * len(loopback.sent) / rate_hz + 10.0)
    soundfile.write(given.out, loopback.heard[: loopback.frames], rate_hz, subtype="FLOAT")
    print(json.dumps({"frames": loopback.frames, "flagged_blocks": loopback.flagged, "complete": complete}))
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
