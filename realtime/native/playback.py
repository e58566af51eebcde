"""From the rings to the playback device: the delayed low band plus the network's signal, while it is there.

The low band never waits for the network. Where the network's signal is missing, it is predicted from its last samples
and fades (see :mod:`.continuation`), so that it ends without an edge and without having been held back for the
purpose; it fades in again after it has been there for a while. The same is done for the low band when a capture
device on another clock falls short, for both when the delay changes, and when another network takes over.
"""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from . import COMPILE
from .continuation import FADE_SAMPLES, HISTORY_SAMPLES, predict
from .drift import (
    DRIFT,
    PROGRESS,
    RATE_HZ,
    WRONG_SECONDS,
    anchor_error,
    captured_by_now,
    forget_error,
    read_progress,
    steer,
)
from .limiter import LIMITER, LIMITER_BYTES, limit
from .memory import floats_at, load_acquire, offset_of, record_at, store_release
from .network import CHANGED_OFFSET, NETWORK, SETTLED_OFFSET, network_index
from .ramp import RAMP, next_gain, smooth_step
from .resampler import RESAMPLER, needed, push, resample
from .ring import RING, read, write, written

#: Device frames handled at a time; larger device blocks are cut up.
STRIDE_FRAMES = 512

#: A starved playback this far ahead of capture will not be helped by steering: samples were lost.
_LOST_SAMPLES = 48

PLAYBACK = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "low",
            "mix",  # ring of what is played, for recorders and meters
            "source",  # network to hear, or 0; written by the engine thread once it runs
            "network",  # the one that is heard
            "lanes",
            "channels",
            "resampler",  # or 0 when the device runs at 48 kHz
            "dry",  # float32 [lanes, capacity]
            "wet",  # float32 [lanes, capacity]
            "device",  # float32 [lanes, STRIDE_FRAMES]
            "capacity",
            "dry_history",  # float32 [lanes, HISTORY_SAMPLES]
            "wet_history",
            "history_position",
            "dry_ending",  # float32 [lanes, FADE_SAMPLES]: how it went on that broke off, and is heard as its tail
            "wet_ending",
            "work",  # of predictions
            "drift",  # what keeps two clocks together, or 0 where there is one
            "progress",  # of capture, for that
            "delay",  # samples to have between capture and playback, on two clocks
            "delay_asked",  # samples between the rings' newest and the cursor, as the control plane wants it,
            "delay_set",  # and as it is
            "max_excess",  # samples beyond the delay that are left to steering
            "starved",  # 1: the low band has run out
            "first",  # low-band position at which the present devices began
            "cursor",  # low-band position of the next sample to play
            "enabled",  # 0: bypass
            "expected",  # 1: without a network what is played counts as dull
            "gain",  # ramp of what is played
            "duck",  # ramp of what has gone through the limiter, against feedback
            "level",  # ramp of the high band
            "limiters",  # one for each lane
            "good_run",
            "wet_tail",  # samples left of a tail
            "dry_tail",
            "blocks",
            "device_frames",
            "played_samples",
            "dull_samples",  # played without the network though it was wanted
            "dropouts",  # times the network's signal was missing
            "underruns",  # times the low band was missing
            "resyncs",  # times the delay had to be set anew
            "device_flags",
        )
    ]
    + [(name, np.float64) for name in ("wet_gain", "wet_tail_room", "dry_gain")],
    align=True,
)
#: Where playback's place in the low band lies in the record, and its next and its present network.
CURSOR_OFFSET = offset_of(PLAYBACK, "cursor")
SOURCE_OFFSET = offset_of(PLAYBACK, "source")
HEARD_OFFSET = offset_of(PLAYBACK, "network")
_DELAY_ASKED = offset_of(PLAYBACK, "delay_asked")


@njit(**COMPILE)
def _fetch(playback, count):  # type: ignore[no-untyped-def]
    """Read both signals from the rings.

    Gives how many samples of each were there, how many of the network's are not settled yet, and how many are not to
    be heard because of a change that was asked for.
    """
    low = record_at(playback.low, RING)
    dry = floats_at(playback.dry, (playback.lanes, playback.capacity))
    have_dry = max(min(count, written(low) - playback.cursor), 0)
    read(low, playback.cursor, dry, have_dry)
    have_wet = 0
    unsettled = 0
    changing = 0
    if playback.network != 0:
        network = record_at(playback.network, NETWORK)
        high = record_at(network.high, RING)
        wet = floats_at(playback.wet, (playback.lanes, playback.capacity))
        index = network_index(network, playback.cursor)
        have_wet = max(min(count, written(high) - index), 0)
        read(high, index, wet, have_wet)
        unsettled = load_acquire(network.address + SETTLED_OFFSET) - index
        changing = load_acquire(network.address + CHANGED_OFFSET) - index
    return have_dry, have_wet, unsettled, changing


