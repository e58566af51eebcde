"""The network's part of the data plane: chunk, infer, overlap-add, one hop at a time.

It reads the low band from its ring and writes the network's signal to another ring. Both are counted in
samples of one timeline: low-band position n and ring index ``n + latency - hop`` (:func:`network_index`)
belong together, whatever the model's windows are.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from . import COMPILE, COMPILE_NOGIL
from .continuation import FADE_SAMPLES
from .histogram import CELLS, record_duration
from .memory import (
    call_release,
    call_run,
    floats_at,
    ints_at,
    load_acquire,
    offset_of,
    record_at,
    store_release,
)
from .ramp import smooth_step
from .ring import RING, read, write, written
from .steadiness import quieten
from .system import now_ns
from .tally import TALLY

NETWORK = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "low",  # ring of the low band
            "high",  # ring of the network's signal
            "chain",  # of stages that gives this signal, or 0: it is that of a model
            "lanes",
            "hop",
            "input_samples",
            "output_samples",
            "latency",
            "replace",  # 1: the network's signal takes the low band's place; 0: it is added
            "recover_samples",  # that have to be in time before playback fades it in again
            "settle_samples",  # after a fresh start, until its signal is what it would have been without
            "settled_index",  # where that is in its ring
            "changed_index",  # where its signal is right again after a change of the cutoff
            "change_settle_samples",  # what that takes
            "change_left",  # samples to fade out in, until the change takes effect; 0: none is under way
            "cutoff",  # float32 [lanes] that the model reads, or 0 when it takes none
            "max_backlog",  # low-band samples; further behind, hops are skipped
            "run",  # OrtApi.Run
            "release",  # OrtApi.ReleaseStatus
            "session",
            "input_names",
            "inputs",  # OrtValue* [2, input_count], for even and odd hops: the states change sides
            "input_count",
            "output_names",
            "outputs",
            "output_count",
            "chunk",
            "output",
            "overlap",
            "states",  # [state_count, 2]: address and floats of each, first those of even hops, then of odd ones
            "state_count",
            "parity",
            "offset",  # float32 [lanes]: the low band's DC
            "offset_hops",
            "voice",  # float32 [lanes, hop]: the low band of the hop that is being finished
            "held_power",  # float32 [lanes]: of the low band, falling slowly
            "tie_gain",  # float32 [lanes]
            "steady",  # a record for each lane, see :mod:`.steadiness`
            "heard",  # float32 [lanes, PITCH_SAMPLES] for it
            "points",  # float32 likewise
            "steady_after",  # samples of noise alone after which its high band fades
            "next_end",  # low-band position after the next hop's chunk
            "arrival",  # address of the time at which the newest low band came, or 0
            "playback_cursor",  # address of playback's place in the low band while this is heard, or 0
            "tally",
        )
    ]
    + [
        ("cutoff_asked", np.float64),  # as the control plane wants it; written after "tie_asked"
        ("tie_asked", np.float64),
        ("cutoff_set", np.float64),  # and as it is
        ("tie", np.float64),  # amplitude of the high band that is believed, relative to the low band
        ("hold_fall", np.float64),  # what is left of the held power after a hop
    ],
    align=True,
)
SETTLED_OFFSET = offset_of(NETWORK, "settled_index")
CHANGED_OFFSET = offset_of(NETWORK, "changed_index")

# A high band of +24 dBFS is a network gone astray, as much as NaN is.
_SANE_PEAK = 16.0

# Largest finite float, nearly: beyond it, and not below it, are infinity and NaN.
_LARGEST = np.float32(3.4e38)

# The DC of a voice is learnt over a second, and more quickly at first. Below -60 dBFS it is nobody's trouble, and
# the lowest notes of a voice look like it.
_OFFSET_SECONDS = 1.0
_FIRST_OFFSET_HOPS = 64.0
_HARMLESS_OFFSET = np.float32(1e-3)
_RATE_HZ = 48_000

# A cutoff that moves by less needs no fade: the difference is then 20 dB below the high band from the first.
_SMALL_CHANGE = 0.06


@njit(**COMPILE)
def network_index(network, low_position):  # type: ignore[no-untyped-def]
    """Where the network's signal for *low_position* lies in its ring."""
    return low_position + network.latency - network.hop


