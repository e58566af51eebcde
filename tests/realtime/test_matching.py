"""How bright a microphone is, found in full-band recordings of it."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from typer.testing import CliRunner

from realtime.cli import app
from realtime.errors import FullbandError
from realtime.matching import compare, difference, fit
from realtime.paths import find_model
from realtime.wishes import HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB, Brightness
from tests.servers import poll

from .hosts import ROUTES, exchange, spawned, started
from .microphones import recorded

RATE_HZ = 48_000
CUTOFF_HZ = 8_000.0
#: Half a second of each, which swells and fades as a syllable does.
SPOKEN = np.sin(2.0 * np.pi * np.minimum(np.arange(4 * RATE_HZ) % RATE_HZ / RATE_HZ, 0.5)) ** 2


def _sounds(seed: int) -> NDArray[np.float32]:
    """Half seconds of noise, with pauses as long between them."""
    noise = np.random.default_rng(seed).standard_normal(4 * RATE_HZ)
    return np.asarray(0.1 * noise * SPOKEN, np.float32)


def _equalised(samples: NDArray[np.float32], match: Brightness, cutoff_hz: float = CUTOFF_HZ) -> NDArray[np.float32]:
    frequency = np.fft.rfftfreq(len(samples), 1.0 / RATE_HZ)
    above = frequency > cutoff_hz
    gain_db = above * (match.level_db + match.tilt_db * np.log2(np.where(above, frequency / cutoff_hz, 1.0)))
    return np.fft.irfft(np.fft.rfft(samples) * 10.0 ** (gain_db / 20.0), len(samples)).astype(np.float32)


@pytest.mark.parametrize("match", [Brightness(0.0, 0.0), Brightness(-6.0, 3.0), Brightness(4.0, -9.0)])
def test_another_brightness_is_found_sound_by_other_sound(match: Brightness) -> None:
    found = fit([difference(_sounds(1), _equalised(_sounds(2), match), CUTOFF_HZ)])
    assert found == pytest.approx(tuple(match), abs=0.3)


def test_noise_in_pauses_says_nothing() -> None:
    voice, noise = _equalised(_sounds(2), Brightness(-6.0, 3.0)), np.random.default_rng(3).standard_normal(len(SPOKEN))
    hissing = voice + _equalised(np.where(SPOKEN > 0.0, 0.0, 5e-5 * noise).astype(np.float32), Brightness(8.0, 0.0))
    found, without = (fit([difference(_sounds(1), heard, CUTOFF_HZ)]) for heard in (hissing, voice))
    assert found == pytest.approx(tuple(without), abs=0.5)


@pytest.mark.parametrize("colour", [0.0, -0.5])
def test_the_noise_of_a_place_is_no_brightness(microphone: Path, colour: float) -> None:
    voice, _ = soundfile.read(microphone, dtype="float32")
    spectrum = np.fft.rfft(np.random.default_rng(4).standard_normal(len(voice)))
    noise = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 100.0) ** colour, len(voice))
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2))
    model = find_model("default")
    assert model is not None
    for ratio_db in (40.0, 30.0):
        loud = (voice + 10.0 ** (-ratio_db / 20.0) * noise).astype(np.float32)
        found = fit([compare(loud, 24_000.0, model, CUTOFF_HZ)])
        # In the midst of the high band.
        assert found.level_db + 0.7 * found.tilt_db == pytest.approx(-4.0 + 0.7 * 3.0, abs=2.0)
    with pytest.raises(FullbandError, match="noise covers"):
        compare((voice + 0.3 * noise).astype(np.float32), 24_000.0, model, CUTOFF_HZ)


def test_what_is_softer_than_rounding_is_no_brightness() -> None:
    quiet = 1e-5 * _sounds(1)
    assert fit([difference(quiet, _equalised(quiet, Brightness(-20.0, 0.0)), CUTOFF_HZ)]) == pytest.approx(
        (0, 0), abs=0.1
    )


def test_several_recordings_meet_in_the_middle() -> None:
    bright, dull = (
        difference(_sounds(1), _equalised(_sounds(2), Brightness(level_db, 3.0)), CUTOFF_HZ) for level_db in (6.0, -2.0)
    )
    both = fit([bright, dull])
    assert both == pytest.approx((2.0, 3.0), abs=0.3)
    assert bright.left_db(fit([bright])) < bright.left_db(both) < bright.left_db(fit([dull]))


def test_nothing_is_heard_above_the_end_of_a_recording() -> None:
    cut = _equalised(_sounds(2), Brightness(-90.0, 0.0), 14_000.0)
    found = difference(_sounds(1), cut, CUTOFF_HZ, 13_500.0)
    assert found.octaves[-1] < np.log2(13.5 / 8.0)
    assert fit([found]) == pytest.approx((0.0, 0.0), abs=1.0)


def test_what_reaches_no_further_than_the_cutoff_has_no_say() -> None:
    telling = difference(_sounds(1), _equalised(_sounds(2), Brightness(-6.0, 3.0)), CUTOFF_HZ)
    ended = [difference(_sounds(1), _sounds(2), CUTOFF_HZ, end_hz) for end_hz in (4_000.0, 8_400.0, 9_000.0)]
    assert fit([telling, *ended]) == fit([telling])
    assert fit(ended) == (0.0, 0.0)


def test_what_cannot_be_wished_for_is_come_as_near_to_as_can_be() -> None:
    one = difference(_sounds(1), _equalised(_sounds(2), Brightness(0.0, -20.0)), CUTOFF_HZ)
    match = fit([one])
    assert match.tilt_db == HIGH_TILT_RANGE_DB[0]
    assert HIGH_LEVEL_RANGE_DB[0] <= match.level_db < -1.0
    assert one.left_db(match) < min(one.left_db(match._replace(level_db=match.level_db + by)) for by in (-1.0, 1.0))


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full-band recording by a microphone that is known to be 4 dB less bright, and 3 dB an octave more."""
    path = tmp_path_factory.mktemp("microphone") / "studio.wav"
    soundfile.write(path, recorded(Brightness(-4.0, 3.0), 8.0, CUTOFF_HZ), RATE_HZ, subtype="PCM_24")
    return path


