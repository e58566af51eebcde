"""A microphone by itself, recorded for some seconds. Nothing is played, so nothing is in a hurry."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Device, import_sounddevice
from ..errors import FullbandError
from . import library

#: A device that has given nothing for so long gives nothing any more.
_PATIENCE_S = 5.0

#: Where a converter is at its end, and how much of a recording may be there.
_CLIPPED, _MOST_CLIPPED = 0.999, 1e-3


def record(device: Device, seconds: float, heard: Callable[[NDArray[np.float32]], None]) -> NDArray[np.float32]:
    """What *device* hears in the next *seconds*: its first channel [n], at its own rate.

    *heard* is given every block as it comes. Raises :class:`FullbandError` where it cannot be opened, gives nothing,
    or is overdriven: what a clipped voice has above its band is not the microphone's.
    """
    sounddevice = import_sounddevice()
    library.silence()
    blocks: SimpleQueue[NDArray[np.float32]] = SimpleQueue()

    def take(block: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        blocks.put(block[:, 0].copy())

    kept: list[NDArray[np.float32]] = []
    missing = round(seconds * device.default_rate_hz)
    streams: list[Any] = []
    try:
        stream = sounddevice.InputStream(
            device=device.index,
            channels=1,
            samplerate=device.default_rate_hz,
            dtype="float32",
            latency="high",
            callback=take,
        )
        streams.append(stream)
        stream.start()
        while missing > 0:
            kept.append(blocks.get(timeout=_PATIENCE_S)[:missing])
            missing -= len(kept[-1])
            heard(kept[-1])
    except Empty:
        raise FullbandError(f"no sound comes from '{device.label}': see 'fullband doctor'") from None
    except sounddevice.PortAudioError as error:
        reason = str(error).split(" [PaErrorCode")[0]
        raise FullbandError(f"cannot record '{device.label}': {reason}; 'fullband devices' lists others") from None
    finally:
        library.close(streams)
    samples = np.concatenate(kept)
    if np.mean(np.abs(samples) >= _CLIPPED) > _MOST_CLIPPED:
        raise FullbandError(f"the voice overdrives '{device.label}': turn its level down, or speak further away")
    return samples
