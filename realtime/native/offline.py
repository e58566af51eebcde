"""The data plane driven as fast as it goes, for files: the same three steps, one after the other."""

from __future__ import annotations

from numba import njit

from . import COMPILE_NOGIL
from .callbacks import PORT
from .capture import CAPTURE, capture_block
from .memory import float_pointer, record_at
from .playback import PLAYBACK, playback_block
from .worker import WORKER, serve


@njit(**COMPILE_NOGIL)
def run_blocks(port_address, worker_address, source, capture_frames, sink, block_frames):  # type: ignore[no-untyped-def]
    """Capture and play ``len(capture_frames)`` blocks.

    *source* holds interleaved device frames of all blocks, ``capture_frames[k]`` of them for block k; *sink*
    takes *block_frames* of playback for each. Both are flat float32 arrays.
    """
    port = record_at(port_address, PORT)
    capture = record_at(port.capture, CAPTURE)
    playback = record_at(port.playback, PLAYBACK)
    taken = 0
    for k in range(capture_frames.shape[0]):
        frames = capture_frames[k]
        if frames > 0:
            capture_block(capture, float_pointer(source.ctypes.data + 4 * taken * capture.channels), frames, 0)
        serve(record_at(worker_address, WORKER))
        target = sink.ctypes.data + 4 * k * block_frames * playback.channels
        playback_block(playback, float_pointer(target), block_frames, 0)
        taken += frames
