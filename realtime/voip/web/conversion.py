"""One uploaded recording, converted by the code of ``fullband file``: a program of its own.

It reads what strangers have sent, so it does that where a crash, a bomb or an endless file harms nobody's call; it
works in the folder that it is started in, with limits on time and on what it may write.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ...audiofile import read
from ...commands.file import Job, convert
from ...engine import EngineSettings
from ...errors import FullbandError
from ...kernel import upsample
from ...paths import find_model
from ...settings.live import LiveSettings
from ...wishes import Brightness
from ..codecs import to_int16
from .band import BANDS
from .taps import COLUMN_SAMPLES, as_wav, column

UPLOADED, BEFORE, AFTER, SPECTRUM = Path("recording"), Path("before.wav"), Path("after.wav"), Path("spectrum")

_CPU_SECONDS = 300
_WRITTEN_BYTES = 1 << 30
_MOST_CHANNELS = 8


def run(band: str, model: str, most_seconds: float, brightness: Brightness, pivot_hz: float | None) -> dict[str, Any]:
    """Make :data:`BEFORE`, :data:`AFTER` and :data:`SPECTRUM` of :data:`UPLOADED`; gives the figures.

    Both recordings are mono, at 48 kHz, of one length and aligned. Raises :class:`FullbandError` for what is no audio,
    or too much of it.
    """
    import soxr

    try:
        with soundfile.SoundFile(UPLOADED) as sound:
            seconds, channels = sound.frames / sound.samplerate, sound.channels
    except soundfile.LibsndfileError:
        raise FullbandError("the file cannot be read as audio; wav, flac, ogg and mp3 can") from None
    if seconds > most_seconds:
        raise FullbandError(f"the recording is {seconds:.0f} s long; {most_seconds:g} s are taken")
    if channels > _MOST_CHANNELS:
        raise FullbandError(f"the recording has {channels} channels; {_MOST_CHANNELS} are taken")
    audio = read(UPLOADED)
    samples, rate_hz = audio.samples.mean(axis=0), audio.rate_hz
    cutoff_hz = BANDS[band].cutoff_hz
    if cutoff_hz is not None and rate_hz > 2 * cutoff_hz:
        rate_hz = int(2 * cutoff_hz)
        samples = soxr.resample(samples, audio.rate_hz, rate_hz)
    limited = Path("limited.wav")
    soundfile.write(limited, np.clip(samples, -1.0, 1.0), rate_hz, subtype="FLOAT")
    live = LiveSettings(high_level_db=brightness.level_db, high_tilt_db=brightness.tilt_db, high_pivot_hz=pivot_hz)
    figures = convert(Job(limited, Path("full.wav")), EngineSettings(find_model(model)), live, subtype="FLOAT")
    after = read(Path("full.wav")).samples[0]
    before = upsample(np.clip(samples, -1.0, 1.0).astype(np.float32), rate_hz)[: len(after)]
    columns, high = [], np.zeros(2)
    for start in range(0, len(before) - COLUMN_SAMPLES + 1, COLUMN_SAMPLES):
        for side, signal in enumerate((before, after)):
            levels, high_power = column(signal[start : start + COLUMN_SAMPLES])
            columns.append(levels.tobytes())
            high[side] += high_power
    high_dbfs = 10.0 * np.log10(high / max(len(columns) / 2, 1) + 1e-12)
    BEFORE.write_bytes(as_wav(to_int16(before)))
    AFTER.write_bytes(as_wav(to_int16(after)))
    SPECTRUM.write_bytes(b"".join(columns))
    kept = ("seconds", "cutoff_hz", "rtf", "latency_ms", "output_rate_hz")
    told: dict[str, Any] = {"input_rate_hz": audio.rate_hz, "band_rate_hz": rate_hz}
    told |= {
        f"high_{side}_dbfs": round(float(level), 1) for side, level in zip(("before", "after"), high_dbfs, strict=True)
    }
    return told | {key: figures[key] for key in kept}


def main() -> None:
    """``python -m realtime.voip.web.conversion BAND MODEL SECONDS LEVEL_DB TILT_DB PIVOT_HZ``: figures, or an error.

    They are written as JSON. PIVOT_HZ is 0 for none.
    """
    band, model, *numbers = sys.argv[1:]
    most_seconds, level_db, tilt_db, pivot_hz = map(float, numbers)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_WRITTEN_BYTES, _WRITTEN_BYTES))
    # Calls come first.
    with suppress(OSError):
        os.nice(10)
    try:
        result = run(band, model, most_seconds, Brightness(level_db, tilt_db), pivot_hz or None)
    except FullbandError as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
