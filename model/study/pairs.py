"""Pairs of chunks at the low and the high rate: made by several processes, kept in shards, read by number."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.errors import FullbandError

from ..data.corpus import Clip, find_clips, read_clip
from ..degrade.filters import sinc_decimate
from ..metrics import pool
from .config import PairsSection, Split

#: Recordings of one shard: a minute or so, so that little is lost when a run is killed.
SHARD_CLIPS = 16

#: Shares of training, validation and test.
SHARES = (0.8, 0.1, 0.1)
SPLITS = ("train", "validation", "test")

FULL_SCALE = 32_768.0

_ABOUT = "pairs.json"

Samples = NDArray[np.float32]


def lower(samples: Samples, section: PairsSection) -> Samples:
    """Every *factor*-th sample: of the recording as it is, which folds what lies above, or band-limited before."""
    if section.filtered:
        return sinc_decimate(samples, section.low_rate_hz)
    return samples[:: section.factor]


def cut(samples: Samples, section: PairsSection) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Chunks [n, chunk] of a recording and the same at the low rate [n, chunk / factor]; a torn last one is dropped."""
    low = lower(samples, section)
    count = max(0, (len(samples) - section.chunk) // section.step + 1)
    starts = np.arange(count) * section.step
    high_chunks = samples[starts[:, None] + np.arange(section.chunk)]
    low_chunks = low[starts[:, None] // section.factor + np.arange(section.chunk // section.factor)]
    return _as_int16(high_chunks), _as_int16(low_chunks)


def _as_int16(samples: Samples) -> NDArray[np.int16]:
    return np.clip(np.round(samples * FULL_SCALE), -32_768, 32_767).astype(np.int16)


@dataclass(frozen=True)
class _Shard:
    """Work for one process."""

    number: int
    clips: tuple[Clip, ...]
    section: PairsSection
    folder: Path


def _names(folder: Path, number: int) -> tuple[Path, Path, Path]:
    return tuple(folder / f"{number:05d}.{end}" for end in ("high.npy", "low.npy", "json"))  # type: ignore[return-value]


def _save(path: Path, chunks: NDArray[np.int16]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, chunks)
    partial.replace(path)


def _make(shard: _Shard) -> int:
    high, low, about = [], [], []
    for clip in shard.clips:
        high_chunks, low_chunks = cut(read_clip(clip)[0], shard.section)
        high.append(high_chunks)
        low.append(low_chunks)
        about.append({"clip": f"{clip.speaker}/{clip.path.stem}", "speaker": clip.speaker, "chunks": len(high_chunks)})
    high_path, low_path, about_path = _names(shard.folder, shard.number)
    _save(high_path, np.concatenate(high))
    _save(low_path, np.concatenate(low))
    # The last file says that the shard is whole.
    partial = about_path.with_suffix(".partial")
    partial.write_text(json.dumps(about))
    partial.replace(about_path)
    return len(shard.clips)


def choose(data: Path, section: PairsSection) -> list[Clip]:
    """The recordings of the training split, in an order drawn by the seed, as many as are wanted."""
    long = [clip for clip in find_clips(data, "train") if clip.seconds * 48_000 >= section.chunk]
    clips = [clip for clip in long if clip.cutoff_hz is None or clip.cutoff_hz >= section.reach_hz]
    if not clips:
        lack = f"is as long as a chunk of {section.chunk} samples"
        if long:
            lack = f"of that length reaches {section.reach_hz:.0f} Hz"
        raise FullbandError(f"{data}: no recording {lack}")
    order = np.random.default_rng(section.seed).permutation(len(clips))
    return [clips[place] for place in order[: section.clips]]


def _settings(known: Path) -> tuple[str, PairsSection] | None:
    try:
        about = json.loads(known.read_text())
        return about["data"], PairsSection.model_validate(about["pairs"])
    except (OSError, KeyError, ValueError):
        return None


def make(
    data: Path, folder: Path, section: PairsSection, jobs: int, advance: Callable[[float], None] | None = None
) -> Pairs:
    """Make what *folder* lacks of the pairs, so that killed work is gone on with; *advance* is told shares of it."""
    about = {"data": str(data.resolve()), "pairs": section.model_dump()}
    known = folder / _ABOUT
    if known.exists() and _settings(known) != (about["data"], section):
        raise FullbandError(f"{folder} holds pairs of other settings or other data; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(about, indent=2) + "\n")
    clips = choose(data, section)
    shards = [
        _Shard(number, tuple(clips[start : start + SHARD_CLIPS]), section, folder)
        for number, start in enumerate(range(0, len(clips), SHARD_CLIPS))
    ]
    missing = [shard for shard in shards if not _names(folder, shard.number)[2].exists()]
    done = sum(len(shard.clips) for shard in shards) - sum(len(shard.clips) for shard in missing)
    if advance is not None:
        advance(done / len(clips))
    for _, count in pool.run(_make, missing, jobs):
        if advance is not None:
            advance(count / len(clips))
    return Pairs(folder)


class Pairs:
    """The chunks in a folder. Numbers 0 to `len` - 1 name them, recording after recording."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        known = _settings(folder / _ABOUT)
        if known is None:
            raise FullbandError(f"{folder} holds no pairs; `fullband study data` makes them")
        self.section = known[1]
        self._shards = sorted(path for path in folder.glob("*.json") if path.name != _ABOUT)
        if not self._shards:
            raise FullbandError(f"{folder}: no shard is complete; run `fullband study data` to its end")
        self.clips: list[dict[str, Any]] = []
        self._high: list[NDArray[np.int16]] = []
        self._low: list[NDArray[np.int16]] = []
        for path in self._shards:
            high, low, _ = _names(folder, int(path.stem))
            self._high.append(np.load(high, mmap_mode="r"))
            self._low.append(np.load(low, mmap_mode="r"))
            self.clips += json.loads(path.read_text())
        self._ends = np.cumsum([len(chunks) for chunks in self._high])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def recording(self) -> NDArray[np.int64]:
        """Which of `clips` each chunk is of."""
        return np.repeat(np.arange(len(self.clips)), [clip["chunks"] for clip in self.clips])

    def raw(self, numbers: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Chunks at the low and the high rate as they are kept."""
        numbers = np.asarray(numbers)
        shards = np.searchsorted(self._ends, numbers, side="right")
        starts = np.concatenate([[0], self._ends])
        rows = [(shard, number - starts[shard]) for shard, number in zip(shards, numbers, strict=True)]
        low = np.stack([self._low[shard][row] for shard, row in rows])
        return low, np.stack([self._high[shard][row] for shard, row in rows])

    def read(self, numbers: Sequence[int] | NDArray[np.int64]) -> tuple[Samples, Samples]:
        """Chunks [n, chunk / factor] at the low and [n, chunk] at the high rate, in ±1."""
        low, high = self.raw(numbers)
        return low.astype(np.float32) / np.float32(FULL_SCALE), high.astype(np.float32) / np.float32(FULL_SCALE)

    def split(self, how: Split, seed: int = 0) -> dict[str, NDArray[np.int64]]:
        """Numbers of the chunks of each of `SPLITS`, 80 / 10 / 10.

        "chunk" cuts the list of chunks in two places, as the study did: talkers are on all sides, and a recording is
        where the list is cut. "shuffled" deals chunks out, so that neighbours that overlap are on different sides.
        "speaker" keeps every talker on one side.
        """
        everything = np.arange(len(self))
        if how == "speaker":
            return self._by_speaker(seed)
        if how == "shuffled":
            everything = np.random.default_rng(seed).permutation(everything)
        first, second = round(SHARES[0] * len(self)), round((SHARES[0] + SHARES[1]) * len(self))
        return dict(zip(SPLITS, np.split(everything, [first, second]), strict=True))

    def _by_speaker(self, seed: int) -> dict[str, NDArray[np.int64]]:
        speakers = np.array([clip["speaker"] for clip in self.clips])[self.recording]
        names = np.unique(speakers)
        if len(names) < len(SPLITS):
            raise FullbandError(f"{self.folder} has {len(names)} speakers; a split by speaker needs three")
        counts = {name: int(np.sum(speakers == name)) for name in names}
        sides: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
        # The small sides are filled first, each with what takes it nearest to its share, and never to none.
        left = [str(name) for name in np.random.default_rng(seed).permutation(names)]
        for side, share in (("test", SHARES[2]), ("validation", SHARES[1])):
            held = 0
            for name in list(left):
                if held and held + counts[name] > share * len(self):
                    continue
                if not held and counts[name] > 2 * share * len(self) and len(left) > len(SPLITS):
                    continue
                sides[side].append(name)
                left.remove(name)
                held += counts[name]
                if held >= share * len(self) or len(left) == 1:
                    break
            if not held:
                name = min(left, key=lambda one: counts[one])
                sides[side].append(name)
                left.remove(name)
        sides["train"] = left
        return {side: np.flatnonzero(np.isin(speakers, sides[side])) for side in SPLITS}
