"""Finds audio: a folder with a `manifest.csv`, VCTK as it unpacks, or any folder of audio files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from realtime.errors import FullbandError

SAMPLE_RATE_HZ = 48_000
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"}

#: The held-out speakers of the usual VCTK protocol, and two whose recordings are incomplete.
VCTK_TEST = {"p360", "p361", "p362", "p363", "p364", "p374", "p376", "s5"}
VCTK_DROPPED = {"p280", "p315"}

#: Decoded clips kept in memory: some 500 MB of 16-bit speech.
CACHED_CLIPS = 4_000


@dataclass(frozen=True)
class Clip:
    """One recording. *cutoff_hz* is where its content ends, None if nobody has measured it."""

    path: Path
    split: str
    corpus: str
    speaker: str
    seconds: float
    lossy: bool
    cutoff_hz: float | None
    licence: str


def find_clips(folder: Path, split: str) -> list[Clip]:
    """All clips of *split* ("train" or "test") under *folder*; a plain folder serves as either."""
    if not folder.is_dir():
        raise FullbandError(f"{folder}: no such folder of audio")
    manifest = folder / "manifest.csv"
    clips = list(_listed(manifest) if manifest.exists() else _found(folder))
    chosen = [clip for clip in clips if clip.split in (split, "any")]
    if not chosen:
        raise FullbandError(f"{folder}: no audio for the split {split!r}")
    return chosen


def _listed(manifest: Path) -> Iterator[Clip]:
    with manifest.open(newline="") as file:
        for row in csv.DictReader(file):
            yield Clip(
                path=manifest.parent / row["path"],
                split=row["split"],
                corpus=row["corpus"],
                speaker=row["speaker"],
                seconds=float(row["seconds"]),
                lossy=row["codec"] != "pcm",
                cutoff_hz=float(row["cutoff_hz"]) if row["cutoff_hz"] else None,
                licence=row["licence"],
            )


def _found(folder: Path) -> Iterator[Clip]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.stem.endswith("_mic2"):
            continue
        speaker = path.parent.name
        vctk = "wav48" in str(path.relative_to(folder.parent))
        if vctk and speaker in VCTK_DROPPED:
            continue
        split = ("test" if speaker in VCTK_TEST else "train") if vctk else "any"
        yield Clip(
            path=path,
            split=split,
            corpus="vctk" if vctk else folder.name,
            speaker=speaker,
            seconds=float(soundfile.info(path).duration),
            lossy=path.suffix.lower() in {".ogg", ".mp3", ".opus"},
            cutoff_hz=None,
            licence="see the folder",
        )


@lru_cache(maxsize=CACHED_CLIPS)
def _read(path: Path) -> NDArray[np.int16]:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    return np.clip(np.round(mono * 32_768.0), -32_768, 32_767).astype(np.int16)


@cache
def _measured_cutoff_hz(path: Path) -> float:
    return measure_cutoff_hz(_read(path).astype(np.float32) / 32_768.0)


def read_clip(clip: Clip) -> tuple[NDArray[np.float32], float]:
    """Samples at 48 kHz, mono, and the cutoff in Hz, measured if it was unknown."""
    samples = _read(clip.path).astype(np.float32) / 32_768.0
    cutoff_hz = clip.cutoff_hz if clip.cutoff_hz is not None else _measured_cutoff_hz(clip.path)
    return samples, cutoff_hz


def measure_cutoff_hz(samples: NDArray[np.float32]) -> float:
    """Highest frequency at which speech stands 6 dB above the noise of 16-bit rounding.

    A codec's or resampler's low-pass leaves nothing but that noise above it.
    """
    size = 2_048
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    window = np.hanning(size)
    power = np.mean(np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2, axis=0)
    rounding = np.sum(window**2) / (12.0 * 32_768.0**2)
    smooth = np.convolve(power, np.ones(9) / 9.0, mode="same")
    above = np.flatnonzero(smooth > 4.0 * rounding)
    return float(above[-1] * SAMPLE_RATE_HZ / size) if len(above) else 0.0