@njit(**COMPILE)
def _start_afresh(network, index):  # type: ignore[no-untyped-def]
    """Forget all states; what comes from *index* on is to be heard only when it has settled."""
    table = ints_at(network.states, (network.state_count, 2))
    for k in range(network.state_count):
        state = floats_at(table[k, 0], table[k, 1])
        for i in range(table[k, 1]):
            state[i] = 0.0
    store_release(network.address + SETTLED_OFFSET, index + network.settle_samples)


@njit(**COMPILE)
def _is_sound(network, output):  # type: ignore[no-untyped-def]
    """Whether the output is audio, and every state that was made with it finite: such a state never heals."""
    for lane in range(network.lanes):
        for i in range(network.output_samples):
            # False for NaN too, which a comparison the other way round would let pass.
            if not (abs(output[lane, i]) < _SANE_PEAK):
                return False
    count = network.state_count // 2
    table = ints_at(network.states + 16 * count * (1 - network.parity), (count, 2))
    for k in range(count):
        state = floats_at(table[k, 0], table[k, 1])
        for i in range(table[k, 1]):
            if not (abs(state[i]) < _LARGEST):
                return False
    return True


@njit(**COMPILE)
def _infer(network, output):  # type: ignore[no-untyped-def]
    """Run the model once. False when it failed or gave no usable audio."""
    tally = record_at(network.tally, TALLY)
    inputs = network.inputs + 8 * network.parity * network.input_count
    outputs = network.outputs + 8 * network.parity * network.output_count
    status = call_run(
        network.run,
        network.session,
        0,
        network.input_names,
        inputs,
        network.input_count,
        network.output_names,
        network.output_count,
        outputs,
    )
    if status != 0:
        call_release(network.release, status)
        tally.failed_runs += 1
        return False
    if not _is_sound(network, output):
        tally.bad_chunks += 1
        return False
    network.parity = 1 - network.parity
    return True


@njit(**COMPILE)
def _take_offset(network, chunk):  # type: ignore[no-untyped-def]
    """Take the DC from a chunk: a network that is not linear makes other sounds of it. The voice itself keeps it."""
    samples = network.input_samples
    slowness = min(network.offset_hops + _FIRST_OFFSET_HOPS, _OFFSET_SECONDS * _RATE_HZ / network.hop)
    network.offset_hops += 1
    offset = floats_at(network.offset, network.lanes)
    for lane in range(network.lanes):
        total = 0.0
        for i in range(samples):
            total += chunk[lane, i]
        offset[lane] += np.float32((total / samples - offset[lane]) / slowness)
        harm = max(abs(offset[lane]) - _HARMLESS_OFFSET, np.float32(0.0))
        if harm > 0.0:
            taken = np.float32(math.copysign(harm, offset[lane]))
            for i in range(samples):
                chunk[lane, i] -= taken


@njit(**COMPILE)
def _tie(network, finished):  # type: ignore[no-untyped-def]
    """Keep a finished hop of the high band in proportion to the low band of the same time, by a smooth gain.

    Within the proportions of real speech nothing is changed, not by a bit.
    """
    hop = network.hop
    voice = floats_at(network.voice, (network.lanes, hop))
    read(record_at(network.low, RING), network.next_end - network.latency, voice, hop)
    held = floats_at(network.held_power, network.lanes)
    gains = floats_at(network.tie_gain, network.lanes)
    fall = np.float32(network.hold_fall)
    tied = False
    for lane in range(network.lanes):
        low_power = 0.0
        high_power = 0.0
        mean = 0.0
        for i in range(hop):
            mean += voice[lane, i]
            low_power += voice[lane, i] * voice[lane, i]
            high_power += finished[lane, i] * finished[lane, i]
        # A DC is no voice.
        low_power = max((low_power - mean * mean / hop) / hop, 0.0)
        held[lane] = max(held[lane] * fall, np.float32(low_power))
        most = network.tie * network.tie * held[lane]
        old = gains[lane]
        new = np.float32(1.0)
        if high_power > hop * most:
            new = np.float32(math.sqrt(hop * most / high_power))
        gains[lane] = new
        if old < 1.0 or new < 1.0:
            tied = True
            for i in range(hop):
                finished[lane, i] *= old + (new - old) * np.float32(smooth_step(i / hop))
    if tied:
        record_at(network.tally, TALLY).tied_hops += 1


@njit(**COMPILE)
def count_deadline(network, index):  # type: ignore[no-untyped-def]
    """A hop is late when playback has already asked for its first sample."""
    if network.playback_cursor == 0:
        return
    tally = record_at(network.tally, TALLY)
    margin = index - network_index(network, load_acquire(network.playback_cursor))
    tally.least_margin = min(tally.least_margin, margin)
    if margin < 0:
        tally.deadline_misses += 1
        tally.miss_run += 1
        tally.longest_miss_run = max(tally.longest_miss_run, tally.miss_run)
    else:
        tally.miss_run = 0


