"""Recordings are read whole or refused in one line; a file is written whole or not at all."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from realtime.audiofile import find_audio, open_writer, read
from realtime.errors import FullbandError

TONE = (0.5 * np.sin(np.arange(4_800) / 10)).astype(np.float32)[None]


def _write(path: Path, **settings: object) -> None:
    with open_writer(path, 48_000, 1, **settings) as writer:  # type: ignore[arg-type]
        writer.write(TONE)


@contextmanager
def _full_disk(limit_bytes: int) -> Iterator[None]:
    """Writes beyond *limit_bytes* fail, as on a full disk."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, previous[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    _write(tmp_path / name)
    audio = read(tmp_path / name)
    assert audio.rate_hz == 48_000
    assert audio.samples.shape == TONE.shape
    assert np.abs(audio.samples - TONE).max() < (0.1 if name.endswith("ogg") else 1e-5)


def test_samples_that_are_not_finite_become_silence_and_are_counted(tmp_path: Path) -> None:
    spoilt = TONE[0].copy()
    spoilt[[10, 20, 30]] = [np.nan, np.inf, -np.inf]
    soundfile.write(tmp_path / "a.wav", spoilt, 48_000, subtype="FLOAT")
    audio = read(tmp_path / "a.wav")
    assert audio.cleaned_samples == 3
    assert np.isfinite(audio.samples).all()


def test_one_sample_is_audio_and_none_is_not(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.array([0.5]), 48_000)
    assert read(tmp_path / "one.wav").samples.shape == (1, 1)
    soundfile.write(tmp_path / "none.wav", np.array([]), 48_000)
    with pytest.raises(FullbandError, match="has no samples"):
        read(tmp_path / "none.wav")


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    for path, reason in [(tmp_path / "text.wav", "audio"), (tmp_path, "folder"), (tmp_path / "no.wav", "no such file")]:
        with pytest.raises(FullbandError, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("a.xyz", {}, "format"),
        ("absent/a.wav", {}, "no folder"),
        ("a.wav", {"subtype": "VORBIS"}, "do not hold"),
        ("kept.wav", {}, "--force"),
    ],
)
def test_refusals_leave_nothing_behind(tmp_path: Path, name: str, settings: dict[str, object], reason: str) -> None:
    _write(tmp_path / "kept.wav")
    kept = (tmp_path / "kept.wav").read_bytes()
    with pytest.raises(FullbandError, match=reason):
        _write(tmp_path / name, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.wav"]
    assert (tmp_path / "kept.wav").read_bytes() == kept


def test_the_longest_name_is_written_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    longest = tmp_path / ("a" * 251 + ".wav")
    _write(longest)
    assert read(longest).samples.shape == TONE.shape
    for act in (_write, read):
        with pytest.raises(FullbandError, match=r"name too long|no such file"):
            act(tmp_path / ("a" * 252 + ".wav"))
    assert list(tmp_path.iterdir()) == [longest]


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(FullbandError, match="cannot write in /proc"):
        _write(Path("/proc/a.wav"))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(FullbandError, match="disk is full"),
        _full_disk(20_000),
        open_writer(tmp_path / "a.wav", 48_000, 1) as writer,
    ):
        for _ in range(50):
            writer.write(TONE)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_conversion_leaves_nothing_and_a_recording_is_kept(tmp_path: Path) -> None:
    for keep, left in ((False, []), (True, ["a.wav"])):
        with (
            pytest.raises(KeyboardInterrupt),
            open_writer(tmp_path / "a.wav", 48_000, 1, keep_on_error=keep) as writer,
        ):
            writer.write(TONE)
            raise KeyboardInterrupt
        assert [path.name for path in tmp_path.iterdir()] == left
    assert read(tmp_path / "a.wav").samples.shape == TONE.shape


def test_a_folder_is_searched_for_recordings(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.wav", "deep/a.FLAC", "note.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_audio(tmp_path)] == ["b.wav", "a.FLAC"]
