"""From the rings to the playback device: the delayed low band plus the network's signal, while it is there.

The low band never waits for the network. Where the network's signal is missing, its last samples run on
backwards and fading, so that it ends without an edge and without having been held back for the purpose; it
fades in again after it has been there for a while. The same is done for the low band when a capture
device on another clock falls short.
"""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from . import COMPILE
from .drift import DRIFT, PROGRESS, RATE_HZ, anchor_error, captured_by_now, forget_error, read_progress, steer
from .memory import floats_at, load_acquire, offset_of, record_at, store_release
from .network import NETWORK, network_index
from .ramp import RAMP, next_gain, smooth_step
from .resampler import RESAMPLER, needed, push, resample
from .ring import RING, read, write, written

#: Device frames handled at a time; larger device blocks are cut up.
STRIDE_FRAMES = 512

#: Length of every fade. Shorter ones are heard as clicks, longer ones as swells.
FADE_SAMPLES = 192

#: A starved playback this far ahead of capture will not be helped by steering: samples were lost.
_LOST_SAMPLES = 48

#: Length of the offset in a tail (see :func:`_tail`): two thirds of a millisecond.
_OFFSET_SAMPLES = 32

PLAYBACK = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "low",
            "high",  # ring of the network's signal, or 0 without a network
            "mix",  # ring of what is played, for recorders and meters
            "network",
            "lanes",
            "channels",
            "replace",  # 1: the network's signal takes the low band's place; 0: it is added
            "resampler",  # or 0 when the device runs at 48 kHz
            "dry",  # float32 [lanes, capacity]
            "wet",  # float32 [lanes, capacity]
            "device",  # float32 [lanes, STRIDE_FRAMES]
            "capacity",
            "dry_history",  # float32 [lanes, FADE_SAMPLES]
            "wet_history",
            "history_position",
            "drift",  # what keeps two clocks together, or 0 where there is one
            "progress",  # of capture, for that
            "delay",  # samples to have between capture and playback, on two clocks
            "moves",  # delay changes asked for so far, and
            "moves_done",  # how many of them are made
            "move_samples",  # what the newest one adds to the delay
            "max_excess",  # samples beyond the delay that are left to steering
            "starved",  # 1: the low band has run out
            "first",  # low-band position at which the present devices began
            "cursor",  # low-band position of the next sample to play
            "index",  # the same in the network's ring
            "enabled",  # 0: bypass
            "gain",  # ramp of what is played
            "recover_samples",
            "good_run",
            "wet_tail",
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
    + [(name, np.float64) for name in ("wet_gain", "wet_tail_gain", "dry_gain")],
    align=True,
)
#: Where playback's place in the network's ring lies in the record.
INDEX_OFFSET = offset_of(PLAYBACK, "index")
_MOVES = offset_of(PLAYBACK, "moves")


@njit(**COMPILE)
def _fetch(playback, count):  # type: ignore[no-untyped-def]
    """Read both signals from the rings; gives how many samples of each were there."""
    low = record_at(playback.low, RING)
    dry = floats_at(playback.dry, (playback.lanes, playback.capacity))
    have_dry = max(min(count, written(low) - playback.cursor), 0)
    read(low, playback.cursor, dry, have_dry)
    have_wet = 0
    if playback.high != 0:
        high = record_at(playback.high, RING)
        wet = floats_at(playback.wet, (playback.lanes, playback.capacity))
        index = network_index(record_at(playback.network, NETWORK), playback.cursor)
        have_wet = max(min(count, written(high) - index), 0)
        read(high, index, wet, have_wet)
    return have_dry, have_wet


@njit(**COMPILE)
def _gains(playback, dry_there, wet_there):  # type: ignore[no-untyped-def]
    """Move both gains and tails on by one sample."""
    step = 1.0 / FADE_SAMPLES
    if not wet_there:
        if playback.wet_gain > 0.0 and playback.wet_tail == 0:
            playback.wet_tail = FADE_SAMPLES
            playback.wet_tail_gain = smooth_step(playback.wet_gain)
            playback.dropouts += 1
        playback.wet_gain = 0.0
        playback.good_run = 0
    else:
        playback.good_run += 1
        wanted = playback.enabled != 0 and playback.good_run > playback.recover_samples
        if playback.wet_tail == 0:
            change = step if wanted else -step
            playback.wet_gain = min(max(playback.wet_gain + change, 0.0), 1.0)
    if not dry_there:
        if playback.dry_gain > 0.0 and playback.dry_tail == 0:
            playback.dry_tail = FADE_SAMPLES
        playback.dry_gain = 0.0
    else:
        playback.dry_gain = min(playback.dry_gain + step, 1.0)


