"""How well the bandwidth detector does: on speech through filters and codecs, and on what is no speech.

Every stream is a fresh detector that hears a pause, a recording, silence, noise and another recording, all of it
degraded in one way. Time is counted in seconds of speech, so that pauses of the recordings neither help nor hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realtime.bandwidth import BandwidthDetector

if TYPE_CHECKING:
    from model.data.corpus import Clip

Samples = NDArray[np.float32]
RATE_HZ = 48_000

#: As the control plane does: ten times a second.
_POLL_SAMPLES = RATE_HZ // 10

#: An opinion this near to the truth is right.
TOLERANCE = 0.07

#: Anti-alias filters fall somewhat below the end of the band that they are named for.
_EDGE = 0.96

_CLIP_SECONDS = 6.0
_SPEECH_FRAME_SAMPLES = 960
_SPEECH_RANGE_DB = 25.0
_NOISE_DBFS = -50.0


@dataclass(frozen=True)
class Case:
    """One way for speech to arrive. *band_hz* is the right answer; None: full, and nothing may be added."""

    name: str
    band_hz: float | None
    degrade: Callable[[Samples], Samples]
    nyquist_hz: float = RATE_HZ / 2


@dataclass(frozen=True)
class Row:
    """Figures of one case. Times are seconds of speech until the first right opinion, over all streams."""

    case: str
    band_hz: float | None
    streams: int
    right: float
    median_s: float | None
    p90_s: float | None
    never: int
    wrong_first: int
    flips_per_minute: float


def _filtered(band_hz: float, rate_hz: int, family: str, by_host: bool = False) -> Callable[[Samples], Samples]:
    """Speech sampled at *rate_hz* behind a filter, in a device of 48 kHz (or one of *rate_hz*, *by_host*)."""

    def degrade(samples: Samples) -> Samples:
        import soxr

        from model.degrade.filters import decimate, fir_taps, iir_sections, upsample, zero_phase

        edge_hz = 3_400.0 if band_hz == 3_400.0 else _EDGE * band_hz
        taps = fir_taps({"FIR steep": 299, "FIR gentle": 121}.get(family, 299), edge_hz)
        if family in ("Butterworth", "elliptic"):
            samples = zero_phase(samples, iir_sections({"Butterworth": "butter"}.get(family, "ellip"), 6, edge_hz))
            taps = fir_taps(299, 0.98 * rate_hz / 2)
        low = decimate(samples, taps, RATE_HZ // rate_hz)
        wide = upsample(low, rate_hz) if by_host else soxr.resample(low, rate_hz, RATE_HZ)
        return np.asarray(wide[: len(samples)], np.float32)

    return degrade


def _coded(codec: str) -> Callable[[Samples], Samples]:
    def degrade(samples: Samples) -> Samples:
        from model.degrade.codecs import through

        return through(codec, samples)

    return degrade


def cases() -> Iterator[Case]:
    """Every band by every filter, the codecs, and full-band speech as it is."""
    for band_hz, rate_hz in ((3.4e3, 8_000), (4e3, 8_000), (7e3, 16_000), (8e3, 16_000), (12e3, 24_000)):
        for family in ("FIR steep", "FIR gentle", "Butterworth", "elliptic"):
            yield Case(f"{band_hz / 1000:g} kHz, {family}", band_hz, _filtered(band_hz, rate_hz, family))
        degrade = _filtered(band_hz, rate_hz, "FIR steep", by_host=True)
        yield Case(f"{band_hz / 1000:g} kHz, device at {rate_hz} Hz", band_hz, degrade, rate_hz / 2)
    for codec, band_hz in (("pcmu", 4e3), ("pcma", 4e3), ("gsm", 4e3), ("amr-nb", 4e3), ("opus-8k", 4.1e3)):
        yield Case(codec, band_hz, _coded(codec))
    for codec, band_hz in (("g722", 8e3), ("msbc", 8e3), ("opus-12k", 8.2e3)):
        yield Case(codec, band_hz, _coded(codec))
    yield Case("opus-24k", None, _coded("opus-24k"))
    yield Case("full", None, lambda samples: samples)


@dataclass(frozen=True)
class _Stream:
    samples: Samples
    speech_s: NDArray[np.float64]  # seconds of speech up to each poll
    end_hz: float  # where the recordings themselves end


def _is_speech(samples: Samples) -> NDArray[np.bool_]:
    """[n] True within frames that are not more than some dB below the loud ones."""
    frames = samples[: len(samples) // _SPEECH_FRAME_SAMPLES * _SPEECH_FRAME_SAMPLES].reshape(-1, _SPEECH_FRAME_SAMPLES)
    level_db = 10.0 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
    active = level_db > np.percentile(level_db, 95) - _SPEECH_RANGE_DB
    return np.repeat(active, _SPEECH_FRAME_SAMPLES)


def _pieces(clips: list[Clip]) -> Iterator[tuple[Samples, float]]:
    """Recordings of some seconds, short ones of a speaker joined, and where each ends."""
    from model.data.corpus import read_clip

    most = round(_CLIP_SECONDS * RATE_HZ)
    held: list[Samples] = []
    speaker, end_hz = "", RATE_HZ / 2
    for clip in [*clips, None]:
        if held and (clip is None or clip.speaker != speaker or sum(map(len, held)) >= most):
            joined = np.concatenate(held)[:most]
            if len(joined) >= most // 2:
                yield joined, end_hz
            held, end_hz = [], RATE_HZ / 2
        if clip is not None:
            samples, cutoff_hz = read_clip(clip)
            held.append(samples)
            speaker, end_hz = clip.speaker, min(end_hz, cutoff_hz)


def _streams(data: Path) -> list[_Stream]:
    from model.data.corpus import find_clips, read_clip

    pieces = list(_pieces(find_clips(data, "test")))
    noises = [read_clip(clip)[0] for clip in find_clips(data, "noise")]
    streams = []
    for k, (first, first_hz) in enumerate(pieces):
        second, second_hz = pieces[(k + 1) % len(pieces)]
        ambience = np.resize(noises[k % len(noises)], 3 * RATE_HZ)
        ambience = ambience * np.float32(10.0 ** (_NOISE_DBFS / 20.0) / np.sqrt(np.mean(ambience**2)))
        pause, silence = np.zeros(RATE_HZ // 2, np.float32), np.zeros(2 * RATE_HZ, np.float32)
        parts = [pause, first, silence, ambience, second]
        speech = np.zeros(sum(map(len, parts)), bool)
        for part, start in ((first, len(pause)), (second, len(speech) - len(second))):
            active = _is_speech(part)
            speech[start : start + len(active)] = active
        seconds = np.cumsum(speech)[_POLL_SAMPLES - 1 :: _POLL_SAMPLES] / RATE_HZ
        streams.append(_Stream(np.concatenate(parts), seconds, min(first_hz, second_hz)))
    return streams


def opinions(samples: Samples, nyquist_hz: float) -> NDArray[np.float64]:
    """What a fresh detector says at each poll."""
    detector = BandwidthDetector()
    starts = range(0, len(samples) - _POLL_SAMPLES + 1, _POLL_SAMPLES)
    return np.array([min(detector.push(samples[k : k + _POLL_SAMPLES]), nyquist_hz) for k in starts])


def _is_right(said_hz: NDArray[np.float64], case: Case, end_hz: float) -> NDArray[np.bool_]:
    if case.band_hz is None:
        # Nothing may be added below where the recording itself ends; above 20 kHz nothing is added at all.
        return np.asarray(said_hz >= (1.0 - TOLERANCE) * min(end_hz, 20_000.0))
    return np.asarray(np.abs(said_hz / case.band_hz - 1.0) <= TOLERANCE)


def measure_case(case: Case, streams: list[_Stream]) -> Row:
    """Run *case* over all *streams*, a fresh detector each."""
    times, rights, flips, seconds, wrong_first = [], [], 0, 0.0, 0
    for stream in streams:
        said_hz = opinions(case.degrade(stream.samples), case.nyquist_hz)
        right = _is_right(said_hz, case, stream.end_hz)
        rights.append(right[stream.speech_s[: len(right)] >= 1.0])
        given = np.flatnonzero(said_hz != said_hz[0])
        wrong_first += int(len(given) > 0 and not right[given[0]])
        found = np.flatnonzero(right)
        if len(found):
            after = said_hz[found[0] :]
            times.append(stream.speech_s[found[0]])
            flips += int(np.count_nonzero(np.diff(after)))
            seconds += len(after) * _POLL_SAMPLES / RATE_HZ
    median_s, p90_s = (float(t) for t in np.percentile(times, [50, 90])) if times else (None, None)
    return Row(
        case=case.name,
        band_hz=case.band_hz,
        streams=len(streams),
        right=float(np.mean(np.concatenate(rights))),
        median_s=median_s,
        p90_s=p90_s,
        never=len(streams) - len(times),
        wrong_first=wrong_first,
        flips_per_minute=60.0 * flips / max(seconds, 1.0),
    )


def run(data: Path, only: list[str], most_streams: int, tell: Callable[[str], None]) -> list[Row]:
    """All cases whose name has one of *only* in it (empty: all), over streams spread evenly over the recordings."""
    chosen = [case for case in cases() if not only or any(part in case.name for part in only)]
    streams = _streams(data) if chosen else []
    streams = streams[:: max(len(streams) // most_streams, 1)][:most_streams]
    rows = []
    for number, case in enumerate(chosen, 1):
        tell(f"{number}/{len(chosen)} {case.name}")
        rows.append(measure_case(case, streams))
    return rows
