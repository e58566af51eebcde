"""From the capture device to the low band's ring: mix down, clean, resample to 48 kHz.

Where the device says that it has lost frames, what follows does not fit to what was before: that is continued and
fades out while the new fades in.
"""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from . import COMPILE
from .continuation import FADE_SAMPLES, HISTORY_SAMPLES, predict
from .drift import PROGRESS, publish_progress
from .memory import floats_at, offset_of, record_at, store_release
from .ramp import smooth_step
from .resampler import RESAMPLER, push, resample
from .ring import RING, write
from .system import now_ns, semaphore_post

_LARGEST = np.float32(3.4e38)  # beyond it, and not below it: infinity and NaN

#: Device frames handled at a time; larger device blocks are cut up.
STRIDE_FRAMES = 512

CAPTURE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "low",  # ring of the low band
            "lanes",
            "channels",
            "resampler",  # or 0 when the device runs at 48 kHz
            "frames",  # float32 [lanes, STRIDE_FRAMES]
            "resampled",  # float32 [lanes, resampled_capacity]
            "resampled_capacity",
            "semaphore",  # of the engine thread, or 0
            "progress",
            "arrival_ns",
            "blocks",
            "device_frames",
            "cleaned_samples",
            "device_flags",  # blocks that PortAudio marked with an input over- or underflow
            "fade_frames",  # length of the fade-in of a device that has come back
            "fade_left",
            "broke",  # 1: frames were lost before the next block
            "history",  # float32 [lanes, HISTORY_SAMPLES], a ring of the newest frames
            "history_position",
            "ending",  # float32 [lanes, FADE_SAMPLES]: how the frames before the loss go on
            "work",  # of predictions
            "join_frames",  # length of the crossfade, FADE_SAMPLES at most
            "join_left",
        )
    ],
    align=True,
)
#: Where the time of the newest block lies in the record (CLOCK_MONOTONIC).
ARRIVAL_OFFSET = offset_of(CAPTURE, "arrival_ns")


@njit(**COMPILE)
def _deinterleave(capture, samples, first, frames, block):  # type: ignore[no-untyped-def]
    """Device frames to lanes, as floats; NaN and infinity become silence."""
    channels = capture.channels
    lanes = capture.lanes
    scale = np.float32(1.0 / channels)
    for i in range(frames):
        base = (first + i) * channels
        if lanes == 1:
            total = np.float32(0.0)
            for c in range(channels):
                total += samples[base + c]
            if abs(total) <= _LARGEST:
                block[0, i] = total * scale
            else:
                block[0, i] = 0.0
                capture.cleaned_samples += 1
        else:
            for lane in range(lanes):
                x = samples[base + lane % channels]
                if abs(x) <= _LARGEST:
                    block[lane, i] = x
                else:
                    block[lane, i] = 0.0
                    capture.cleaned_samples += 1


@njit(**COMPILE)
def _fade_in(capture, count, block):  # type: ignore[no-untyped-def]
    """What a device that has come back hears begins anywhere in a sound: without an edge for voice and network."""
    for i in range(min(count, capture.fade_left)):
        gain = np.float32(smooth_step(1.0 - (capture.fade_left - i) / capture.fade_frames))
        for lane in range(capture.lanes):
            block[lane, i] *= gain
    capture.fade_left = max(capture.fade_left - count, 0)


@njit(**COMPILE)
def _join(capture, count, block):  # type: ignore[no-untyped-def]
    """Where frames were lost, let what was before them end while what comes begins."""
    history = floats_at(capture.history, (capture.lanes, HISTORY_SAMPLES))
    ending = floats_at(capture.ending, (capture.lanes, FADE_SAMPLES))
    if capture.broke != 0:
        capture.broke = 0
        capture.join_left = capture.join_frames
        for lane in range(capture.lanes):
            predict(history, lane, capture.history_position, ending, capture.work)
    for i in range(min(count, capture.join_left)):
        place = capture.join_frames - capture.join_left + i
        gain = np.float32(smooth_step(place / capture.join_frames))
        for lane in range(capture.lanes):
            block[lane, i] = gain * block[lane, i] + (np.float32(1.0) - gain) * ending[lane, place]
    capture.join_left = max(capture.join_left - count, 0)
    for i in range(max(count - HISTORY_SAMPLES, 0), count):
        for lane in range(capture.lanes):
            history[lane, capture.history_position] = block[lane, i]
        capture.history_position = (capture.history_position + 1) % HISTORY_SAMPLES


@njit(**COMPILE)
def capture_block(capture, samples, frames, time_ns):  # type: ignore[no-untyped-def]
    """Take *frames* interleaved device frames that came at *time_ns*.

    *samples* is a CPointer(float32) of frames * channels.
    """
    store_release(capture.address + ARRIVAL_OFFSET, now_ns())
    source = carray(samples, frames * capture.channels)
    low = record_at(capture.low, RING)
    block = floats_at(capture.frames, (capture.lanes, STRIDE_FRAMES))
    first = 0
    while first < frames:
        count = min(STRIDE_FRAMES, frames - first)
        _deinterleave(capture, source, first, count, block)
        if capture.fade_left > 0:
            _fade_in(capture, count, block)
        _join(capture, count, block)
        if capture.resampler == 0:
            write(low, block, count)
        else:
            resampler = record_at(capture.resampler, RESAMPLER)
            resampled = floats_at(capture.resampled, (capture.lanes, capture.resampled_capacity))
            push(resampler, block, 0, count)
            write(low, resampled, resample(resampler, resampled, capture.resampled_capacity))
        first += count
    capture.blocks += 1
    capture.device_frames += frames
    publish_progress(record_at(capture.progress, PROGRESS), time_ns, capture.device_frames)
    if capture.semaphore != 0:
        semaphore_post(capture.semaphore)
