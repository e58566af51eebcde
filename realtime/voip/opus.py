"""Opus by libopus itself (RFC 6716, RFC 7587): with the lost packet that the next one carries, and with DTX.

The library is the one that PyAV's wheel brings, or else the system's. ctypes lets go of the GIL while it works.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FullbandError
from .codecs import DEFAULT_COMPLEXITY

_RATE_HZ = 48_000
_VOIP = 2048
_SET_BITRATE, _SET_BANDWIDTH, _SET_FEC, _SET_LOSS, _SET_DTX, _SET_SIGNAL = 4002, 4008, 4012, 4014, 4016, 4024
_SET_COMPLEXITY = 4010
_FULLBAND, _VOICE = 1105, 3001

#: A packet holds 120 ms at most.
_MOST_SAMPLES = 5_760
_MOST_BYTES = 1_275

#: Full-band speech is transparent at about this rate (Hoene et al., "Summary of Opus listening test results", 2013).
_BITRATE = 48_000
#: What the encoder is told to expect to be lost, in percent: it puts the copies in from a few percent on.
_EXPECTED_LOSS = 10
#: A packet of up to so many bytes says that nothing is sent for a while.
_DTX_BYTES = 2


@lru_cache(maxsize=1)
def _library() -> Any:
    places = []
    av = find_spec("av")
    if av is not None and av.origin is not None:
        places = sorted(str(path) for path in (Path(av.origin).parent.parent / "av.libs").glob("libopus*"))
    for place in [*places, ctypes.util.find_library("opus"), "libopus.so.0"]:
        if place is None:
            continue
        try:
            library = ctypes.CDLL(place)
        except OSError:
            continue
        for name in ("opus_encoder_create", "opus_decoder_create"):
            getattr(library, name).restype = ctypes.c_void_p
        return library
    raise FullbandError("Opus needs libopus: pip install 'fullband[voip]' brings it, as does the package libopus0")


def _check(status: int, what: str) -> int:
    if status < 0:
        raise ValueError(f"{what}: libopus says {status}")
    return status


class Encoder:
    """Full-band speech, with copies of each packet in the next, and DTX where *dtx* is wished; see :mod:`.codecs`."""

    def __init__(self, packet_ms: int = 20, dtx: bool = False, complexity: int = DEFAULT_COMPLEXITY) -> None:
        library = self._library = _library()
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(library.opus_encoder_create(_RATE_HZ, 1, _VOIP, ctypes.byref(error)))
        _check(error.value, "an Opus encoder")
        for request, value in (
            (_SET_BITRATE, _BITRATE),
            (_SET_BANDWIDTH, _FULLBAND),
            (_SET_FEC, 1),
            (_SET_LOSS, _EXPECTED_LOSS),
            (_SET_DTX, int(dtx)),
            (_SET_SIGNAL, _VOICE),
            (_SET_COMPLEXITY, complexity),
        ):
            library.opus_encoder_ctl(self._state, request, ctypes.c_int(value))
        self._out = (ctypes.c_ubyte * _MOST_BYTES)()

    def encode(self, samples: NDArray[np.float32]) -> bytes | None:
        samples = np.ascontiguousarray(samples, np.float32)
        address = ctypes.c_void_p(samples.ctypes.data)
        size = self._library.opus_encode_float(self._state, address, len(samples), self._out, _MOST_BYTES)
        return None if _check(size, "Opus") <= _DTX_BYTES else bytes(self._out[:size])

    def __del__(self) -> None:
        if hasattr(self, "_state"):
            self._library.opus_encoder_destroy(self._state)


class Decoder:
    """Mono, at 48 kHz, whatever was sent."""

    def __init__(self) -> None:
        library = self._library = _library()
        error = ctypes.c_int()
        self._state = ctypes.c_void_p(library.opus_decoder_create(_RATE_HZ, 1, ctypes.byref(error)))
        _check(error.value, "an Opus decoder")
        self._out = np.empty(_MOST_SAMPLES, np.float32)
        self._address = ctypes.c_void_p(self._out.ctypes.data)

    def length(self, payload: bytes) -> int:
        return max(self._library.opus_decoder_get_nb_samples(self._state, payload, len(payload)), 0)

    def _run(self, payload: bytes | None, samples: int, recover: int) -> NDArray[np.float32]:
        size = len(payload) if payload is not None else 0
        count = self._library.opus_decode_float(self._state, payload, size, self._address, samples, recover)
        return self._out[: _check(count, "Opus")].copy()

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        return self._run(payload, _MOST_SAMPLES, 0)

    def recover(self, following: bytes, samples: int) -> NDArray[np.float32] | None:
        # libopus conceals by itself where the copy is missing: it knows better than we do what went before.
        if samples % 120 or not 120 <= samples <= _MOST_SAMPLES:
            return None
        return self._run(following, samples, 1)

    def __del__(self) -> None:
        if hasattr(self, "_state"):
            self._library.opus_decoder_destroy(self._state)