@njit(**COMPILE)
def _tail(history, lane, newest, left):  # type: ignore[no-untyped-def]
    """How a signal goes on that broke off: turned about its last sample, fading.

    *history* is frozen since the break; *newest* has moved on with every sample, hence twice the distance. What
    runs backwards is turned upside down about the last sample, so that value and slope go on; that
    offset itself dies away quickly, before low notes could swing far out.
    """
    since = FADE_SAMPLES - left
    last = history[lane, (newest - 1 - since) % FADE_SAMPLES]
    mirrored = history[lane, (newest - 2 - 2 * since) % FADE_SAMPLES]
    offset = np.float32(smooth_step(max(1.0 - since / _OFFSET_SAMPLES, 0.0)))
    return np.float32(2.0) * last * offset - mirrored * np.float32(smooth_step(left / FADE_SAMPLES))


@njit(**COMPILE)
def _mix(playback, count):  # type: ignore[no-untyped-def]
    """Put the next *count* samples (48 kHz) into ``playback.dry``, and into the ring for observers."""
    have_dry, have_wet = _fetch(playback, count)
    lanes = playback.lanes
    dry = floats_at(playback.dry, (lanes, playback.capacity))
    wet = floats_at(playback.wet, (lanes, playback.capacity))
    dry_history = floats_at(playback.dry_history, (lanes, FADE_SAMPLES))
    wet_history = floats_at(playback.wet_history, (lanes, FADE_SAMPLES))
    gain_ramp = record_at(playback.gain, RAMP)
    if have_dry < count and written(record_at(playback.low, RING)) > playback.first:  # until then capture has not begun
        playback.underruns += 1
    for i in range(count):
        _gains(playback, i < have_dry, i < have_wet)
        dry_gain = np.float32(smooth_step(playback.dry_gain))
        wet_gain = np.float32(smooth_step(playback.wet_gain))
        room = np.float32(1.0)
        if playback.replace != 0:
            tail_gain = playback.wet_tail_gain * smooth_step(playback.wet_tail / FADE_SAMPLES)
            room = np.float32(max(1.0 - wet_gain - tail_gain, 0.0))
        newest = playback.history_position
        gain = np.float32(next_gain(gain_ramp))
        for lane in range(lanes):
            straight = np.float32(0.0)
            shaped = np.float32(0.0)
            if i < have_dry:
                straight = dry_gain * dry[lane, i]
            if i < have_wet:
                shaped = wet_gain * wet[lane, i]
            if playback.dry_tail > 0:
                straight += _tail(dry_history, lane, newest, playback.dry_tail)
            else:
                dry_history[lane, newest] = straight
            if playback.wet_tail > 0:
                shaped += _tail(wet_history, lane, newest, playback.wet_tail)
            else:
                wet_history[lane, newest] = shaped
            dry[lane, i] = gain * (room * straight + shaped)
        playback.history_position = (newest + 1) % FADE_SAMPLES
        playback.dry_tail = max(playback.dry_tail - 1, 0)
        playback.wet_tail = max(playback.wet_tail - 1, 0)
        if playback.enabled != 0 and playback.high != 0 and playback.wet_gain < 1.0:
            playback.dull_samples += 1
    playback.cursor += count
    playback.played_samples += count
    if playback.high != 0:
        index = network_index(record_at(playback.network, NETWORK), playback.cursor)
        store_release(playback.address + INDEX_OFFSET, index)
    write(record_at(playback.mix, RING), dry, count)


@njit(**COMPILE)
def _jump(playback, cursor):  # type: ignore[no-untyped-def]
    """Go on playing from *cursor*: what was playing fades out mirrored while what comes fades in."""
    playback.cursor = cursor
    if playback.dry_tail == 0:
        playback.dry_tail = FADE_SAMPLES
    playback.dry_gain = 0.0
    if playback.wet_gain > 0.0 and playback.wet_tail == 0:
        playback.wet_tail = FADE_SAMPLES
        playback.wet_tail_gain = smooth_step(playback.wet_gain)
    playback.wet_gain = 0.0
    playback.good_run = 0


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
    if lost or (abs(error) > playback.max_excess and playback.starved == 0):
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
        if load_acquire(playback.address + _MOVES) != playback.moves_done:
            playback.moves_done += 1
            playback.delay += playback.move_samples
            _jump(playback, playback.cursor - playback.move_samples)
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
