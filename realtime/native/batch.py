"""Many streams as one batch, a frame of each at a time, for a caller that keeps the time: give, wait, take.

The caller is a thread of Python that lets go of the GIL meanwhile; the network runs on the engine's own thread.
"""

from __future__ import annotations

from numba import njit

from . import COMPILE_NOGIL
from .callbacks import PORT
from .capture import CAPTURE, capture_block
from .memory import float_pointer, load_acquire, record_at
from .playback import PLAYBACK, playback_block
from .ring import RING, written
from .system import now_ns, sleep_until_ns
from .worker import SERVED_OFFSET, WORKER

#: How often it is looked whether the network is done: a hundredth of a hop.
_POLL_NS = 40_000


@njit(**COMPILE_NOGIL)
def give(port_address, source, frames):  # type: ignore[no-untyped-def]
    """Hand over *frames* of every lane, interleaved in the flat float32 array *source*; wakes the network."""
    port = record_at(port_address, PORT)
    capture_block(record_at(port.capture, CAPTURE), float_pointer(source.ctypes.data), frames, now_ns())


@njit(**COMPILE_NOGIL)
def wait_for_any(worker_addresses, until_ns):  # type: ignore[no-untyped-def]
    """Sleep until the network of one of *worker_addresses* (int64 [n]) is done, or until *until_ns* at most."""
    while now_ns() < until_ns:
        for i in range(worker_addresses.shape[0]):
            address = worker_addresses[i]
            if load_acquire(address + SERVED_OFFSET) >= written(record_at(record_at(address, WORKER).low, RING)):
                return
        poll_ns = _POLL_NS if worker_addresses.shape[0] > 0 else until_ns
        sleep_until_ns(min(now_ns() + poll_ns, until_ns))


@njit(**COMPILE_NOGIL)
def take(port_address, worker_address, target, frames, deadline_ns):  # type: ignore[no-untyped-def]
    """Wait for the network until *deadline_ns* and fill *target* with *frames* of every lane; 0 when it was not done.

    The deadline is on CLOCK_MONOTONIC. What the network has not done by then is left out.
    """
    low = record_at(record_at(worker_address, WORKER).low, RING)
    done = 1
    while load_acquire(worker_address + SERVED_OFFSET) < written(low):
        if now_ns() >= deadline_ns:
            done = 0
            break
        sleep_until_ns(min(now_ns() + _POLL_NS, deadline_ns))
    port = record_at(port_address, PORT)
    playback_block(record_at(port.playback, PLAYBACK), float_pointer(target.ctypes.data), frames, now_ns())
    return done
