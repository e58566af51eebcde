"""The stream callbacks, with PortAudio's signature, that a device calls from its own thread.

Their user data is the address of a :data:`PORT`: the capture and the playback they serve. The simulated
device calls the very same functions.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numba import carray, cfunc, from_dtype, njit, types

from . import COMPILE, COMPILE_NOGIL
from .capture import CAPTURE, capture_block
from .memory import float_pointer, load_acquire, record_at
from .playback import PLAYBACK, playback_block
from .system import now_ns

#: *clock*: address of the time in nanoseconds, for a device that keeps its own; 0: the machine's.
PORT = np.dtype([("capture", np.int64), ("playback", np.int64), ("clock", np.int64)])

_CONTINUE = 0  # paContinue
_INPUT_FLAGS = 0x1 | 0x2  # paInputUnderflow, paInputOverflow
_OUTPUT_FLAGS = 0x4 | 0x8  # paOutputUnderflow, paOutputOverflow

_ulong = types.uint64 if ctypes.sizeof(ctypes.c_ulong) == 8 else types.uint32
SIGNATURE = types.int32(
    types.CPointer(types.float32),
    types.CPointer(types.float32),
    _ulong,
    types.CPointer(types.float64),
    _ulong,
    types.CPointer(from_dtype(PORT)),
)


@njit(**COMPILE)
def _time_ns(port):  # type: ignore[no-untyped-def]
    # The drivers' own timestamps are not used: some leave them at zero, and those of two systems have two origins.
    return load_acquire(port.clock) if port.clock != 0 else now_ns()


@cfunc(SIGNATURE, **COMPILE)
def capture_callback(source, target, frames, time_info, flags, port):  # type: ignore[no-untyped-def]
    """An input stream."""
    record = carray(port, 1)[0]
    capture = record_at(record.capture, CAPTURE)
    if flags & _INPUT_FLAGS:
        capture.device_flags += 1
        capture.broke = 1
    capture_block(capture, source, types.int64(frames), _time_ns(record))
    return types.int32(_CONTINUE)


@cfunc(SIGNATURE, **COMPILE)
def playback_callback(source, target, frames, time_info, flags, port):  # type: ignore[no-untyped-def]
    """An output stream."""
    record = carray(port, 1)[0]
    playback = record_at(record.playback, PLAYBACK)
    if flags & _OUTPUT_FLAGS:
        playback.device_flags += 1
    playback_block(playback, target, types.int64(frames), _time_ns(record))
    return types.int32(_CONTINUE)


@cfunc(SIGNATURE, **COMPILE)
def duplex_callback(source, target, frames, time_info, flags, port):  # type: ignore[no-untyped-def]
    """A stream of both: capture first, so that the low band of this very block can be played."""
    record = carray(port, 1)[0]
    capture = record_at(record.capture, CAPTURE)
    playback = record_at(record.playback, PLAYBACK)
    if flags & _INPUT_FLAGS:
        capture.device_flags += 1
        capture.broke = 1
    if flags & _OUTPUT_FLAGS:
        playback.device_flags += 1
    capture_block(capture, source, types.int64(frames), _time_ns(record))
    playback_block(playback, target, types.int64(frames), _time_ns(record))
    return types.int32(_CONTINUE)


@njit(**COMPILE_NOGIL)
def serve_duplex(port_address, source, target, frames, flags):  # type: ignore[no-untyped-def]
    """:func:`duplex_callback` for a caller in Python: *source* and *target* are flat float32 arrays."""
    port = record_at(port_address, PORT)
    capture = record_at(port.capture, CAPTURE)
    playback = record_at(port.playback, PLAYBACK)
    if flags & _INPUT_FLAGS:
        capture.device_flags += 1
        capture.broke = 1
    if flags & _OUTPUT_FLAGS:
        playback.device_flags += 1
    capture_block(capture, float_pointer(source.ctypes.data), frames, _time_ns(port))
    playback_block(playback, float_pointer(target.ctypes.data), frames, _time_ns(port))
