"""Recorded speech is taken out of packages, cut to what is spoken, and listed."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.data.corpus import find_clips, measure_cutoff_hz, read_clip
from model.data.gather import FULL_SCALE, SILENCE_KEPT_MS, gather, trimmed
from model.data.packages import Package, Sources
from realtime.errors import FullbandError

from .speech import RATE_HZ, speech_like

SECONDS = 1.0


def encoded(samples: NDArray[np.float32], rate_hz: int, kind: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=kind)
    return file.getvalue()


def write_package(path: Path, files: dict[str, bytes], **changed: object) -> Package:
    """A .deb as `dpkg-deb` makes it, its address on this disk."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as members:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./usr/share/{name}")
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    archive = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        archive += header.encode() + content + b"\n" * (len(content) % 2)
    path.write_bytes(archive)
    known: dict[str, object] = {
        "url": path.as_uri(),
        "sha256": hashlib.sha256(archive).hexdigest(),
        "corpus": "games",
        "licence": "GPL-2.0-only",
        "voices": {"ann": "*/voices/ann/*", "ben": "*/voices/ben/*"},
    }
    return Package.model_validate({**known, **changed})


def gathered(package: Package, into: Path) -> list[float]:
    parts: list[float] = []
    gather(Sources(package=(package,)), into, parts.append)
    return parts


@pytest.fixture(scope="module")
def spoken() -> NDArray[np.float32]:
    pause = np.zeros(RATE_HZ, np.float32)
    return np.concatenate([pause, speech_like(SECONDS), pause])


def test_the_voices_of_a_package_become_training_data(tmp_path: Path, spoken: NDArray[np.float32]) -> None:
    word = encoded(spoken, RATE_HZ, "OGG")
    package = write_package(
        tmp_path / "games_1_all.deb",
        {
            "voices/ann/word.ogg": word,
            "voices/ann/again.ogg": word,
            "voices/ann/README": b"not a sound",
            "voices/ann/telephone.wav": encoded(spoken, 16_000, "WAV"),
            "voices/ann/beep.wav": encoded(spoken[RATE_HZ : RATE_HZ + 4_000], RATE_HZ, "WAV"),
            "voices/ben/word.wav": encoded(spoken, 44_100, "WAV"),
            "effects/bang.ogg": encoded(spoken[::-1], RATE_HZ, "OGG"),
        },
    )
    parts = gathered(package, tmp_path / "speech")
    assert sum(parts) == pytest.approx(1.0) and min(parts) >= 0.0
    ann, ben = find_clips(tmp_path / "speech", "train")
    assert (ann.speaker, ben.speaker) == ("ann", "ben")
    assert {(clip.corpus, clip.licence, clip.lossy) for clip in (ann, ben)} == {("games", "GPL-2.0-only", True)}
    kept_s = 2.0 * SILENCE_KEPT_MS / 1000.0
    assert ann.seconds == pytest.approx(SECONDS + kept_s, abs=0.2)
    samples, cutoff_hz = read_clip(ann)
    assert 15_000.0 < cutoff_hz <= 24_000.0
    overlap = np.correlate(spoken, samples).max()
    assert overlap > 0.9 * np.linalg.norm(samples) * np.linalg.norm(spoken)
    assert ben.cutoff_hz is not None and 20_000.0 < ben.cutoff_hz <= 22_050.0
    assert not (tmp_path / "speech" / "packages").exists()


def test_what_decodes_beyond_full_scale_is_not_clipped(tmp_path: Path) -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    loud = (1.3 * np.sin(2.0 * np.pi * 400.0 * time)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, loud, 44_100, format="WAV", subtype="FLOAT")
    gathered(write_package(tmp_path / "loud_1_all.deb", {"voices/ann/a.wav": file.getvalue()}), tmp_path / "speech")
    (clip,) = find_clips(tmp_path / "speech", "train")
    samples, _ = read_clip(clip)
    assert np.max(np.abs(samples)) == pytest.approx(FULL_SCALE, abs=1e-3)
    assert measure_cutoff_hz(samples[RATE_HZ // 4 : -RATE_HZ // 4]) < 5_000.0


def test_silence_is_no_recording() -> None:
    assert trimmed(np.zeros(RATE_HZ, np.float32)) is None
    assert trimmed(np.zeros(3, np.float32)) is None


def test_a_stopped_run_downloads_nothing_twice(tmp_path: Path, spoken: NDArray[np.float32]) -> None:
    package = write_package(tmp_path / "a_1_all.deb", {"voices/ann/a.ogg": encoded(spoken, RATE_HZ, "OGG")})
    lost = package.model_copy(update={"url": (tmp_path / "gone" / "b_1_all.deb").as_uri()})
    with pytest.raises(FullbandError, match=r"b_1_all.deb: .*by hand"):
        gather(Sources(package=(package, lost)), tmp_path / "speech", lambda _: None)
    assert not (tmp_path / "speech" / "manifest.csv").exists(), "not whole yet"
    (tmp_path / "a_1_all.deb").unlink()
    (tmp_path / "speech" / "packages" / "mine.txt").touch()
    gathered(package, tmp_path / "speech")
    assert [path.name for path in (tmp_path / "speech" / "packages").iterdir()] == ["mine.txt"]
    assert len(find_clips(tmp_path / "speech", "train")) == 1
    with pytest.raises(FullbandError, match="gathered already"):
        gathered(package, tmp_path / "speech")


def test_a_package_that_is_not_the_known_one_is_refused(tmp_path: Path) -> None:
    package = write_package(tmp_path / "a_1_all.deb", {}, sha256="0" * 64)
    for _ in range(2):
        with pytest.raises(FullbandError, match=r"a_1_all.deb: its checksum .* removed"):
            gathered(package, tmp_path / "speech")
        assert not (tmp_path / "speech" / "packages" / "a_1_all.deb").exists()
    text = b"<html>no such page</html>"
    (tmp_path / "b_1_all.deb").write_bytes(text)
    page = package.model_copy(
        update={"url": (tmp_path / "b_1_all.deb").as_uri(), "sha256": hashlib.sha256(text).hexdigest()}
    )
    with pytest.raises(FullbandError, match="not a Debian package"):
        gathered(page, tmp_path / "speech")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    package = write_package(tmp_path / "a_1_all.deb", {})
    with pytest.raises(FullbandError, match=r"cannot make .*a_1_all.deb"):
        gathered(package, tmp_path / "a_1_all.deb" / "speech")


def test_the_list_that_ships_names_each_voice_once() -> None:
    from realtime.paths import CONFIGS

    packages = Sources.read(CONFIGS / "data" / "debian.toml").package
    speakers = [speaker for package in packages for speaker in package.voices]
    assert len(set(speakers)) == len(speakers) > 40
    assert all(package.url.startswith("https://deb.debian.org/") for package in packages)
