"""Clips are found, measured, shared out and cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from model.data.corpus import Clip, find_clips, measure_cutoff_hz, read_clip
from model.data.mixture import Mixture, corpus_shares
from model.degrade.filters import decimate
from realtime.errors import FullbandError

from .speech import RATE_HZ, speech_like, write_corpus

HEADER = "split,corpus,speaker,path,seconds,codec,cutoff_hz,licence\n"


def clip(corpus: str, seconds: float, lossy: bool = True) -> Clip:
    return Clip(Path("x"), "train", corpus, "s", seconds, lossy, 20_000.0, "CC0")


def test_a_plain_folder_serves_both_splits(tmp_path: Path) -> None:
    write_corpus(tmp_path / "voices")
    clips = find_clips(tmp_path / "voices", "train")
    assert [c.speaker for c in clips] == ["s0", "s0", "s1", "s1"]
    assert clips == find_clips(tmp_path / "voices", "test")


def test_a_manifest_is_believed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", speech_like(0.3), RATE_HZ)
    (tmp_path / "manifest.csv").write_text(
        HEADER + "train,c,s,a.wav,0.3,vorbis,17000,CC0\ntest,c,t,a.wav,0.3,pcm,,CC BY\n"
    )
    (train,) = find_clips(tmp_path, "train")
    (test,) = find_clips(tmp_path, "test")
    assert train.lossy and train.cutoff_hz == 17_000.0 and train.licence == "CC0"
    assert not test.lossy and test.cutoff_hz is None
    assert read_clip(test)[1] > 20_000.0


def test_vctk_holds_its_test_speakers_out(tmp_path: Path) -> None:
    for speaker in ("p225", "p360", "p280"):
        folder = tmp_path / "wav48_silence_trimmed" / speaker
        folder.mkdir(parents=True)
        for microphone in ("mic1", "mic2"):
            path = folder / f"{speaker}_001_{microphone}.flac"
            soundfile.write(path, speech_like(0.2), RATE_HZ)
    assert [c.path.stem for c in find_clips(tmp_path, "train")] == ["p225_001_mic1"]
    assert [c.path.stem for c in find_clips(tmp_path, "test")] == ["p360_001_mic1"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FullbandError, match="nowhere"):
        find_clips(tmp_path / "nowhere", "train")


def test_other_rates_and_stereo_become_mono_at_48_khz(tmp_path: Path) -> None:
    stereo = np.stack([speech_like(0.5)[::3]] * 2, axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000)
    samples, cutoff_hz = read_clip(find_clips(tmp_path, "train")[0])
    assert samples.shape == (RATE_HZ // 2,)
    assert cutoff_hz < 8_500.0


@pytest.mark.parametrize("edge_hz", [8_000.0, 15_000.0])
def test_cutoff_is_measured(edge_hz: float) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    limited = decimate(noise, signal.firwin(999, edge_hz, window=("kaiser", 12.0), fs=RATE_HZ), 1)
    rounded = np.round(limited * 32_768.0).astype(np.float32) / 32_768.0
    assert measure_cutoff_hz(rounded) == pytest.approx(edge_hz, abs=600.0)
    assert measure_cutoff_hz(noise) > 23_000.0
    assert measure_cutoff_hz(np.zeros(10, np.float32)) == 0.0


def test_no_corpus_outweighs_its_cap() -> None:
    clips = [clip("big", 1e4), clip("a", 10.0), clip("b", 20.0), clip("c", 30.0), clip("d", 30.0, lossy=False)]
    shares = corpus_shares(clips, pcm_boost=3.0, cap=0.3)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares.values()) <= 0.3 + 1e-9
    assert shares["d"] > shares["c"]


def test_a_cap_too_small_for_the_corpora_shares_equally() -> None:
    shares = corpus_shares([clip("a", 1.0), clip("b", 100.0)], pcm_boost=1.0, cap=0.25)
    assert shares == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}


def test_segments_are_full_and_depend_on_the_seed_alone(tmp_path: Path) -> None:
    clips = find_clips(write_corpus(tmp_path / "voices", seconds=0.5), "train")
    mixture = Mixture(clips, lossy_floor_hz=18_000.0, pcm_boost=1.0, corpus_cap=1.0)
    for seed in range(8):
        first, again = (mixture.draw(np.random.default_rng(seed), 40_000) for _ in range(2))
        assert first.samples.shape == (40_000,)
        assert np.array_equal(first.samples, again.samples)
        assert 15_000.0 < first.limit_hz <= 24_000.0


def test_lossy_clips_that_end_low_are_left_out() -> None:
    with pytest.raises(FullbandError, match="high band"):
        Mixture([clip("a", 1.0)], lossy_floor_hz=21_000.0, pcm_boost=1.0, corpus_cap=1.0)
