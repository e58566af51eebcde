"""What is sent through the host in a run with faults: a voice from a telephone, without its pauses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from realtime.kernel import upsample
from realtime.paths import VOICE_CLIP

RATE_HZ = 48_000

#: The narrowest voice there is: what it is made of ends below where clicks are looked for.
TELEPHONE_HZ = 8_000

_PEAK = 0.35  # normal speech; the limiter is not what is tested
_PIECE = RATE_HZ // 20
_PAUSE_DBFS = -50.0


@lru_cache(maxsize=1)
def _speech() -> NDArray[np.float32]:
    """The clip that ships, at 8 kHz; pauses cut out, as nothing can be heard, nor aligned, in them."""
    import soxr

    from realtime.audiofile import read

    voice = read(VOICE_CLIP).samples.mean(axis=0)
    pieces = voice[: len(voice) // _PIECE * _PIECE].reshape(-1, _PIECE)
    loud = np.sqrt((pieces**2).mean(axis=1)) > 10.0 ** (_PAUSE_DBFS / 20.0)
    edges = np.flatnonzero(np.diff(loud.astype(int), prepend=0, append=0)).reshape(-1, 2)
    fade = np.sin(0.5 * np.pi * np.linspace(0.0, 1.0, RATE_HZ // 100)) ** 2
    kept = []
    for first, last in edges:
        piece = pieces[first:last].ravel().copy()
        piece[: len(fade)] *= fade
        piece[-len(fade) :] *= fade[::-1]
        kept.append(piece)
    speech = soxr.resample(np.concatenate(kept), RATE_HZ, TELEPHONE_HZ).astype(np.float32)
    return (_PEAK / np.abs(speech).max() * speech)[: len(speech) // 64 * 64]


def telephone_voice(seconds: float | None = None) -> NDArray[np.float32]:
    """Speech [1, n] at 8 kHz for *seconds*, said again as often as needed; by default once (some 4.5 s)."""
    speech = _speech()
    frames = len(speech) if seconds is None else round(seconds * TELEPHONE_HZ)
    return np.resize(speech, frames)[None]


def at_48_khz(voice: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same [1, 6 n] with the host's own resampler's kernel, and no delay."""
    return upsample(voice, TELEPHONE_HZ)
