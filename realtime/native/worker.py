"""The engine thread: waits for audio, runs the model in use, and takes over another without a gap.

A new model comes to it warmed up on the recent past, with a ring of its own. From then on both run, until playback
has taken the new one, from one block to the next; after that nobody touches the old one any more.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc, njit, types

from . import COMPILE, COMPILE_NOGIL
from .chain import run_steps
from .memory import aligned_zeros, flush_denormals, load_acquire, offset_of, record_at, store_release
from .network import NETWORK, run_hops
from .ring import RING, written
from .system import semaphore_wait

WORKER = np.dtype(
    [
        (name, np.int64)
        for name in (
            "address",
            "low",  # ring of the low band
            "semaphore",
            "stop",
            "wanted",  # network to run, or 0, as the control plane wants it
            "network",  # the one that is run
            "leaving",  # the one that is run as well until playback has let go of it
            "source",  # address of playback's next network
            "heard",  # address of playback's present network
            "cursor",  # address of playback's place in the low band
            "served",  # low-band position up to which all hops are done
            "denormals",  # 1: tested and flushed, 2: tested and not flushed
        )
    ]
    + [("tiny", np.float64), ("product", np.float64)],
    align=True,
)
_STOP = offset_of(WORKER, "stop")
_WANTED = offset_of(WORKER, "wanted")
_NETWORK = offset_of(WORKER, "network")
_LEAVING = offset_of(WORKER, "leaving")
SERVED_OFFSET = offset_of(WORKER, "served")

#: Their product is 1e-310, a denormal: zero where those are flushed.
_TINY = 1e-155

DENORMALS_FLUSHED = 1


@njit(**COMPILE)
def _run(network):  # type: ignore[no-untyped-def]
    """Run all that is complete, of a model or of a chain."""
    if network.chain != 0:
        run_steps(network)
    else:
        run_hops(network)


@njit(**COMPILE)
def serve(worker):  # type: ignore[no-untyped-def]
    """Run all hops that are complete; take over another model where one is wanted."""
    position = written(record_at(worker.low, RING))
    wanted = load_acquire(worker.address + _WANTED)
    if wanted != worker.network and worker.leaving == 0:
        # In this order, so that the control plane, which reads in the same order, cannot miss it between the two.
        store_release(worker.address + _LEAVING, worker.network)
        store_release(worker.address + _NETWORK, wanted)
    if worker.network != 0:
        network = record_at(worker.network, NETWORK)
        # Deadlines are those of the network that is heard.
        network.playback_cursor = worker.cursor if load_acquire(worker.heard) == worker.network else 0
        _run(network)
    store_release(worker.source, worker.network)
    if worker.leaving != 0:
        if load_acquire(worker.heard) == worker.network:
            store_release(worker.address + _LEAVING, 0)
        else:
            leaving = record_at(worker.leaving, NETWORK)
            leaving.playback_cursor = 0
            _run(leaving)
    store_release(worker.address + SERVED_OFFSET, position)


@njit(**COMPILE_NOGIL)
def serve_at(address):  # type: ignore[no-untyped-def]
    """:func:`serve` on the calling thread, for work that is not in real time."""
    serve(record_at(address, WORKER))


@cfunc(types.int64(types.int64), **COMPILE)
def worker_thread(address):  # type: ignore[no-untyped-def]
    """Body of the engine thread: wait for audio, run the hops, until told to stop."""
    flush_denormals()
    worker = record_at(address, WORKER)
    worker.product = worker.tiny * worker.tiny
    worker.denormals = 1 if worker.product == 0.0 else 2
    while load_acquire(address + _STOP) == 0:
        semaphore_wait(worker.semaphore)
        serve(worker)
    return 0


class Worker:
    """The memory of the engine thread. *source*, *heard* and *cursor* are addresses in playback's record."""

    def __init__(self, low: int, semaphore: int, source: int, heard: int, cursor: int) -> None:
        self._record = aligned_zeros(1, WORKER)
        self.record = self._record[0]
        self.address = int(self._record.ctypes.data)
        self.record["address"] = self.address
        self.record["low"] = low
        self.record["semaphore"] = semaphore
        self.record["source"] = source
        self.record["heard"] = heard
        self.record["cursor"] = cursor
        self.record["tiny"] = _TINY
