"""The compressor: its curve and its times are those of the paper, and all lanes move together."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.plugins.compressor import CompressorStage

RATE_HZ = 48_000
FRAMES = 64


def _through(x: NDArray[np.float32], **values: float) -> NDArray[np.float64]:
    """The gain in dB at every sample of *x* [lanes, n], which is nowhere zero."""
    stage = CompressorStage(len(x))
    for name, value in values.items():
        stage.set(name, value)
    stage.bind(FRAMES, 0)
    stage.reset()
    step = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 5)(stage.step)
    y = np.zeros_like(x)
    for first in range(0, x.shape[1], FRAMES):
        source = np.ascontiguousarray(x[:, first : first + FRAMES])
        target = np.zeros_like(source)
        assert step(stage.state, source.ctypes.data, target.ctypes.data, source.shape[1]) == 0
        y[:, first : first + FRAMES] = target
    gain = 20.0 * np.log10(y.astype(np.float64) / x)
    np.testing.assert_allclose(stage.meters()["gain_db"], gain[0, -1] - values.get("makeup_db", 0.0), atol=1e-4)
    return gain


def _square(*pieces: tuple[float, float]) -> NDArray[np.float32]:
    """A wave of ±1 at so many dBFS for so many seconds, one after the other: its peak and its mean are the same."""
    parts = [np.full(round(s * RATE_HZ), 10.0 ** (db / 20.0)) for db, s in pieces]
    signs = np.where(np.arange(sum(map(len, parts))) // 24 % 2, -1.0, 1.0)
    return (np.concatenate(parts) * signs).astype(np.float32)[None]


@pytest.mark.parametrize("rms_ms", [0.0, 10.0])
@pytest.mark.parametrize(("ratio", "knee_db"), [(3.0, 0.0), (3.0, 12.0), (20.0, 6.0), (1.0, 6.0)])
def test_a_steady_level_is_made_softer_along_the_curve(rms_ms: float, ratio: float, knee_db: float) -> None:
    threshold_db = -24.0
    for level_db in np.arange(-48.0, 0.0, 4.0):
        if 2.0 * abs(level_db - threshold_db) <= knee_db:
            over = level_db - threshold_db + knee_db / 2.0
            expected = level_db + (1.0 / ratio - 1.0) * over**2 / (2.0 * knee_db) if knee_db else level_db
        else:
            expected = min(level_db, threshold_db + (level_db - threshold_db) / ratio)
        values = {"threshold_db": threshold_db, "ratio": ratio, "knee_db": knee_db, "rms_ms": rms_ms}
        gain = _through(_square((level_db, 0.3)), attack_ms=5.0, makeup_db=2.0, **values)
        assert level_db + gain[0, -1] == pytest.approx(expected + 2.0, abs=0.01)


def test_the_level_of_a_tone_is_that_of_its_power() -> None:
    tone = np.sqrt(2.0) * 0.1 * np.cos(2 * np.pi * 1_000.5 * np.arange(RATE_HZ) / RATE_HZ + 0.1)
    gain = _through(tone.astype(np.float32)[None], threshold_db=-40.0, ratio=2.0, knee_db=0.0, rms_ms=100.0)
    assert gain[0, -1] == pytest.approx(-10.0, abs=0.1)


def test_attack_and_release_take_their_times_whatever_there_is_to_go() -> None:
    for loud_db in (-14.0, -4.0):
        x = _square((-60.0, 0.1), (loud_db, 1.0), (-60.0, 1.0))
        gain = _through(x, threshold_db=-24.0, ratio=20.0, knee_db=0.0, attack_ms=20.0, release_ms=300.0, rms_ms=0.0)[0]
        full = gain[round(1.09 * RATE_HZ)]
        assert full == pytest.approx(-(loud_db + 24.0) * 0.95, abs=0.01)
        assert gain[round(0.12 * RATE_HZ)] == pytest.approx(full * (1.0 - np.exp(-1.0)), rel=0.01)
        # Falling, it goes through both, one after the other.
        attack_s, release_s, t = 0.02, 0.3, 0.3
        left = (release_s * np.exp(-t / release_s) - attack_s * np.exp(-t / attack_s)) / (release_s - attack_s)
        assert gain[round((1.1 + t) * RATE_HZ)] == pytest.approx(full * left, rel=0.01)


def test_all_lanes_have_the_gain_of_the_loudest() -> None:
    x = np.concatenate([_square((-6.0, 0.3)), _square((-40.0, 0.3))])
    gain = _through(x)
    np.testing.assert_allclose(gain[0], gain[1], atol=1e-4)
    assert gain[1, -1] < -10.0


def test_silence_is_silence_and_what_follows_is_heard() -> None:
    stage = CompressorStage(1)
    stage.bind(FRAMES, 0)
    stage.reset()
    step = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 5)(stage.step)
    silence, target = np.zeros((1, FRAMES), np.float32), np.ones((1, FRAMES), np.float32)
    for _ in range(1_000):
        step(stage.state, silence.ctypes.data, target.ctypes.data, FRAMES)
    assert not target.any()
    assert stage.meters() == {"gain_db": 0.0}
