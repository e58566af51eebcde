"""Speech through the codecs of telephones, headsets and calls: coded, decoded, and put back in line.

FFmpeg's codecs (by PyAV) and libsndfile's GSM do the work; what is done here is what makes their output comparable
with their input: resampling, padding, and the removal of a delay that is measured, not looked up.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.errors import FullbandError, suggest

from .filters import SAMPLE_RATE_HZ, Samples

#: The probe that measures a codec's delay: long enough for a clear peak, short enough to cost nothing.
_PROBE_SECONDS = 1.0
_PROBE_HZ = (300.0, 3_000.0)

#: Silence before the signal, as a decoder that makes up for its delay may cut off too much (libopus does, by 4), and
#: after it, so that none of it stays inside: no speech codec delays by more than these.
_LEAD_SAMPLES = 960
_TAIL_SAMPLES = 4_800


@dataclass(frozen=True)
class Codec:
    """One codec at one bit rate. *bandwidth_hz* is where speech that went through it really ends.

    It was measured on 16 clean recordings, as the highest frequency at which the long-term spectrum of what comes out
    is within 10 dB of what went in. *frame_samples* 0: frames of any length.
    """

    title: str
    rate_hz: int
    bandwidth_hz: float
    encoder: str
    decoder: str
    sample_format: str = "s16"
    frame_samples: int = 0
    bit_rate: int | None = None
    options: tuple[tuple[str, str], ...] = ()


def _opus(kbit_s: int, bandwidth_hz: float) -> Codec:
    options = (("application", "voip"), ("frame_duration", "20"))
    title = f"Opus {kbit_s} kb/s"
    return Codec(title, 48_000, bandwidth_hz, "libopus", "libopus", "flt", 960, 1_000 * kbit_s, options)


#: What :func:`through` knows, by name.
CODECS: dict[str, Codec] = {
    "pcmu": Codec("G.711 mu-law", 8_000, 3_800.0, "pcm_mulaw", "pcm_mulaw"),
    "pcma": Codec("G.711 A-law", 8_000, 3_800.0, "pcm_alaw", "pcm_alaw"),
    "g722": Codec("G.722 64 kb/s", 16_000, 7_600.0, "g722", "g722"),
    "gsm": Codec("GSM 06.10 full rate", 8_000, 3_800.0, "GSM610", "GSM610"),
    "amr-nb": Codec("AMR-NB 12.2 kb/s", 8_000, 3_800.0, "libopencore_amrnb", "amrnb", "s16", 160, 12_200),
    "msbc": Codec("mSBC (Bluetooth)", 16_000, 7_600.0, "sbc", "sbc", "s16", 120, None, (("msbc", "1"),)),
    "opus-6k": _opus(6, 4_100.0),
    "opus-8k": _opus(8, 4_100.0),
    "opus-9k": _opus(9, 8_200.0),
    "opus-12k": _opus(12, 8_200.0),
    "opus-16k": _opus(16, 20_000.0),
    "opus-24k": _opus(24, 20_000.0),
}


def through(codec: str, samples: Samples) -> Samples:
    """*samples* [n] at 48 kHz as they are after coding and decoding: as many, and aligned to the sample.

    The same input gives the same output, from any thread. A name that is not in :data:`CODECS` is refused.
    """
    chosen = _find(codec)
    first = _LEAD_SAMPLES + _delay_samples(chosen)
    return _through(chosen, samples)[first : first + len(samples)]


def _find(name: str) -> Codec:
    if name not in CODECS:
        raise FullbandError(f"no codec '{name}'; {suggest(name, CODECS, 'codecs are')}", exit_status=2)
    return CODECS[name]


@cache
def _delay_samples(codec: Codec) -> int:
    """How much later a sound comes out than it went in (negative: sooner), by the peak of the correlation."""
    generator = np.random.default_rng(0)
    count = round(_PROBE_SECONDS * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(generator.standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE_HZ)
    # Falling like speech, so that a codec's model of speech and its bits go where they do with speech.
    spectrum *= (frequency_hz > _PROBE_HZ[0]) * (frequency_hz < _PROBE_HZ[1]) / np.maximum(frequency_hz, 1.0)
    probe = np.fft.irfft(spectrum, count) * np.sin(np.pi * 4.0 * np.arange(count) / SAMPLE_RATE_HZ) ** 2
    probe = (0.5 * probe / np.abs(probe).max()).astype(np.float32)
    heard = _through(codec, probe)
    size = 2 * len(heard)
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(probe, size)))
    return int(np.argmax(correlation[: _LEAD_SAMPLES + _TAIL_SAMPLES])) - _LEAD_SAMPLES


def _through(codec: Codec, samples: Samples) -> Samples:
    """With the codec's delay still in it, after the lead and with room behind."""
    padded = np.pad(np.asarray(samples, np.float32), (_LEAD_SAMPLES, 2 * _TAIL_SAMPLES))
    narrow = soxr.resample(padded, SAMPLE_RATE_HZ, codec.rate_hz)
    if codec.sample_format == "s16":
        narrow = np.round(np.clip(narrow * 32_768.0, -32_768.0, 32_767.0)).astype(np.int16)
    coded: Callable[[Codec, NDArray[Any]], NDArray[Any]] = _sndfile if codec.encoder == "GSM610" else _ffmpeg
    decoded = coded(codec, narrow)
    if decoded.dtype == np.int16:
        decoded = decoded.astype(np.float32) / np.float32(32_768.0)
    wide = soxr.resample(decoded, codec.rate_hz, SAMPLE_RATE_HZ)
    return np.asarray(wide, np.float32)


def _sndfile(codec: Codec, samples: NDArray[Any]) -> NDArray[Any]:
    file = io.BytesIO()
    soundfile.write(file, samples, codec.rate_hz, format="WAV", subtype=codec.encoder)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.asarray(decoded)


def _ffmpeg(codec: Codec, samples: NDArray[Any]) -> NDArray[Any]:
    """Encode and decode at the codec's own rate; PyAV gives up the GIL meanwhile."""
    import av
    from av.audio.codeccontext import AudioCodecContext

    encoder = av.CodecContext.create(codec.encoder, "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate = codec.rate_hz
    encoder.layout = "mono"
    encoder.format = codec.sample_format
    encoder.options = dict(codec.options)
    if codec.bit_rate is not None:
        encoder.bit_rate = codec.bit_rate
    encoder.open()
    decoder = av.CodecContext.create(codec.decoder, "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.sample_rate = codec.rate_hz
    decoder.layout = "mono"
    decoder.extradata = encoder.extradata
    size = codec.frame_samples or len(samples)
    samples = np.pad(samples, (0, -len(samples) % size))
    decoded: list[NDArray[Any]] = []
    for start in range(0, len(samples) + 1, size):
        frame = None  # the end: what is still inside comes out
        if start < len(samples):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + size], codec.sample_format, "mono")
            frame.sample_rate = codec.rate_hz
            frame.pts = start
        for packet in encoder.encode(frame):
            decoded += [out.to_ndarray().reshape(-1) for out in decoder.decode(packet)]
    decoded += [out.to_ndarray().reshape(-1) for out in decoder.decode(None)]
    return np.concatenate(decoded)
