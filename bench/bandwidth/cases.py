"""How well the bandwidth detector does: on speech through filters and codecs, and on what is no speech.

Every stream is a fresh detector that hears a pause, a recording, silence, noise and another recording, all of it
degraded in one way. Time is counted in seconds of speech, so that pauses of the recordings neither help nor hurt.

What counts is where the network's high band begins. The *edge* of a path is where it has fallen by 6 dB, measured on
what comes out of it and not taken from its name: a filter for 3.4 kHz may end at 3.6. An opinion is *right* when the
middle of the crossover that follows from it is within 6 % of the edge. That is half the width of an auditory filter up
there (11 % of the frequency; Glasberg and Moore, Hearing Research 47, 1990): neither a hole nor a band that is there
twice can be told from none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realtime.bandwidth import EDGE_OF_CUTOFF, BandwidthDetector

from ..signals.cvsd import through_cvsd

if TYPE_CHECKING:
    from model.data.corpus import Clip

Samples = NDArray[np.float32]
RATE_HZ = 48_000

#: As the control plane does: ten times a second.
POLL_SAMPLES = RATE_HZ // 10

#: A crossover this near to the edge is right. A change by no more is no flip either: the host makes it without a fade.
TOLERANCE = 0.06

#: Above nothing is added at all: a recording that ends no lower is full.
FULL_HZ = 20_000.0

#: The edge of a path is looked for from here on, in power averaged over so many lines, against that of this band.
EDGE_DB = 6.0
_EDGE_FROM_HZ = 3_000.0
_EDGE_LINES, _EDGE_WINDOW = 9, 4_096
_LEVEL_HZ = (1_000.0, 2_500.0)

#: Anti-alias filters fall somewhat below the end of the band that they are named for.
_EDGE = 0.96

_CLIP_SECONDS = 6.0
_SPEECH_FRAME_SAMPLES = 960
_SPEECH_RANGE_DB = 25.0
_NOISE_DBFS = -50.0


@dataclass(frozen=True)
class Case:
    """One way for speech to arrive. *full*: with all its band, and nothing may be added. It is measured on the
    recordings that have all their band."""

    name: str
    degrade: Callable[[Samples], Samples]
    full: bool = False
    nyquist_hz: float = RATE_HZ / 2


@dataclass(frozen=True)
class Row:
    """Figures of one case. Times are seconds of speech until the first right opinion, over all streams.

    *right* is a share of the time from the first second of speech on, *p90_error* how far 90 % of that time the
    crossover is from the edge at most, in parts of it.
    """

    case: str
    edge_hz: float | None
    streams: int
    right: float
    p90_error: float | None
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
            yield Case(f"{band_hz / 1000:g} kHz, {family}", _filtered(band_hz, rate_hz, family))
        degrade = _filtered(band_hz, rate_hz, "FIR steep", by_host=True)
        yield Case(f"{band_hz / 1000:g} kHz, device at {rate_hz} Hz", degrade, nyquist_hz=rate_hz / 2)
    for codec in ("pcmu", "pcma", "gsm", "amr-nb", "opus-8k", "g722", "msbc", "opus-12k"):
        yield Case(codec, _coded(codec))
    yield Case("cvsd", through_cvsd)
    yield Case("opus-24k", _coded("opus-24k"), full=True)
    yield Case("full", lambda samples: samples, full=True)


def path_edge_hz(before: list[Samples], after: list[Samples]) -> float:
    """Where speech that was *before* is 6 dB down *after* a path, and stays so."""
    frequency_hz = np.fft.rfftfreq(_EDGE_WINDOW, 1.0 / RATE_HZ)

    def power(signals: list[Samples]) -> NDArray[np.float64]:
        total = np.zeros(len(frequency_hz))
        for samples in signals:
            frames = np.lib.stride_tricks.sliding_window_view(samples, _EDGE_WINDOW)[:: _EDGE_WINDOW // 2]
            total += np.sum(np.abs(np.fft.rfft(frames * np.hanning(_EDGE_WINDOW))) ** 2, axis=0)
        return np.convolve(total, np.ones(_EDGE_LINES) / _EDGE_LINES, "same")

    passed = power(after) / np.maximum(power(before), 1e-12)
    level = np.median(passed[(frequency_hz >= _LEVEL_HZ[0]) & (frequency_hz < _LEVEL_HZ[1])])
    fallen = (passed < level * 10.0 ** (-0.1 * EDGE_DB)) & (frequency_hz >= _EDGE_FROM_HZ)
    stays = np.convolve(fallen, np.ones(3 * _EDGE_LINES), "full")[3 * _EDGE_LINES - 1 :] == 3 * _EDGE_LINES
    return float(frequency_hz[np.argmax(stays)]) if stays.any() else RATE_HZ / 2


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
        seconds = np.cumsum(speech)[POLL_SAMPLES - 1 :: POLL_SAMPLES] / RATE_HZ
        streams.append(_Stream(np.concatenate(parts), seconds, min(first_hz, second_hz)))
    return streams


def opinions(samples: Samples, nyquist_hz: float) -> NDArray[np.float64]:
    """What a fresh detector says at each poll."""
    detector = BandwidthDetector()
    starts = range(0, len(samples) - POLL_SAMPLES + 1, POLL_SAMPLES)
    return np.array([min(detector.push(samples[k : k + POLL_SAMPLES]), nyquist_hz) for k in starts])


def _errors(said_hz: NDArray[np.float64], edge_hz: float | None, end_hz: float) -> NDArray[np.float64]:
    """How far the crossover is from the edge, in parts of it."""
    if edge_hz is None:
        return np.where(said_hz >= EDGE_OF_CUTOFF * min(end_hz, FULL_HZ), 0.0, 1.0)
    return np.asarray(EDGE_OF_CUTOFF * said_hz / edge_hz - 1.0)


def changes(said_hz: NDArray[np.float64]) -> int:
    """Changes that can be heard."""
    return int(np.count_nonzero(np.abs(said_hz[1:] / said_hz[:-1] - 1.0) > TOLERANCE))


def measure_case(case: Case, streams: list[_Stream]) -> Row:
    """Run *case* over all *streams*, a fresh detector each."""
    times, found_errors, flips, seconds, wrong_first = [], [], 0, 0.0, 0
    if case.full:
        streams = [stream for stream in streams if stream.end_hz >= FULL_HZ] or streams
    degraded = [case.degrade(stream.samples) for stream in streams]
    edge_hz = None if case.full else path_edge_hz([stream.samples for stream in streams], degraded)
    for stream, samples in zip(streams, degraded, strict=True):
        said_hz = opinions(samples, case.nyquist_hz)
        errors = _errors(said_hz, edge_hz, stream.end_hz)
        right = np.abs(errors) <= TOLERANCE
        found_errors.append(errors[stream.speech_s[: len(right)] >= 1.0])
        given = np.flatnonzero(said_hz != said_hz[0])
        wrong_first += int(len(given) > 0 and not right[given[0]])
        found = np.flatnonzero(right)
        if len(found):
            after = said_hz[found[0] :]
            times.append(stream.speech_s[found[0]])
            flips += changes(after)
            seconds += len(after) * POLL_SAMPLES / RATE_HZ
    median_s, p90_s = (float(t) for t in np.percentile(times, [50, 90])) if times else (None, None)
    all_errors = np.abs(np.concatenate(found_errors))
    return Row(
        case=case.name,
        edge_hz=edge_hz,
        streams=len(streams),
        right=float(np.mean(all_errors <= TOLERANCE)),
        p90_error=None if case.full else float(np.percentile(all_errors, 90)),
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
