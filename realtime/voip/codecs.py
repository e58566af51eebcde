"""The codecs of a call, by the names and types that SDP knows them by (RFC 3551, RFC 7587).

G.711 and L16 are tables and byte orders, done here. G.722 is FFmpeg's, through PyAV. Opus is libopus itself: PyAV gives
no access to the copy of the last packet that the next one carries (in-band FEC), nor to discontinuous transmission.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import FullbandError, suggest
from . import g711

Samples = NDArray[np.float32]

#: How hard Opus's encoder tries, of 10. 1 takes 0.11 ms for 20 ms of full-band speech, 5 takes 0.25 and 10 takes 0.33;
#: ViSQOL tells no difference (4.30, 4.31 and 4.31; 0 has 4.23).
DEFAULT_COMPLEXITY = 1


class Encoder(Protocol):
    """Makes payloads of one stream."""

    def encode(self, samples: Samples) -> bytes | None:
        """A payload of *samples* (one packet of them, at the codec's rate); None: nothing need be sent (DTX)."""
        ...


class Decoder(Protocol):
    """Reads payloads of one stream, in order."""

    def length(self, payload: bytes) -> int:
        """Samples in *payload* at the codec's rate; 0 where it is none of this codec's."""
        ...

    def decode(self, payload: bytes) -> Samples:
        """Its samples, as many as :meth:`length` said. Only for payloads that have a length."""
        ...

    def recover(self, following: bytes, samples: int) -> Samples | None:
        """The *samples* lost just before the payload *following*, from what that knows of them; None: nothing."""
        ...


@dataclass(frozen=True)
class Codec:
    """One codec. *rate_hz* is that of its audio, *clock_hz* that of its timestamps (the same but for G.722).

    *payload_type* is the static one, or the one we offer. *rtpmap* and *fmtp* are what SDP says of it.
    """

    name: str
    rate_hz: int
    clock_hz: int
    payload_type: int
    bandwidth_hz: float
    make_encoder: Callable[[int, bool, int], Encoder] = field(repr=False, compare=False)
    make_decoder: Callable[[], Decoder] = field(repr=False, compare=False)
    channels: int = 1
    fmtp: str | None = None

    @property
    def rtpmap(self) -> str:
        """As in ``a=rtpmap:0 PCMU/8000``."""
        return f"{self.name}/{self.clock_hz}" + (f"/{self.channels}" if self.channels > 1 else "")

    def encoder(self, packet_ms: int = 20, dtx: bool = False, complexity: int = DEFAULT_COMPLEXITY) -> Encoder:
        """A fresh one, for packets of *packet_ms*; *dtx*: pauses may be left out; *complexity*, 0 to 10, is of Opus."""
        return self.make_encoder(packet_ms, dtx, complexity)

    def decoder(self) -> Decoder:
        """A fresh one."""
        return self.make_decoder()


class _Table:
    """G.711 both ways, by table."""

    def __init__(self, encode: NDArray[np.uint8], decode: Samples) -> None:
        self._encode, self._decode = encode, decode

    def encode(self, samples: Samples) -> bytes:
        return self._encode[to_int16(samples).view(np.uint16)].tobytes()

    def length(self, payload: bytes) -> int:
        return len(payload)

    def decode(self, payload: bytes) -> Samples:
        return self._decode[np.frombuffer(payload, np.uint8)]

    def recover(self, following: bytes, samples: int) -> None:
        return None


class _Linear:
    """16-bit samples in network byte order (RFC 3551 section 4.5.11)."""

    def encode(self, samples: Samples) -> bytes:
        return to_int16(samples).astype(">i2").tobytes()

    def length(self, payload: bytes) -> int:
        return len(payload) // 2 if len(payload) % 2 == 0 else 0

    def decode(self, payload: bytes) -> Samples:
        return np.frombuffer(payload, ">i2").astype(np.float32) / np.float32(32_768.0)

    def recover(self, following: bytes, samples: int) -> None:
        return None


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Full scale 1 to 16 bits, clipped."""
    scaled: NDArray[np.int16] = np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype(np.int16)
    return scaled


def _table(law: str) -> _Table:
    return _Table(g711.ENCODE[law], g711.DECODE[law])


def _lazily(module: str, name: str) -> Callable[..., Any]:
    """Makes *name* of *module* when first called: PyAV and libopus are heavy, and G.711 needs neither."""

    def make(*given: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(module, __package__), name)(*given)

    return make


PCMU = Codec("PCMU", 8_000, 8_000, 0, 4_000.0, lambda *_: _table("mu"), lambda: _table("mu"))
PCMA = Codec("PCMA", 8_000, 8_000, 8, 4_000.0, lambda *_: _table("a"), lambda: _table("a"))
#: Its clock runs at 8 kHz by a mistake of RFC 1890 that is kept for ever (RFC 3551 section 4.5.2).
G722 = Codec("G722", 16_000, 8_000, 9, 8_000.0, _lazily(".g722", "Encoder"), _lazily(".g722", "Decoder"))
OPUS = Codec(
    "opus",
    48_000,
    48_000,
    111,
    24_000.0,
    _lazily(".opus", "Encoder"),
    _lazily(".opus", "Decoder"),
    channels=2,
    fmtp="useinbandfec=1;minptime=10",
)
L16 = Codec("L16", 48_000, 48_000, 98, 24_000.0, lambda *_: _Linear(), _Linear)
L16_WIDE = Codec("L16", 16_000, 16_000, 97, 8_000.0, lambda *_: _Linear(), _Linear)
L16_NARROW = Codec("L16", 8_000, 8_000, 96, 4_000.0, lambda *_: _Linear(), _Linear)

CODECS = (PCMU, PCMA, G722, OPUS, L16, L16_WIDE, L16_NARROW)


def find_codec(name: str) -> Codec:
    """A codec by what people write: ``PCMU``, ``opus``, ``G.722``, ``L16/16000``."""
    wanted = name.replace(".", "").lower()
    wanted = {"g711u": "pcmu", "g711a": "pcma", "ulaw": "pcmu", "alaw": "pcma"}.get(wanted, wanted)
    for codec in CODECS:
        if wanted in (codec.name.lower(), codec.rtpmap.lower(), f"{codec.name}/{codec.clock_hz}".lower()):
            return codec
    known = [codec.name for codec in (PCMU, PCMA, G722, OPUS)] + ["L16/8000", "L16/16000", "L16/48000"]
    raise FullbandError(f"no codec named '{name}'; {suggest(name, known)}", exit_status=2)


def check_codec(name: str) -> None:
    """ValueError, which settings are refused by, where there is no codec *name*."""
    try:
        find_codec(name)
    except FullbandError as error:
        raise ValueError(str(error)) from None


def codec_of(name: str, clock_hz: int) -> Codec | None:
    """The codec of an ``a=rtpmap`` line; None where we have none such."""
    return next((c for c in CODECS if c.name.lower() == name.lower() and c.clock_hz == clock_hz), None)
