"""A sound device made of a thread and a clock: it calls the stream callbacks when a real one would.

It plays a recording into the capture callback and keeps what the playback callback gives. Two paces: the
machine's monotonic clock, or *freewheel*, where each block waits for the network instead of the clock, so
that a run is exactly repeatable (the term is JACK's).
"""

from __future__ import annotations

import numpy as np
from numba import cfunc, njit, types

from . import COMPILE
from .histogram import CELLS, record_duration
from .memory import call_stream_callback, ints_at, load_acquire, offset_of, record_at, store_release
from .network import NETWORK
from .ring import RING, written
from .system import now_ns, sleep_until_ns

DEVICE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "capture_callback",  # PaStreamCallback, or 0
            "playback_callback",
            "user",
            "capture_rate_hz",
            "playback_rate_hz",
            "block_frames",  # playback frames at a time
            "capture_bytes",  # per frame
            "playback_bytes",
            "source",  # what the microphone hears
            "source_frames",
            "silence",  # a block of zeros, for after the end of the source
            "sink",  # what the speaker gets
            "sink_frames",
            "separate_clocks",
            "capture_frames",  # frames of a capture block, on a clock of its own
            "capture_blocks",
            "clock",  # the device's own time in nanoseconds, for freewheel
            "freewheel",
            "network",  # what freewheel waits for, or 0
            "buffered_blocks",  # lateness, in blocks, that the device's own buffer makes up for
            "stop",
            "done",
            "played_frames",
            "blocks",
            "xruns",  # times the clock had to stand still
            "lateness_histogram",
        )
    ]
    + [("capture_ppm", np.float64)],  # how much faster the capture clock runs
    align=True,
)
_STOP = offset_of(DEVICE, "stop")
#: Where the time lies that the device shows to its callbacks.
CLOCK_OFFSET = offset_of(DEVICE, "clock")
_DONE = offset_of(DEVICE, "done")
_PLAYED = offset_of(DEVICE, "played_frames")
_NEXT_END = offset_of(NETWORK, "next_end")

_FREEWHEEL_POLL_NS = 20_000


@njit(**COMPILE)
def _capture(device, first, last):  # type: ignore[no-untyped-def]
    """Hand over the frames [first, last) of the source."""
    source = device.silence
    if last <= device.source_frames:
        source = device.source + first * device.capture_bytes
    call_stream_callback(device.capture_callback, source, 0, last - first, 0, 0, device.user)


@njit(**COMPILE)
def _playback(device):  # type: ignore[no-untyped-def]
    target = device.sink + device.played_frames * device.playback_bytes
    call_stream_callback(device.playback_callback, 0, target, device.block_frames, 0, 0, device.user)


@njit(**COMPILE)
def _await_network(device):  # type: ignore[no-untyped-def]
    network = record_at(device.network, NETWORK)
    low = record_at(network.low, RING)
    while load_acquire(network.address + _NEXT_END) <= written(low):
        sleep_until_ns(now_ns() + _FREEWHEEL_POLL_NS)


@njit(**COMPILE)
def _capture_due_ns(device):  # type: ignore[no-untyped-def]
    """When the next block of a capture device on its own clock is full, counted from the start."""
    frames = (device.capture_blocks + 1) * device.capture_frames
    return int(1e9 * frames / (device.capture_rate_hz * (1.0 + 1e-6 * device.capture_ppm)))


@cfunc(types.int64(types.int64), **COMPILE)
def device_thread(address):  # type: ignore[no-untyped-def]
    """Body of the device's thread; ends when the sink is full or when told to stop."""
    device = record_at(address, DEVICE)
    lateness = ints_at(device.lateness_histogram, CELLS)
    block = device.block_frames
    # One that was stopped goes on where it was.
    tick = device.blocks
    started_ns = now_ns() - (tick * block * 1_000_000_000) // device.playback_rate_hz
    while load_acquire(address + _STOP) == 0 and device.played_frames + block <= device.sink_frames:
        due_ns = (tick * block * 1_000_000_000) // device.playback_rate_hz
        is_capture = device.separate_clocks != 0 and _capture_due_ns(device) <= due_ns
        if is_capture:
            due_ns = _capture_due_ns(device)
        if device.freewheel == 0:
            sleep_until_ns(started_ns + due_ns)
            late_ns = now_ns() - started_ns - due_ns
            record_duration(lateness, late_ns)
            if late_ns * device.playback_rate_hz > device.buffered_blocks * block * 1_000_000_000:
                device.xruns += 1
                started_ns += late_ns
        store_release(address + CLOCK_OFFSET, started_ns + due_ns)
        if is_capture:
            first = device.capture_blocks * device.capture_frames
            _capture(device, first, first + device.capture_frames)
            device.capture_blocks += 1
        else:
            first = (device.blocks * block * device.capture_rate_hz) // device.playback_rate_hz
            last = ((device.blocks + 1) * block * device.capture_rate_hz) // device.playback_rate_hz
            if device.separate_clocks == 0 and device.capture_callback != 0 and last > first:
                _capture(device, first, last)
            if device.playback_callback != 0:
                _playback(device)
            device.blocks += 1
            tick += 1
            store_release(address + _PLAYED, device.played_frames + block)
        if device.freewheel != 0 and device.network != 0:
            _await_network(device)
    store_release(address + _DONE, 1)
    return 0