@njit(**COMPILE)
def _end(playback, history, ending):  # type: ignore[no-untyped-def]
    """Find how the signal in *history* goes on and ends."""
    past = floats_at(history, (playback.lanes, HISTORY_SAMPLES))
    tail = floats_at(ending, (playback.lanes, FADE_SAMPLES))
    for lane in range(playback.lanes):
        predict(past, lane, playback.history_position, tail, playback.work)


@njit(**COMPILE)
def _break_dry(playback):  # type: ignore[no-untyped-def]
    """The low band breaks off here: what was heard of it, a tail included, goes on as a tail."""
    playback.dry_tail = FADE_SAMPLES
    _end(playback, playback.dry_history, playback.dry_ending)
    playback.dry_gain = 0.0


@njit(**COMPILE)
def _break_wet(playback):  # type: ignore[no-untyped-def]
    """The same for the network's signal, and for the room that it takes from the low band."""
    left = playback.wet_tail_room * smooth_step(playback.wet_tail / FADE_SAMPLES)
    if playback.network != 0 and record_at(playback.network, NETWORK).replace != 0:
        left += smooth_step(playback.wet_gain)
    playback.wet_tail_room = left
    playback.wet_tail = FADE_SAMPLES
    _end(playback, playback.wet_history, playback.wet_ending)
    playback.wet_gain = 0.0


@njit(**COMPILE)
def _gains(playback, dry_there, wet_there, settled, right, recover_samples):  # type: ignore[no-untyped-def]
    """Move both gains on by one sample."""
    step = 1.0 / FADE_SAMPLES
    if not wet_there:
        if playback.wet_gain > 0.0:
            _break_wet(playback)
            playback.dropouts += 1
        playback.good_run = 0
    else:
        if settled and right:
            playback.good_run += 1
        else:
            # It is there and whole, only not what it should be: faded, not broken off.
            if not settled and playback.good_run > recover_samples:
                playback.dropouts += 1
            playback.good_run = 0
        wanted = playback.enabled != 0 and playback.good_run > recover_samples
        change = step if wanted else -step
        playback.wet_gain = min(max(playback.wet_gain + change, 0.0), 1.0)
    if not dry_there:
        if playback.dry_gain > 0.0:
            _break_dry(playback)
    else:
        playback.dry_gain = min(playback.dry_gain + step, 1.0)


@njit(**COMPILE)
def _mix(playback, count):  # type: ignore[no-untyped-def]
    """Put the next *count* samples (48 kHz) into ``playback.dry``, and into the ring for observers."""
    have_dry, have_wet, unsettled, changing = _fetch(playback, count)
    lanes = playback.lanes
    dry = floats_at(playback.dry, (lanes, playback.capacity))
    wet = floats_at(playback.wet, (lanes, playback.capacity))
    dry_history = floats_at(playback.dry_history, (lanes, HISTORY_SAMPLES))
    wet_history = floats_at(playback.wet_history, (lanes, HISTORY_SAMPLES))
    dry_ending = floats_at(playback.dry_ending, (lanes, FADE_SAMPLES))
    wet_ending = floats_at(playback.wet_ending, (lanes, FADE_SAMPLES))
    gain_ramp = record_at(playback.gain, RAMP)
    level_ramp = record_at(playback.level, RAMP)
    duck_ramp = record_at(playback.duck, RAMP)
    replace = False
    recover_samples = 0
    if playback.network != 0:
        replace = record_at(playback.network, NETWORK).replace != 0
        recover_samples = record_at(playback.network, NETWORK).recover_samples
    dull = playback.enabled != 0 and playback.expected != 0
    if have_dry < count and written(record_at(playback.low, RING)) > playback.first:  # until then capture has not begun
        playback.underruns += 1
    for i in range(count):
        _gains(playback, i < have_dry, i < have_wet, i >= unsettled, i >= changing, recover_samples)
        dry_gain = np.float32(smooth_step(playback.dry_gain))
        wet_gain = np.float32(smooth_step(playback.wet_gain))
        room = 1.0 - playback.wet_tail_room * smooth_step(playback.wet_tail / FADE_SAMPLES)
        if replace:
            room -= wet_gain
        room = np.float32(max(room, 0.0))
        newest = playback.history_position
        gain = np.float32(next_gain(gain_ramp))
        level = np.float32(next_gain(level_ramp))
        duck = np.float32(next_gain(duck_ramp))
        for lane in range(lanes):
            straight = np.float32(0.0)
            shaped = np.float32(0.0)
            if i < have_dry:
                straight = dry_gain * dry[lane, i]
            if i < have_wet:
                shaped = level * wet_gain * wet[lane, i]
            if playback.dry_tail > 0:
                straight += dry_ending[lane, FADE_SAMPLES - playback.dry_tail]
            if playback.wet_tail > 0:
                shaped += wet_ending[lane, FADE_SAMPLES - playback.wet_tail]
            dry_history[lane, newest] = straight
            wet_history[lane, newest] = shaped
            limiter = record_at(playback.limiters + LIMITER_BYTES * lane, LIMITER)
            if replace:
                dry[lane, i] = duck * limit(limiter, gain * (room * straight + shaped), np.float32(0.0))
            else:
                dry[lane, i] = duck * limit(limiter, gain * (room * straight), gain * shaped)
        playback.history_position = (newest + 1) % HISTORY_SAMPLES
        playback.dry_tail = max(playback.dry_tail - 1, 0)
        playback.wet_tail = max(playback.wet_tail - 1, 0)
        if dull and playback.wet_gain < 1.0:
            playback.dull_samples += 1
    store_release(playback.address + CURSOR_OFFSET, playback.cursor + count)
    playback.played_samples += count
    write(record_at(playback.mix, RING), dry, count)


