"""Stages one after the other, run by the engine thread step by step, and heard by playback as one network.

To playback a chain is a network in ``replace`` mode: where it is late or missing, the delayed low band is heard
instead, and it fades in again when it is back. Between the stages there is nothing but blocks of memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from . import COMPILE, COMPILE_NOGIL
from .histogram import CELLS, record_duration
from .memory import floats_at, ints_at, load_acquire, record_at, store_release
from .network import NETWORK, SETTLED_OFFSET, count_deadline
from .ring import RING, read, write, written
from .stage import STAGE, run_stage
from .system import now_ns
from .tally import TALLY

CHAIN = np.dtype(
    [
        (name, np.int64)
        for name in (
            "stages",  # addresses of their records
            "count",
            "block",  # float32 [lanes, hop]: of the low band
            "silence",  # the same, zeros
        )
    ],
    align=True,
)


@njit(**COMPILE)
def _run_step(network):  # type: ignore[no-untyped-def]
    began_ns = now_ns()
    arrived_ns = load_acquire(network.arrival) if network.arrival != 0 else began_ns
    tally = record_at(network.tally, TALLY)
    chain = record_at(network.chain, CHAIN)
    high = record_at(network.high, RING)
    hop = network.hop
    index = written(high)
    source = chain.block
    read(record_at(network.low, RING), network.next_end - hop, floats_at(source, (network.lanes, hop)), hop)
    stages = ints_at(chain.stages, chain.count)
    for k in range(chain.count):
        stage = record_at(stages[k], STAGE)
        faults = stage.faults
        source = run_stage(stage, source, hop)
        tally.bad_chunks += stage.faults - faults
    write(high, floats_at(source, (network.lanes, hop)), hop)
    count_deadline(network, index)
    tally.hops += 1
    network.next_end += hop
    ended_ns = now_ns()
    record_duration(ints_at(tally.compute_histogram, CELLS), ended_ns - began_ns)
    record_duration(ints_at(tally.response_histogram, CELLS), ended_ns - arrived_ns)


@njit(**COMPILE)
def _skip(network, steps):  # type: ignore[no-untyped-def]
    """Leave *steps* out. The stages know nothing of it: what they hold is played out before they are heard again."""
    tally = record_at(network.tally, TALLY)
    high = record_at(network.high, RING)
    silence = floats_at(record_at(network.chain, CHAIN).silence, (network.lanes, network.hop))
    for _ in range(steps):
        index = written(high)
        write(high, silence, network.hop)
        count_deadline(network, index)
    tally.hops += steps
    tally.skipped_hops += steps
    network.next_end += steps * network.hop
    store_release(network.address + SETTLED_OFFSET, written(high) + network.settle_samples)


@njit(**COMPILE)
def run_steps(network):  # type: ignore[no-untyped-def]
    """Run every step whose low band is complete; after a long stall the oldest are left out."""
    low = record_at(network.low, RING)
    while written(low) >= network.next_end:
        behind = written(low) - network.next_end
        if behind > network.max_backlog:
            _skip(network, (behind - network.max_backlog) // network.hop + 1)
        _run_step(network)


@njit(**COMPILE_NOGIL)
def run_steps_at(address, most):  # type: ignore[no-untyped-def]
    """Run *most* complete steps at most, on the calling thread, for work not in real time; gives how many."""
    network = record_at(address, NETWORK)
    low = record_at(network.low, RING)
    done = 0
    while done < most and written(low) >= network.next_end:
        _run_step(network)
        done += 1
    return done
