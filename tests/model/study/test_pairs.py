"""Pairs are what they say, are made once, and are split without a leak where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.data.corpus import find_clips, read_clip
from model.study.config import PairsSection, Preset, StudyConfig, twelve
from model.study.pairs import FULL_SCALE, Pairs, choose, cut, lower, make
from realtime.errors import FullbandError

from ..speech import speech_like, write_corpus

SECTION = PairsSection(chunk=4800, overlap=2400, clips=None)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("speech") / "voices", speakers=6, clips=3, seconds=0.6)


@pytest.fixture(scope="module")
def pairs(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return make(voices, tmp_path_factory.mktemp("pairs"), SECTION, 1)


@pytest.mark.parametrize(("chunk", "overlap", "factor"), [(256, 128, 4), (4800, 2400, 6), (4096, 2048, 2)])
def test_low_chunks_lie_where_the_high_ones_do(chunk: int, overlap: int, factor: int) -> None:
    section = PairsSection.model_validate({"chunk": chunk, "overlap": overlap, "factor": factor})
    samples = speech_like(0.5)
    high, low = cut(samples, section)
    assert high.shape == ((len(samples) - chunk) // (chunk - overlap) + 1, chunk)
    assert np.array_equal(high[:, ::factor], low)
    assert np.array_equal(high[0, overlap:], high[2 if overlap * 2 > chunk else 1, :overlap][: chunk - overlap])


def test_a_band_limited_input_has_no_folded_tone() -> None:
    time = np.arange(48_000) / 48_000.0
    tone = (0.5 * np.sin(2 * np.pi * 9_000.0 * time)).astype(np.float32)
    folded, filtered = (lower(tone, PairsSection(filtered=filtered)) for filtered in (False, True))
    assert np.std(folded) == pytest.approx(0.35, abs=0.01) and np.std(filtered[50:-50]) < 1e-3
    assert len(folded) == len(filtered) == 12_000


def test_chunks_are_those_of_the_recordings(voices: Path, pairs: Pairs) -> None:
    clips = choose(voices, SECTION)
    assert [clip["clip"] for clip in pairs.clips] == [f"{clip.speaker}/{clip.path.stem}" for clip in clips]
    number = len(pairs) - 1
    low, high = pairs.read([0, number])
    samples, _ = read_clip(clips[-1])
    start = (pairs.clips[-1]["chunks"] - 1) * SECTION.step
    assert np.allclose(high[1], samples[start : start + SECTION.chunk], atol=1.0 / FULL_SCALE)
    assert np.array_equal(high[:, ::4], low)


def test_interrupted_work_is_gone_on_with(voices: Path, pairs: Pairs) -> None:
    kept, lost = pairs.folder / "00000.json", pairs.folder / "00001.json"
    before = kept.stat().st_mtime_ns
    whole = (pairs.folder / "00001.high.npy").read_bytes()
    lost.unlink()  # killed after the arrays, before the file that says that they are whole
    (pairs.folder / "00001.high.npy").write_bytes(whole[:100])
    shares: list[float] = []
    again = make(voices, pairs.folder, SECTION, 1, shares.append)
    assert kept.stat().st_mtime_ns == before and sum(shares) == pytest.approx(1.0)
    assert (pairs.folder / "00001.high.npy").read_bytes() == whole and len(again) == len(pairs)


def test_other_settings_do_not_mix(voices: Path, pairs: Pairs, tmp_path: Path) -> None:
    with pytest.raises(FullbandError, match="other settings"):
        make(voices, pairs.folder, PairsSection(chunk=4800, overlap=2400, filtered=True, clips=None), 1)
    with pytest.raises(FullbandError, match="study data"):
        Pairs(tmp_path)


def test_several_processes_make_the_same(voices: Path, pairs: Pairs, tmp_path: Path) -> None:
    make(voices, tmp_path, SECTION, 2)
    for path in pairs.folder.glob("*.npy"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


@pytest.mark.parametrize("how", ["chunk", "shuffled", "speaker"])
def test_every_chunk_is_on_one_side(pairs: Pairs, how: str) -> None:
    sides = pairs.split(how)  # type: ignore[arg-type]
    assert np.array_equal(np.sort(np.concatenate(list(sides.values()))), np.arange(len(pairs)))
    assert all(len(side) for side in sides.values())
    assert len(sides["train"]) > 0.5 * len(pairs)


def test_no_talker_is_on_two_sides(pairs: Pairs) -> None:
    def talkers(side: np.ndarray) -> set[str]:
        return {pairs.clips[recording]["speaker"] for recording in pairs.recording[side]}

    by_speaker, by_chunk = pairs.split("speaker"), pairs.split("chunk")
    train, validation, test = (talkers(by_speaker[side]) for side in ("train", "validation", "test"))
    assert not train & test and not train & validation and not validation & test
    assert talkers(by_chunk["train"]) & talkers(by_chunk["test"])


def test_wrong_chunks_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("[pairs]\nchunk = 4096\noverlap = 2048\nfactor = 6\n")
    with pytest.raises(FullbandError, match="no multiple of the factor 6"):
        StudyConfig.read(tmp_path / "wrong.toml")


def test_the_presets_name_twelve_networks() -> None:
    configs = Path(__file__).parents[3] / "configs" / "study"
    for name in ("quick", "full"):
        named = twelve(Preset.read(name))
        assert len(named) == 12
        assert len({json.dumps(config.network.model_dump(mode="json")) for config in named.values()}) == 12
    for path in configs.glob("*.toml"):
        if path.stem not in ("quick", "full"):
            StudyConfig.read(path).network.unet(4)


def test_all_recordings_are_found_in_an_order_of_the_seed(voices: Path) -> None:
    orders = [[c.path for c in choose(voices, PairsSection(clips=None, seed=seed))] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(clip.path for clip in find_clips(voices, "train"))
