"""What the page does to a voice before the network, and what it keeps and shows of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from realtime.paths import WEIGHTS, shipped_models
from realtime.voip.web.band import BANDS, DELAY_SAMPLES, BandLimiter
from realtime.voip.web.card import measured, tables
from realtime.voip.web.taps import BAND_HZ, RANGE_DB, SpectrumTap, Take, column

RNG = np.random.default_rng(7)


def limited(samples: NDArray[np.float32], *bands: str) -> NDArray[np.float32]:
    """*samples* through the limiter, which is set to each of *bands* for an equal part."""
    limiter = BandLimiter(BANDS[bands[0]])
    frames = samples.reshape(-1, 480)
    out = []
    for k, frame in enumerate(frames):
        limiter.band = BANDS[bands[k * len(bands) // len(frames)]]
        out.append(limiter.limit(frame))
    return np.concatenate(out)


def tone(frequency_hz: float, frames: int = 60) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(480 * frames) / 48_000)).astype(np.float32)


def test_as_it_is_is_a_delay() -> None:
    noise = (0.1 * RNG.standard_normal(480 * 50)).astype(np.float32)
    out = limited(noise, "full")
    np.testing.assert_allclose(out[DELAY_SAMPLES:], noise[:-DELAY_SAMPLES], atol=1e-6)


@pytest.mark.parametrize(("band", "edge_hz"), [("telephone", 4_000.0), ("wideband", 8_000.0)])
def test_a_band_keeps_what_is_below_and_nothing_above(band: str, edge_hz: float) -> None:
    inside = limited(tone(0.85 * edge_hz), band)[4_800:]
    assert np.sqrt(2 * np.mean(inside**2)) == pytest.approx(0.5, rel=0.02)
    above = limited(tone(1.02 * edge_hz), band)[4_800:]
    assert 20 * np.log10(np.sqrt(2 * np.mean(above**2)) / 0.5) < -70.0


def test_a_change_of_band_is_no_click() -> None:
    """A low tone is in all bands: through every change it stays the same tone."""
    low = tone(1_000.0, 90)
    out = limited(low, "full", "telephone", "wideband")
    np.testing.assert_allclose(out[960:], low[960 - DELAY_SAMPLES : -DELAY_SAMPLES], atol=2e-4)


def test_a_column_tells_where_a_tone_is_and_how_loud() -> None:
    levels, high = column(tone(6_100.0, 2))
    assert int(levels.argmax()) == int(6_100.0 / BAND_HZ)
    low_db, high_db = RANGE_DB
    # 0.5 is -6 dB of full scale, beyond what can be shown; 40 dB less is within.
    assert levels.max() == 255
    quiet, _ = column(tone(6_100.0, 2) / 100.0)
    shown_db = low_db + float(quiet.max()) * (high_db - low_db) / 255.0
    assert shown_db == pytest.approx(-46.0, abs=2.5)
    assert high > 0.2
    assert column(tone(2_000.0, 2))[1] < 1e-9


def test_a_tap_that_is_not_read_forgets_and_does_not_grow() -> None:
    tap = SpectrumTap()
    for _ in range(1_000):
        tap.push(np.zeros(480, np.float32))
    assert tap.columns == 100


def test_a_recording_holds_both_sides_in_step() -> None:
    signal = (0.1 * RNG.standard_normal(480 * 40)).astype(np.float32)
    late = np.concatenate([np.zeros(300, np.float32), signal])[: len(signal)]
    take = Take(seconds=0.3, delay_samples=300)
    for k in range(40):
        part = slice(480 * k, 480 * (k + 1))
        take.push_before(signal[part])
        take.push_after(late[part])
    assert take.full
    before, after = (soundfile.read(io.BytesIO(take.wav(side)))[0] for side in ("before", "after"))
    assert len(before) == len(after) == 14_400
    np.testing.assert_allclose(before, after)


def test_the_page_shows_what_the_model_card_says_and_nothing_else() -> None:
    found = {table.heading: table for table in measured()}
    text = (WEIGHTS / "README.md").read_text().replace("`", "").replace("*", "")
    named = set(found["What they are"].columns[1:])
    assert {"default", "low-latency", "light"} <= named <= set(shipped_models())
    systems = {row[1] for row in found["Measured"].rows}
    assert named <= systems
    for table in found.values():
        for row in [table.columns, *table.rows]:
            assert all(cell in text for cell in row)


def test_what_looks_like_a_table_and_is_none_is_left_out() -> None:
    assert tables("# A\n| a |\nb\n| c | d |\n| e | f |\n| g | h |\n") == []
    (table,) = tables("# A\nwhat *it* is\n\n| a | `b` |\n|---|:-:|\n| 1 |\n")
    assert (table.heading, table.about, table.columns, table.rows) == ("A", "what it is", ["a", "b"], [["1", ""]])