@njit(**COMPILE)
def _set_cutoff(network):  # type: ignore[no-untyped-def]
    """Let the model have the cutoff that is asked for, from the next chunk on."""
    network.cutoff_set = network.cutoff_asked
    network.tie = network.tie_asked
    if network.cutoff != 0:
        cutoff = floats_at(network.cutoff, network.lanes)
        for lane in range(network.lanes):
            cutoff[lane] = np.float32(network.cutoff_set)


@njit(**COMPILE)
def _follow_cutoff(network, index):  # type: ignore[no-untyped-def]
    """Take another cutoff where one is asked for, but let playback fade out first, and in again when all is settled.

    Playback has played up to *index* at most, or it misses this hop; so its fade ends before what comes of the change.
    """
    if network.change_left > 0:
        network.change_left -= network.hop
        if network.change_left <= 0:
            network.change_left = 0
            _set_cutoff(network)
    elif network.cutoff_asked != network.cutoff_set:
        moved = abs(network.cutoff_asked / network.cutoff_set - 1.0)
        if network.cutoff == 0 or moved <= _SMALL_CHANGE:
            _set_cutoff(network)
        else:
            network.change_left = (FADE_SAMPLES + network.hop - 1) // network.hop * network.hop
            right = index + network.change_left + network.change_settle_samples
            store_release(network.address + CHANGED_OFFSET, right)


@njit(**COMPILE)
def _run_hop(network, skip):  # type: ignore[no-untyped-def]
    began_ns = now_ns()
    arrived_ns = load_acquire(network.arrival) if network.arrival != 0 else began_ns
    tally = record_at(network.tally, TALLY)
    low = record_at(network.low, RING)
    high = record_at(network.high, RING)
    chunk = floats_at(network.chunk, (network.lanes, network.input_samples))
    output = floats_at(network.output, (network.lanes, network.output_samples))
    overlap = floats_at(network.overlap, (network.lanes, network.output_samples))
    hop = network.hop
    last = network.output_samples - hop
    index = written(high)
    _follow_cutoff(network, index)
    if skip:
        tally.skipped_hops += 1
    else:
        read(low, network.next_end - network.input_samples, chunk, network.input_samples)
        if network.replace == 0:
            _take_offset(network, chunk)
        if _infer(network, output):
            for lane in range(network.lanes):
                for i in range(network.output_samples):
                    overlap[lane, i] += output[lane, i]
        else:
            # The tail of the chunk before is faded out by its own window.
            _start_afresh(network, index)
    if network.replace == 0:
        _tie(network, overlap)
        quieten(network, overlap)
    write(high, overlap, hop)
    for lane in range(network.lanes):
        for i in range(last):
            overlap[lane, i] = overlap[lane, hop + i]
        for i in range(last, network.output_samples):
            overlap[lane, i] = 0.0
    count_deadline(network, index)
    tally.hops += 1
    network.next_end += hop
    if not skip:
        ended_ns = now_ns()
        record_duration(ints_at(tally.compute_histogram, CELLS), ended_ns - began_ns)
        record_duration(ints_at(tally.response_histogram, CELLS), ended_ns - arrived_ns)


@njit(**COMPILE)
def run_hops(network):  # type: ignore[no-untyped-def]
    """Run every hop whose chunk is complete.

    After a long stall the oldest are skipped. The network then starts afresh on those that are left, which are late
    too but let it settle before it is heard again: states are never older than the audio that they meet.
    """
    low = record_at(network.low, RING)
    while written(low) >= network.next_end:
        behind = written(low) - network.next_end
        if behind > network.max_backlog:
            for _ in range((behind - network.max_backlog) // network.hop + 1):
                _run_hop(network, True)
            _start_afresh(network, written(record_at(network.high, RING)))
        _run_hop(network, False)


@njit(**COMPILE_NOGIL)
def run_hops_at(address, most):  # type: ignore[no-untyped-def]
    """Run *most* complete hops at most, on the calling thread, for work that is not in real time; gives how many."""
    network = record_at(address, NETWORK)
    low = record_at(network.low, RING)
    done = 0
    while done < most and written(low) >= network.next_end:
        _run_hop(network, False)
        done += 1
    return done
