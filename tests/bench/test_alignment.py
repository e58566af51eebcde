"""What was lost or said twice is found in what was heard, to the sample."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.signals.alignment import align, on_clock
from bench.signals.material import at_48_khz, telephone_voice

DELAY = 672


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    return at_48_khz(telephone_voice(1.5))[0]


def _late(*pieces: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(DELAY, np.float32), *pieces])


def test_a_planted_delay_is_found_to_a_fraction_of_a_sample(voice: NDArray[np.float32]) -> None:
    found = align(_late(voice), voice, DELAY + 333)
    assert found.delay_ms(0.0, 2.0) == pytest.approx(1000.0 * DELAY / 48_000, abs=0.001)
    assert (found.lost, found.repeated, found.unheard) == (0, 0, 0)


@pytest.mark.parametrize("count", [1, 64, 4_000])
def test_lost_samples_are_counted(voice: NDArray[np.float32], count: int) -> None:
    found = align(_late(voice[:30_000], voice[30_000 + count :]), voice, DELAY)
    assert (found.lost, found.repeated) == (count, 0)


@pytest.mark.parametrize("count", [1, 64, 4_000])
def test_repeated_samples_are_counted(voice: NDArray[np.float32], count: int) -> None:
    found = align(_late(voice[:30_000], voice[30_000 - count :]), voice, DELAY)
    assert (found.lost, found.repeated) == (0, count)


def test_a_hole_is_unheard_though_the_delay_is_the_same(voice: NDArray[np.float32]) -> None:
    heard = _late(voice)
    heard[30_000:32_400] = 0.0
    found = align(heard, voice, DELAY)
    assert (found.lost, found.repeated) == (0, 0)
    assert found.unheard == pytest.approx(2_400, abs=480)


@pytest.mark.parametrize("ppm", [300.0, -300.0])
@pytest.mark.parametrize("count", [-64, -1, 1, 64])
def test_samples_lost_and_repeated_on_two_clocks_are_counted(
    voice: NDArray[np.float32], ppm: float, count: int
) -> None:
    said = on_clock(np.tile(voice, 3), ppm)
    place = 130_000  # when the loop would be closed
    found = align(_late(said[:place], said[place + count :]), said, DELAY, steered=True)
    assert (found.lost, found.repeated) == (max(count, 0), max(-count, 0))


def test_a_delay_that_drifts_is_no_slip(voice: NDArray[np.float32]) -> None:
    said = np.tile(voice, 3)
    found = align(_late(on_clock(said, 50.0)), said, DELAY, steered=True)
    assert (found.lost, found.repeated) == (0, 0)


def test_a_hole_of_five_milliseconds_is_unheard_where_it_is_strict(voice: NDArray[np.float32]) -> None:
    heard = _late(voice)
    heard[30_000:30_240] = 0.0
    assert align(heard, voice, DELAY).unheard == 0
    assert align(heard, voice, DELAY, strict=True).unheard == 240


def test_a_voice_that_begins_late_is_unheard_until_then(voice: NDArray[np.float32]) -> None:
    heard = _late(voice)
    heard[: DELAY + 9_600] = 0.0
    assert align(heard, voice, DELAY).unheard == pytest.approx(9_600, abs=480)