def _run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["match", *map(str, arguments)])


def test_the_command_finds_a_microphone_and_saves_it(microphone: Path, tmp_path: Path) -> None:
    preset = tmp_path / "mic.toml"
    done = _run(microphone, "--save", preset, "--json", "-")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["level_db"], report["tilt_db"]) == pytest.approx((-4.0, 3.0), abs=0.5)
    (found,) = report["recordings"]
    assert found["left_db"] < 0.5 < 2.0 < found["off_db"]
    saved = tomllib.loads(preset.read_text())
    wishes = {"high_level_db": report["level_db"], "high_tilt_db": report["tilt_db"]}
    assert saved == {**wishes, "high_pivot_hz": CUTOFF_HZ}
    again = _run(microphone.parent, "--save", preset)
    assert isinstance(again.exception, FullbandError) and "--force" in str(again.exception)
    kept = _run(microphone.parent, "--config", preset, "--model", "light", "--save", preset, "--force")
    assert kept.exit_code == 0 and f"--level {tomllib.loads(preset.read_text())['high_level_db']:g}" in kept.stdout
    assert tomllib.loads(preset.read_text())["model"] == "light"


@pytest.mark.server
@pytest.mark.parametrize("name", ["pipewire", "jack"])
def test_a_microphone_that_is_spoken_into_is_found(name: str, microphone: Path, tmp_path: Path) -> None:
    samples, _ = soundfile.read(microphone, dtype="float32")
    kept, route = tmp_path / "spoken.wav", ROUTES[name]
    command = ["-c", "from realtime.cli import main; main()", "match", "--input", route.host_input, "--seconds", "6"]
    command += ["--keep", str(kept), "--json", "-"]
    with started(name, 256) as server, spawned(server, command) as (process, log):
        poll(lambda: "speak into" in log.read_text() or process.poll() is not None, "to be asked to speak", 180.0)
        # Nothing is played: a client has the microphone alone to listen to.
        exchange(server, replace(route, listen=route.host_input), samples)
        told, _ = process.communicate(timeout=120.0)
        assert process.returncode == 0, log.read_text()
    report = json.loads(told)
    assert (report["level_db"], report["tilt_db"]) == pytest.approx((-4.0, 3.0), abs=1.0)
    assert report["recordings"][0]["recording"] == route.host_input
    spoken, rate_hz = soundfile.read(kept)
    assert (len(spoken), rate_hz) == (6 * RATE_HZ, RATE_HZ)


def test_what_tells_nothing_is_refused_in_a_line(microphone: Path, tmp_path: Path) -> None:
    samples, _ = soundfile.read(microphone, dtype="float32")
    soundfile.write(tmp_path / "call.wav", soxr.resample(samples, RATE_HZ, 16_000), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(2 * RATE_HZ), RATE_HZ)
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ((tmp_path / "call.wav",), "its band ends at 8000 Hz"),
        ((tmp_path / "silent.wav",), "0.0 s of speech"),
        ((tmp_path / "empty",), "no audio files"),
        ((tmp_path / "none.wav",), "no such file"),
        ((microphone, "--model", "none"), "no model to match"),
        ((microphone, "--seconds", "5"), "give them, or recordings"),
        ((microphone, "--model", "study-unet", "--cutoff", "6000"), "no tilt"),
    ):
        error = _run(*arguments).exception
        assert isinstance(error, FullbandError) and words in str(error), (arguments, error)
    assert _run(tmp_path / "call.wav", "--cutoff", "4000").exit_code == 0
