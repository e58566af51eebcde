"""Makes a folder of training data, as :mod:`.corpus` reads it, of recordings as they were published."""

from __future__ import annotations

import csv
import hashlib
import io
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.errors import FullbandError

from .corpus import SAMPLE_RATE_HZ, measure_cutoff_hz
from .packages import Advance, Package, Recording, Sources, fetch, recordings

#: Below it a recording has no high band to learn from.
LOWEST_RATE_HZ = 32_000

#: Shorter clips, and those whose loudest frame is softer, say nothing.
SHORTEST_MS = 250.0
SOFTEST_DB = -50.0

#: Frames this far below the loudest are silence, which is cut off both ends but for a bit.
SILENCE_DB = -55.0
SILENCE_KEPT_MS = 100.0

FULL_SCALE = 32_766.0 / 32_768.0
_FRAME = SAMPLE_RATE_HZ // 50


@dataclass(frozen=True)
class Row:
    """A line of `manifest.csv`."""

    split: str
    corpus: str
    speaker: str
    path: str
    seconds: float
    sha256: str
    licence: str
    native_rate: int
    codec: str
    cutoff_hz: int
    source: str


def gather(sources: Sources, into: Path, advance: Advance) -> list[Row]:
    """Fetch *sources*, and write their voices under *into*: FLAC of 48 kHz, 16 bit and one channel, and a manifest.

    Packages are kept in `into/packages` until all is there, so that a stopped run downloads none twice; the manifest
    comes last. Raises :class:`FullbandError` if there is a manifest already, or a package cannot be had.
    """
    if (into / "manifest.csv").exists():
        raise FullbandError(f"{into}: gathered already; give another folder, or remove this one")
    downloads = into / "packages"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FullbandError(f"cannot make {downloads}: {error.strerror}") from None
    rows: list[Row] = []
    half = 0.5 / len(sources.package)
    for package in sources.package:
        path = fetch(package, downloads, lambda part: advance(half * part))
        before = 0.0
        for recording in recordings(package, path):
            row = write_clip(package, recording, into)
            rows += [row] if row is not None else []
            advance(half * (recording.share - before))
            before = recording.share
        advance(half * (1.0 - before))
    _write_manifest(rows, into)
    for package in sources.package:
        (downloads / package.file_name).unlink()
    with suppress(OSError):  # where something else was put beside them, it stays
        downloads.rmdir()
    return rows


def write_clip(package: Package, recording: Recording, into: Path) -> Row | None:
    """Write *recording* under *into* and tell what it is; None if it is no sound, or nothing can be learnt from it."""
    try:
        recorded, rate_hz = soundfile.read(io.BytesIO(recording.content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    if rate_hz < LOWEST_RATE_HZ:
        return None
    samples = trimmed(soxr.resample(recorded.mean(axis=1), rate_hz, SAMPLE_RATE_HZ, quality="VHQ"))
    if samples is None:
        return None
    # A lossy file decodes beyond full scale; clipped there, it would have a high band that nobody spoke.
    samples = samples * min(1.0, FULL_SCALE / float(np.max(np.abs(samples))))
    clip = Path("train") / package.corpus / recording.speaker / f"{recording.digest[:16]}.flac"
    path = into / clip
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    return Row(
        split="train",
        corpus=package.corpus,
        speaker=recording.speaker,
        path=clip.as_posix(),
        seconds=round(len(samples) / SAMPLE_RATE_HZ, 3),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence=package.licence,
        native_rate=rate_hz,
        # What a WAV was before it was packaged nobody knows.
        codec="vorbis" if recording.name.endswith(".ogg") else "unknown",
        cutoff_hz=round(min(measure_cutoff_hz(samples), rate_hz / 2.0)),
        source=f"{package.file_name}:{recording.name}",
    )


def trimmed(samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """*samples* [n] at 48 kHz without the silence at both ends; None if what is left is too short or too soft."""
    count = len(samples) // _FRAME
    if count == 0:
        return None
    power = np.mean(samples[: count * _FRAME].reshape(count, _FRAME).astype(np.float64) ** 2, axis=1)
    level_db = 10.0 * np.log10(power + 1e-12)
    loudest_db = float(level_db.max())
    spoken = np.flatnonzero(level_db > loudest_db + SILENCE_DB)
    kept = round(SILENCE_KEPT_MS * SAMPLE_RATE_HZ / 1000.0)
    result = samples[max(int(spoken[0]) * _FRAME - kept, 0) : (int(spoken[-1]) + 1) * _FRAME + kept]
    too_short = len(result) < SHORTEST_MS * SAMPLE_RATE_HZ / 1000.0
    return None if too_short or loudest_db < SOFTEST_DB else result


def _write_manifest(rows: list[Row], into: Path) -> None:
    part = into / "manifest.part"
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    part.replace(into / "manifest.csv")
