"""A loop from speaker to microphone is turned down before it is loud; what is no loop is left alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.feedback import FeedbackGuard, HowlDetector
from realtime.native.callbacks import serve_duplex
from realtime.paths import VOICE_CLIP, find_model
from realtime.session import Session
from realtime.settings.live import LiveSettings
from realtime.taps import Tap

RATE_HZ = 48_000
BLOCK = 128
POLL_BLOCKS = 37
DELAY_SAMPLES = 1_200
SECONDS = np.arange(3 * RATE_HZ) / RATE_HZ


def _room(gain_db: float) -> NDArray[np.float64]:
    """From speaker to microphone [n]: a delay and some reflections, and *gain_db* where it passes most."""
    rng = np.random.default_rng(0)
    response = np.zeros(4_800)
    response[DELAY_SAMPLES] = 1.0
    tail = rng.standard_normal(3_000) * (rng.random(3_000) < 0.15) * np.exp(-np.arange(3_000) / 1_000)
    response[DELAY_SAMPLES + 100 : DELAY_SAMPLES + 3_100] += 0.3 * tail
    frequency_hz = np.fft.rfftfreq(1 << 14, 1 / RATE_HZ)
    spectrum = np.fft.rfft(response, 1 << 14)
    spectrum /= np.sqrt((1 + (250 / np.maximum(frequency_hz, 1.0)) ** 4) * (1 + (frequency_hz / 5_000) ** 4))
    response = np.fft.irfft(spectrum)[: len(response)]
    response[: DELAY_SAMPLES // 2] = 0.0
    return response * 10 ** (gain_db / 20) / np.abs(np.fft.rfft(response, 1 << 14)).max()


@dataclass
class _Loop:
    """What was heard, and what the guard said and did, poll by poll."""

    heard: NDArray[np.float32]
    lines: list[str] = field(default_factory=list)
    ducks_db: list[float] = field(default_factory=list)
    ducks: int = 0

    @property
    def level_db(self) -> NDArray[np.float64]:
        """Of each 10 ms."""
        pieces = self.heard[: len(self.heard) // 480 * 480].reshape(-1, 480).astype(float)
        return 10 * np.log10(np.mean(pieces**2, axis=1) + 1e-14)


def _loop(gain_db: float, said: NDArray[np.float32], guarded: bool = True, model: str = "none") -> _Loop:
    room = np.fft.rfft(_room(gain_db), 1 << 13)
    loop = _Loop(np.zeros(len(said) // BLOCK * BLOCK, np.float32))
    played, past = np.zeros(BLOCK, np.float32), np.zeros(4_800 + BLOCK)
    settings = EngineSettings(find_model(model), cutoff_hz=8_000.0)
    with Engine(StreamFormat(RATE_HZ, RATE_HZ, BLOCK), settings) as engine:
        guard, tap = FeedbackGuard(engine.wishes.set_duck_db), Tap(engine.low)
        for block, start in enumerate(range(0, len(loop.heard), BLOCK)):
            # What was played until now comes back; the room is later than a block.
            returned = np.fft.irfft(np.fft.rfft(past, 1 << 13) * room)[4_800 : 4_800 + BLOCK]
            mic = np.clip(said[start : start + BLOCK] + returned, -1.0, 1.0).astype(np.float32)
            serve_duplex(engine.port_address, mic, played, BLOCK, 0)
            engine.run_hops()
            loop.heard[start : start + BLOCK] = played
            past[:-BLOCK] = past[BLOCK:]
            past[4_800 - BLOCK : 4_800] = played
            if guarded and block % POLL_BLOCKS == 0:
                line = guard.poll(tap.read()[0])
                loop.lines += [line] if line else []
                loop.ducks_db.append(guard.duck_db)
        loop.ducks = guard.ducks
    return loop


def _hiss(seconds: float) -> NDArray[np.float32]:
    return (1e-4 * np.random.default_rng(1).standard_normal(int(seconds * RATE_HZ))).astype(np.float32)


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    samples, _ = soundfile.read(VOICE_CLIP, dtype="float32", stop=3 * RATE_HZ)
    return np.asarray(0.5 * samples + _hiss(3.0)[: len(samples)], np.float32)


@pytest.mark.parametrize(("gain_db", "loudest_db"), [(3.0, -35.0), (8.0, -15.0)])
def test_a_loop_in_a_quiet_room_is_turned_down_before_it_is_loud_and_named_once(
    gain_db: float, loudest_db: float
) -> None:
    bare = _loop(gain_db, _hiss(2.5), guarded=False)
    assert bare.level_db[-50:].max() > -10.0, "without a guard it howls"
    loop = _loop(gain_db, _hiss(2.5))
    assert loop.level_db.max() < loudest_db
    assert loop.level_db[-50:].max() < -50.0
    assert loop.ducks >= 1
    (line,) = loop.lines
    spectrum = np.abs(np.fft.rfft(bare.heard[-1 << 14 :] * np.hanning(1 << 14)))
    assert f"{np.argmax(spectrum) * RATE_HZ / (1 << 14) / 100:.0f}" in {
        f"{float(line.split()[2]) / 100:.0f}",
        f"{float(line.split()[2]) / 100 + 0.1:.0f}",
        f"{float(line.split()[2]) / 100 - 0.1:.0f}",
    }


def test_a_loop_through_the_shipped_network_under_a_voice_is_turned_down(voice: NDArray[np.float32]) -> None:
    loop = _loop(6.0, voice, model="default")
    assert loop.ducks >= 1
    assert loop.level_db[-30:].max() < -15.0


def test_a_voice_in_a_loop_that_does_not_howl_is_left_alone(voice: NDArray[np.float32]) -> None:
    loop = _loop(-3.0, voice)
    assert set(loop.ducks_db) == {0.0}


def _sounds() -> dict[str, NDArray[np.float64]]:
    t = SECONDS
    keys = np.zeros_like(t)
    for k, (low, high) in enumerate([(697, 1209), (770, 1336), (852, 1477), (941, 1633)] * 3):
        on = (t >= 0.2 * k) & (t < 0.2 * k + 0.1)
        keys[on] = 0.2 * (np.sin(2 * np.pi * low * t[on]) + np.sin(2 * np.pi * high * t[on]))
    phase = 2 * np.pi * np.cumsum(220 * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * t))) / RATE_HZ
    vowel = sum(0.1 * np.exp(-(((k * 220 - 600) / 400) ** 2) / 2) * np.sin(k * phase) for k in range(1, 20))
    return {
        "keys of a telephone": keys,
        "dial tone": 0.2 * np.sin(2 * np.pi * 425 * t) * (t > 0.5),
        "beeps": 0.3 * np.sin(2 * np.pi * 1_000 * t) * (t % 1.0 < 0.3),
        "sung vowel": np.asarray(vowel * np.clip(t / 0.3, 0.0, 1.0)),
        "noise": 0.05 * np.random.default_rng(2).standard_normal(len(t)),
        "silence": np.zeros_like(t),
    }


@pytest.mark.parametrize("name", list(_sounds()))
def test_what_is_no_howl_is_not_even_suspected(name: str) -> None:
    sound = _sounds()[name].astype(np.float32)
    detector = HowlDetector()
    assert not any(detector.push(sound[k : k + 4_800])[0] for k in range(0, len(sound), 4_800))


@pytest.mark.parametrize(("hz", "suspected"), [(280.0, False), (1_400.0, True)])
def test_a_tenth_of_a_second_of_growth_is_a_howl_only_above_the_vowels(hz: float, suspected: bool) -> None:
    """A word that begins may have one harmonic that grows alone and straight for so long."""
    level_db = np.interp(SECONDS, [0.5, 0.501, 0.62], [-120.0, -50.0, -25.0])
    swelling = (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * SECONDS))[: RATE_HZ * 62 // 100].astype(np.float32)
    detector = HowlDetector()
    found = [detector.push(swelling[k : k + 480])[0] for k in range(0, len(swelling), 480)]
    assert any(found) == suspected


def test_a_voice_by_itself_is_never_suspected() -> None:
    samples, _ = soundfile.read(VOICE_CLIP, dtype="float32")
    detector = HowlDetector()
    assert not any(detector.push(samples[k : k + 4_800])[0] for k in range(0, len(samples), 4_800))


def test_a_tone_that_is_faded_in_is_tested_and_then_left_alone() -> None:
    """It grows as a howl does, and cannot be told from one until the output is turned down."""
    tone = 0.1 * np.sin(2 * np.pi * 1_400 * SECONDS) * 10 ** (-2 * np.clip(1 - SECONDS, 0, 1))
    asked: list[float] = []
    guard = FeedbackGuard(asked.append)
    pieces = tone.astype(np.float32).reshape(-1, 4_800)
    assert not any(guard.poll(piece) for piece in pieces)
    assert asked[0] < 0.0, "suspected"
    assert asked[-1] == 0.0, "and acquitted"
    assert len(asked) == 2
    assert guard.ducks == 0


def test_the_size_of_the_pieces_makes_no_difference() -> None:
    tone = (0.1 * np.sin(2 * np.pi * 1_400 * SECONDS) * 10 ** (-2 * np.clip(1 - SECONDS, 0, 1))).astype(np.float32)
    seen = []
    for size in (480, 4_800):
        detector = HowlDetector()
        found = [detector.push(tone[k : k + size])[0] for k in range(0, len(tone), size)]
        seen.append(next(s for s in found if s is not None).hz)
    assert seen[0] == pytest.approx(seen[1], abs=1.0)


def test_a_session_counts_howls_and_can_be_told_not_to_look() -> None:
    settings = LiveSettings(backend="simulated", model="none", seconds=0.1)
    with Session(settings) as session:
        assert session.statistics().as_dict()["feedback_ducks"] == 0
        session._lookout.feedback._duck(-20.0)
        session.reload(settings.model_copy(update={"feedback_guard": False}))
        assert session._lookout.feedback.duck_db == 0.0
