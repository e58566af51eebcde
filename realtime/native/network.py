"""The network's part of the data plane: chunk, infer, overlap-add, one hop at a time.

It reads the low band from its ring and writes the network's signal to another ring. Both are counted in
samples of one timeline: low-band position n and ring index ``n + latency - hop`` (:func:`network_index`)
belong together, whatever the model's windows are.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc, njit, types

from . import COMPILE, COMPILE_NOGIL
from .histogram import CELLS, record_duration
from .memory import (
    call_release,
    call_run,
    floats_at,
    flush_denormals,
    ints_at,
    load_acquire,
    offset_of,
    record_at,
)
from .ring import RING, read, write, written
from .system import now_ns, semaphore_wait

NETWORK = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "low",  # ring of the low band
            "high",  # ring of the network's signal
            "lanes",
            "hop",
            "input_samples",
            "output_samples",
            "latency",
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
            "states",  # [state_count, 2]: address and floats of each, both sides
            "state_count",
            "parity",
            "next_end",  # low-band position after the next hop's chunk
            "arrival",  # address of the time at which the newest low band came, or 0
            "playback_index",  # address of playback's place in the high ring, or 0
            "semaphore",
            "stop",
            "hops",
            "deadline_misses",
            "longest_miss_run",
            "miss_run",
            "least_margin",  # samples between a hop's being done and its being asked for; reset by the control plane
            "bad_chunks",
            "failed_runs",
            "skipped_hops",
            "compute_histogram",
            "response_histogram",
        )
    ],
    align=True,
)
_STOP = offset_of(NETWORK, "stop")

#: What ``least_margin`` is reset to: no hop has been seen since.
NO_MARGIN = 1 << 40

# A high band of +24 dBFS is a network gone astray, as much as NaN is.
_SANE_PEAK = 16.0


@njit(**COMPILE)
def network_index(network, low_position):  # type: ignore[no-untyped-def]
    """Where the network's signal for *low_position* lies in its ring."""
    return low_position + network.latency - network.hop


@njit(**COMPILE)
def _forget(network):  # type: ignore[no-untyped-def]
    table = ints_at(network.states, (network.state_count, 2))
    for k in range(network.state_count):
        state = floats_at(table[k, 0], table[k, 1])
        for i in range(table[k, 1]):
            state[i] = 0.0


@njit(**COMPILE)
def _infer(network, output):  # type: ignore[no-untyped-def]
    """Run the model once. False, and its states forgotten, when it failed or gave no usable audio."""
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
    network.parity = 1 - network.parity
    if status != 0:
        call_release(network.release, status)
        network.failed_runs += 1
        _forget(network)
        return False
    for lane in range(network.lanes):
        for i in range(network.output_samples):
            # False for NaN too, which a comparison the other way round would let pass.
            if not (abs(output[lane, i]) < _SANE_PEAK):
                network.bad_chunks += 1
                _forget(network)
                return False
    return True


@njit(**COMPILE)
def _count_deadline(network, index):  # type: ignore[no-untyped-def]
    """A hop is late when playback has already asked for its first sample."""
    if network.playback_index == 0:
        return
    margin = index - load_acquire(network.playback_index)
    network.least_margin = min(network.least_margin, margin)
    if margin < 0:
        network.deadline_misses += 1
        network.miss_run += 1
        network.longest_miss_run = max(network.longest_miss_run, network.miss_run)
    else:
        network.miss_run = 0


@njit(**COMPILE)
def _run_hop(network, skip):  # type: ignore[no-untyped-def]
    began_ns = now_ns()
    arrived_ns = load_acquire(network.arrival) if network.arrival != 0 else began_ns
    low = record_at(network.low, RING)
    high = record_at(network.high, RING)
    chunk = floats_at(network.chunk, (network.lanes, network.input_samples))
    output = floats_at(network.output, (network.lanes, network.output_samples))
    overlap = floats_at(network.overlap, (network.lanes, network.output_samples))
    hop = network.hop
    last = network.output_samples - hop
    if skip:
        network.skipped_hops += 1
    else:
        read(low, network.next_end - network.input_samples, chunk, network.input_samples)
    # A chunk that is dropped leaves the tail of the one before it, which its own window fades out.
    if not skip and _infer(network, output):
        for lane in range(network.lanes):
            for i in range(network.output_samples):
                overlap[lane, i] += output[lane, i]
    index = written(high)
    write(high, overlap, hop)
    for lane in range(network.lanes):
        for i in range(last):
            overlap[lane, i] = overlap[lane, hop + i]
        for i in range(last, network.output_samples):
            overlap[lane, i] = 0.0
    _count_deadline(network, index)
    network.hops += 1
    network.next_end += hop  # last: a freewheeling device goes on when it sees this
    if not skip:
        ended_ns = now_ns()
        record_duration(ints_at(network.compute_histogram, CELLS), ended_ns - began_ns)
        record_duration(ints_at(network.response_histogram, CELLS), ended_ns - arrived_ns)


@njit(**COMPILE)
def run_hops(network):  # type: ignore[no-untyped-def]
    """Run every hop whose chunk is complete; after a long stall skip to the newest ones."""
    low = record_at(network.low, RING)
    while written(low) >= network.next_end:
        behind = written(low) - network.next_end
        if behind > network.max_backlog:
            for _ in range(behind // network.hop):
                _run_hop(network, True)
            _forget(network)
        _run_hop(network, False)


@njit(**COMPILE_NOGIL)
def run_hops_at(address):  # type: ignore[no-untyped-def]
    """:func:`run_hops` on the calling thread, for work that is not in real time."""
    run_hops(record_at(address, NETWORK))


@cfunc(types.int64(types.int64), **COMPILE)
def network_thread(address):  # type: ignore[no-untyped-def]
    """Body of the engine thread: wait for audio, run the hops, until told to stop."""
    flush_denormals()
    network = record_at(address, NETWORK)
    while load_acquire(address + _STOP) == 0:
        semaphore_wait(network.semaphore)
        run_hops(network)
    return 0
