"""A sound device made of a thread and a clock: it calls the stream callbacks when a real one would.

It plays a recording into the capture callback and keeps what the playback callback gives. Two paces: the
machine's monotonic clock, or *freewheel*, where each block waits for the network instead of the clock, so
that a run is exactly repeatable (the term is JACK's).

It can be made to fail as real ones do: its thread stalls, its capture goes missing. In freewheel a stall
passes in the device's own time, and a network that is to be slow or to stall says until when it is busy.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc, njit, types

from . import COMPILE
from .histogram import CELLS, record_duration
from .memory import call_stream_callback, ints_at, load_acquire, offset_of, record_at, store_release
from .ring import RING, written
from .system import now_ns, sleep_until_ns
from .worker import SERVED_OFFSET, WORKER

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
            "repeat",  # 1: the source begins again after its end, and so does the sink
            "limit_frames",  # to play before it ends
            "separate_clocks",
            "capture_frames",  # frames of a capture block, on a clock of its own
            "capture_blocks",
            "clock",  # the device's own time in nanoseconds, for freewheel
            "freewheel",
            "worker",  # the engine thread that freewheel waits for, or 0
            "captured_ns",  # device time at which the newest block was captured, and
            "busy_until_ns",  # until which the network says that it is at work; for freewheel
            "buffered_blocks",  # lateness, in blocks, that the device's own buffer makes up for
            "stall_at_ns",  # device time from which the thread stalls,
            "stall_ns",  # for so long; 0 again once it has
            "gap_at_ns",  # device time from which capture's blocks go missing,
            "gap_ns",  # for so long
            "burst",  # callbacks that come together, when the last of them is due
            "jitter_ns",  # a callback comes later than it is due by anything up to this,
            "capture_shown_ns",  # and never before the one before it
            "playback_shown_ns",
            "missed",  # 1: a block of capture has gone missing since the last one
            "stop",
            "done",
            "played_frames",
            "blocks",
            "xruns",  # times the clock had to stand still,
            "lost_ns",  # for how long in all,
            "longest_lost_ns",  # and at most
            "lateness_histogram",
        )
    ]
    + [("capture_ppm", np.float64)],  # how much faster the capture clock runs
    align=True,
)
_STOP = offset_of(DEVICE, "stop")
#: Where the time lies that the device shows to its callbacks.
CLOCK_OFFSET = offset_of(DEVICE, "clock")
CAPTURED_OFFSET = offset_of(DEVICE, "captured_ns")
BUSY_OFFSET = offset_of(DEVICE, "busy_until_ns")
_DONE = offset_of(DEVICE, "done")
_PLAYED = offset_of(DEVICE, "played_frames")

_FREEWHEEL_POLL_NS = 20_000

_INPUT_OVERFLOW = 0x2  # paInputOverflow: input was lost before this block


@njit(**COMPILE)
def _capture(device, first, last, due_ns):  # type: ignore[no-untyped-def]
    """Hand over the frames [first, last) of the source, unless they go missing; the next block then says so."""
    if 0 <= due_ns - device.gap_at_ns < device.gap_ns:
        device.missed = 1
        return
    source = device.silence
    if device.repeat != 0:
        source = device.source + first % device.source_frames * device.capture_bytes
    elif last <= device.source_frames:
        source = device.source + first * device.capture_bytes
    flags = _INPUT_OVERFLOW if device.missed != 0 else 0
    device.missed = 0
    call_stream_callback(device.capture_callback, source, 0, last - first, 0, flags, device.user)


@njit(**COMPILE)
def _playback(device):  # type: ignore[no-untyped-def]
    target = device.sink + device.played_frames % device.sink_frames * device.playback_bytes
    call_stream_callback(device.playback_callback, 0, target, device.block_frames, 0, 0, device.user)


@njit(**COMPILE)
def _await_network(device):  # type: ignore[no-untyped-def]
    low = record_at(record_at(device.worker, WORKER).low, RING)
    while load_acquire(device.worker + SERVED_OFFSET) < written(low):
        if load_acquire(device.address + BUSY_OFFSET) > device.clock:
            return
        sleep_until_ns(now_ns() + _FREEWHEEL_POLL_NS)


@njit(**COMPILE)
def _last_of_burst(device, index):  # type: ignore[no-untyped-def]
    """The block that is waited for before the callback of block *index*."""
    burst = max(device.burst, 1)
    return index // burst * burst + burst - 1


@njit(**COMPILE)
def _jitter_ns(device, index, stream):  # type: ignore[no-untyped-def]
    """How late the callback of block *index* comes: evenly spread, and the same in every run."""
    x = (2 * index + stream) * 2_654_435_761 & 0xFFFF_FFFF
    x = (x ^ x >> 15) * 2_246_822_519 & 0xFFFF_FFFF
    x = (x ^ x >> 13) * 3_266_489_917 & 0xFFFF_FFFF
    return (x ^ x >> 16) * device.jitter_ns >> 32


@njit(**COMPILE)
def _capture_due_ns(device):  # type: ignore[no-untyped-def]
    """When the next block of a capture device on its own clock is handed over, counted from the start."""
    frames = (_last_of_burst(device, device.capture_blocks) + 1) * device.capture_frames
    full_ns = int(1e9 * frames / (device.capture_rate_hz * (1.0 + 1e-6 * device.capture_ppm)))
    return max(full_ns + _jitter_ns(device, device.capture_blocks, 0), device.capture_shown_ns)


@njit(**COMPILE)
def _playback_due_ns(device):  # type: ignore[no-untyped-def]
    """When the next block of playback is asked for."""
    frames = _last_of_burst(device, device.blocks) * device.block_frames
    due_ns = (frames * 1_000_000_000) // device.playback_rate_hz
    return max(due_ns + _jitter_ns(device, device.blocks, 1), device.playback_shown_ns)


@njit(**COMPILE)
def _wait_until(device, time_ns):  # type: ignore[no-untyped-def]
    """Let *time_ns* come; gives the time it then is."""
    if device.freewheel != 0:
        return max(device.clock, time_ns)
    sleep_until_ns(time_ns)
    return now_ns()


@cfunc(types.int64(types.int64), **COMPILE)
def device_thread(address):  # type: ignore[no-untyped-def]
    """Body of the device's thread; ends when all is played or when told to stop."""
    device = record_at(address, DEVICE)
    lateness = ints_at(device.lateness_histogram, CELLS)
    block = device.block_frames
    # One that was stopped goes on where it was.
    started_ns = max(now_ns(), device.clock) - (device.blocks * block * 1_000_000_000) // device.playback_rate_hz
    while load_acquire(address + _STOP) == 0 and device.played_frames + block <= device.limit_frames:
        due_ns = _playback_due_ns(device)
        is_capture = device.separate_clocks != 0 and _capture_due_ns(device) <= due_ns
        if is_capture:
            due_ns = _capture_due_ns(device)
            device.capture_shown_ns = due_ns
        else:
            device.playback_shown_ns = due_ns
        time_ns = _wait_until(device, started_ns + due_ns)
        if device.stall_ns > 0 and due_ns >= device.stall_at_ns:
            store_release(address + CLOCK_OFFSET, time_ns)
            time_ns = _wait_until(device, time_ns + device.stall_ns)
            device.stall_ns = 0
        late_ns = time_ns - started_ns - due_ns
        if device.freewheel == 0:
            record_duration(lateness, late_ns)
        if late_ns * device.playback_rate_hz > device.buffered_blocks * block * 1_000_000_000:
            device.xruns += 1
            device.lost_ns += late_ns
            device.longest_lost_ns = max(device.longest_lost_ns, late_ns)
            started_ns += late_ns
        store_release(address + CLOCK_OFFSET, time_ns)
        if device.freewheel != 0 and device.worker != 0:
            _await_network(device)  # what was to be done by now is done
            store_release(address + CAPTURED_OFFSET, time_ns)
        if is_capture:
            first = device.capture_blocks * device.capture_frames
            _capture(device, first, first + device.capture_frames, due_ns)
            device.capture_blocks += 1
        else:
            first = (device.blocks * block * device.capture_rate_hz) // device.playback_rate_hz
            last = ((device.blocks + 1) * block * device.capture_rate_hz) // device.playback_rate_hz
            if device.separate_clocks == 0 and device.capture_callback != 0 and last > first:
                _capture(device, first, last, due_ns)
            if device.playback_callback != 0:
                _playback(device)
            device.blocks += 1
            store_release(address + _PLAYED, device.played_frames + block)
        if device.freewheel != 0 and device.worker != 0:
            _await_network(device)
    store_release(address + _DONE, 1)
    return 0
