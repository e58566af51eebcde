"""Noise that is extended, and first words that lose their high band, are told as problems."""

from __future__ import annotations

from dataclasses import replace

import pytest
import soundfile

from bench.bandwidth.noise import BEGINNINGS, NoiseGain, VoiceStart, voice_start
from bench.bandwidth.report import noise_problems
from realtime.paths import VOICE_CLIP, find_model

_NOTHING = NoiseGain("fan", -50.0, 8_000.0, True, 0.0, -110.0, 0.0, -110.0, 0.0, -110.0)
_WHOLE = VoiceStart(BEGINNINGS[0], 8_000.0, 12, 1.0, 10.0, 30.0)


def test_noise_that_is_left_alone_and_whole_words_are_no_problem() -> None:
    assert noise_problems([_NOTHING], [_WHOLE]) == []


@pytest.mark.parametrize("span", ["first", "again", "later"])
@pytest.mark.parametrize(("figure", "value"), [("step_db", -20.0), ("gain_db", 1.0)])
def test_noise_that_is_extended_in_any_stretch_is_one(span: str, figure: str, value: float) -> None:
    extended = replace(_NOTHING, **{f"{span}_{figure}": value})  # type: ignore[arg-type]
    assert len(noise_problems([_NOTHING, extended], [_WHOLE])) == 1


def test_a_first_word_that_is_dull_is_one() -> None:
    assert len(noise_problems([_NOTHING], [replace(_WHOLE, lost_percent=20.0)])) == 1


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_voice_that_begins_in_any_way_is_soon_whole(kind: str) -> None:
    model = find_model("default")
    assert model is not None
    voice, _ = soundfile.read(VOICE_CLIP, dtype="float32")
    start = voice_start(model, [voice], 8_000.0, kind)
    assert start.lost_percent < 5.0
    assert start.median_whole_ms < 125.0
