"""A few clips to hear and to see: input, each system's result, original."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

from ..data.corpus import Clip, read_clip
from ..metrics import conditions
from ..metrics.evaluation import ALL, Evaluation, spread
from ..metrics.spectral import SAMPLE_RATE_HZ, Samples
from ..metrics.systems import Given, System, estimate
from .plots import spectrogram_png

#: Length of an example, and how many there are beside the worst clip: the page stays under some 8 MB.
EXAMPLE_S = 4.0
EXAMPLES = 3

#: Rates that examples are heard at, where they were scored: a telephone and a good call.
EXAMPLE_RATES_HZ = (8_000, 16_000)


@dataclass(frozen=True)
class Sound:
    """One player and its picture, as data URIs."""

    title: str
    audio: str
    picture: str


@dataclass(frozen=True)
class Example:
    """The same seconds of one clip as each system made them."""

    title: str
    about: str
    sounds: list[Sound]


def data_uri(kind: str, content: bytes) -> str:
    """*content* of a MIME type, for a page that needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def make_sound(title: str, samples: Samples) -> Sound:
    """A player of *samples* at 48 kHz and their spectrogram."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1.0, 1.0), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return Sound(title, data_uri("audio/flac", file.getvalue()), data_uri("image/png", spectrogram_png(samples)))


def loudest(samples: Samples, seconds: float = EXAMPLE_S) -> slice:
    """The *seconds* of *samples* with the most power."""
    length = int(seconds * SAMPLE_RATE_HZ)
    if len(samples) <= length:
        return slice(0, len(samples))
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(power[length:] - power[:-length]))
    return slice(start, start + length)


def clip_name(clip: Clip) -> str:
    """As rows of an evaluation name it."""
    return f"{clip.speaker}/{clip.path.stem}"


def worst_clip(evaluation: Evaluation, clips: Sequence[Clip], system: str) -> Clip | None:
    """The clip whose masked LSD, mean over rates, is the highest."""
    found: dict[str, list[float]] = {}
    for row in evaluation.rows:
        if row.kind == "protocol" and row.system == system:
            found.setdefault(row.clip, []).append(row.scores.lsd_masked)
    if not found:
        return None
    name = max(found, key=lambda clip: float(np.mean(found[clip])))
    return next(clip for clip in clips if clip_name(clip) == name)


def _example(clip: Clip, rate_hz: int, systems: Sequence[System], why: str) -> Example:
    samples, _ = read_clip(clip)
    way = conditions.protocol(rate_hz)
    low = way.apply(samples)
    part = loudest(samples)
    sounds = [make_sound(f"input, {rate_hz / 1000:g} kHz", low[part])]
    for system in systems:
        (result,) = estimate(system, [Given(low, way.cutoff_hz, samples)])
        sounds.append(make_sound(system.name, result[part]))
    sounds.append(make_sound("original", samples[part]))
    return Example(f"{clip_name(clip)}, {rate_hz / 1000:g} kHz", f"{clip.corpus}, {clip.licence}{why}", sounds)


def make_examples(evaluation: Evaluation, clips: Sequence[Clip], systems: Sequence[System]) -> list[Example]:
    """One clip of each corpus, and the one that the first system does worst."""
    chosen = [(clip, "") for clip in spread(clips, EXAMPLES)]
    worst = worst_clip(evaluation, clips, systems[0].name)
    if worst is not None:
        chosen = [(clip, why) for clip, why in chosen if clip != worst]
        chosen.append((worst, f" – the highest masked LSD of {systems[0].name}"))
    scored = {line.rate_hz for line in evaluation.find(ALL, "protocol")}
    rates = [rate for rate in EXAMPLE_RATES_HZ if rate in scored] or sorted(scored)[:1]
    return [_example(clip, rate_hz, systems, why) for clip, why in chosen for rate_hz in rates]