@njit(**COMPILE)
def _jump(playback, cursor):  # type: ignore[no-untyped-def]
    """Go on playing from *cursor*: what was playing ends while what comes fades in."""
    playback.cursor = cursor
    _break_dry(playback)
    if playback.wet_gain > 0.0:
        _break_wet(playback)


@njit(**COMPILE)
def _follow_control(playback):  # type: ignore[no-untyped-def]
    """Take another delay, and then another network, where they have been asked for since the last block."""
    # Read before the delay, which was asked for first: a network that needs it is never taken without it.
    source = load_acquire(playback.address + SOURCE_OFFSET)
    asked = load_acquire(playback.address + _DELAY_ASKED)
    if asked != playback.delay_set:
        move = asked - playback.delay_set
        playback.delay_set = asked
        playback.delay += move
        _jump(playback, playback.cursor - move)
    if source != playback.network:
        if playback.wet_gain > 0.0:
            _break_wet(playback)
        store_release(playback.address + HEARD_OFFSET, source)
        # It comes warmed up, and is heard as soon as it is there.
        if source != 0:
            playback.good_run = record_at(source, NETWORK).recover_samples


@njit(**COMPILE)
def _keep_clocks(playback, count, time_ns, seconds):  # type: ignore[no-untyped-def]
    """Steer the resampler for a block of *seconds*; set the delay anew, by a crossfade, where that is too slow."""
    drift = record_at(playback.drift, DRIFT)
    sequence, at_ns, frames = read_progress(record_at(playback.progress, PROGRESS))
    if sequence == 0:
        return
    fresh = sequence != drift.sequence
    begun = drift.sequence == 0
    drift.sequence = sequence
    resampler = record_at(playback.resampler, RESAMPLER)
    position = playback.cursor - resampler.filled + resampler.centre + resampler.fraction
    error = captured_by_now(drift, time_ns, at_ns, frames) - position - playback.delay
    if begun:
        playback.cursor += round(error)
        return
    if written(record_at(playback.low, RING)) - playback.cursor < count:
        playback.starved = 1
    # While capture is silent nothing is repeated to fill the gap: the voice fades out, and in again when it is back.
    lost = playback.starved != 0 and fresh and error < -_LOST_SAMPLES
    wrong = anchor_error(drift)
    far = abs(error) > playback.max_excess and playback.starved == 0
    drift.wrong_seconds = drift.wrong_seconds + seconds if far else 0.0
    if lost or drift.wrong_seconds > WRONG_SECONDS:
        wrong = error
    if wrong != 0.0:
        playback.resyncs += 1
        playback.starved = 0
        _jump(playback, playback.cursor + round(wrong))
        forget_error(drift)
    elif playback.starved == 0 or error > -_LOST_SAMPLES:
        playback.starved = 0
        resampler.ppm = steer(drift, error, seconds)


@njit(**COMPILE)
def _interleave(playback, block, target, first, frames):  # type: ignore[no-untyped-def]
    channels = playback.channels
    for i in range(frames):
        for c in range(channels):
            target[(first + i) * channels + c] = block[c % playback.lanes, i]


@njit(**COMPILE)
def playback_block(playback, samples, frames, time_ns):  # type: ignore[no-untyped-def]
    """Fill *frames* interleaved device frames, asked for at *time_ns*.

    *samples* is a CPointer(float32) of frames * channels.
    """
    target = carray(samples, frames * playback.channels)
    dry = floats_at(playback.dry, (playback.lanes, playback.capacity))
    first = 0
    while first < frames:
        count = min(STRIDE_FRAMES, frames - first)
        _follow_control(playback)
        if playback.drift != 0:
            seconds = count * record_at(playback.resampler, RESAMPLER).nominal_step / RATE_HZ
            # The rest of a device block is asked for now, too, but due later.
            due_ns = time_ns + int(1e9 * seconds / count * first)
            _keep_clocks(playback, needed(record_at(playback.resampler, RESAMPLER), count), due_ns, seconds)
        if playback.resampler == 0:
            _mix(playback, count)
            _interleave(playback, dry, target, first, count)
        else:
            resampler = record_at(playback.resampler, RESAMPLER)
            device = floats_at(playback.device, (playback.lanes, STRIDE_FRAMES))
            source = needed(resampler, count)
            _mix(playback, source)
            push(resampler, dry, 0, source)
            resample(resampler, device, count)
            _interleave(playback, device, target, first, count)
        first += count
    playback.blocks += 1
    playback.device_frames += frames
