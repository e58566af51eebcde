"""What is looked at is all that was played: levels, spectra and scrolling columns, whatever the pace of the looks."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.console.snapshot import FLOOR_DBFS
from realtime.console.sound import COLUMN_SECONDS, HOLD_SECONDS, PeakHold, SoundWatch
from realtime.native.ring import RING_SAMPLES, Ring
from tests.realtime.playing import RATE_HZ, tone


def test_a_peak_is_held_and_then_falls_and_rises_at_once() -> None:
    hold = PeakHold()
    assert hold.see(-6.0, 0.0, 0.0) == -6.0
    assert hold.see(-40.0, HOLD_SECONDS - 0.1, HOLD_SECONDS - 0.1) == -6.0
    assert hold.see(-40.0, HOLD_SECONDS + 0.5, 0.6) == pytest.approx(-16.0)
    assert hold.see(-40.0, HOLD_SECONDS + 1.0, 0.5) == pytest.approx(-26.0)
    assert hold.see(-3.0, HOLD_SECONDS + 1.1, 0.1) == -3.0
    assert hold.see(-40.0, HOLD_SECONDS + 60.0, 58.9) == -40.0


@pytest.mark.parametrize("looks_per_second", [5, 12, 30])
def test_no_peak_is_missed_between_looks(looks_per_second: int) -> None:
    ring = Ring(1, RING_SAMPLES)
    watch = SoundWatch(ring)
    samples = np.zeros(RATE_HZ, np.float32)
    samples[7_777] = -0.5
    peaks = []
    for index, piece in enumerate(np.array_split(samples, looks_per_second)):
        ring.append(piece[None])
        watch.look(index / looks_per_second)
        peaks.append(watch.sound().peak_dbfs)
    assert max(peaks) == pytest.approx(-6.02, abs=0.01)
    assert watch.sound().held_dbfs == pytest.approx(-6.02, abs=0.01)


def test_a_tone_is_at_its_frequency_and_level() -> None:
    ring = Ring(1, RING_SAMPLES)
    watch = SoundWatch(ring)
    ring.append(tone(1.0, 0.1, 6_000.0)[None])
    watch.look(0.0)
    seen = watch.sound()
    assert int(np.argmax(seen.spectrum_db)) == round(6_000 / 24_000 * 1024)
    assert seen.spectrum_db.max() == pytest.approx(-20.0, abs=0.1)
    assert seen.level_dbfs == pytest.approx(-23.0, abs=0.1)
    assert int(np.argmax(seen.columns_db[-1])) == 24
    assert seen.columns_db[-1].max() == pytest.approx(-20.0, abs=0.1)
    for now_s in (0.0, 0.5):
        ring.append(np.zeros((1, 4_096), np.float32))
        watch.look(now_s)
    assert watch.sound().spectrum_db.max() == pytest.approx(-40.0, abs=0.1), "it falls by 40 dB a second"


def test_columns_come_with_the_audio_not_with_the_looks() -> None:
    counts = []
    for pieces in (7, 100):
        ring = Ring(1, RING_SAMPLES)
        watch = SoundWatch(ring)
        for index, piece in enumerate(np.array_split(tone(4.0), pieces)):
            ring.append(piece[None])
            watch.look(index * 4.0 / pieces)
        counts.append(watch.sound().column_count)
    assert counts[0] == counts[1] == int(4.0 / COLUMN_SECONDS)


def test_the_newest_columns_are_last_after_the_memory_has_gone_round() -> None:
    ring = Ring(1, RING_SAMPLES)
    watch = SoundWatch(ring)
    second = np.zeros((1, RATE_HZ), np.float32)
    for index in range(50):
        ring.append(second)
        watch.look(float(index))
    ring.append(tone(0.5)[None])
    watch.look(50.0)
    columns = watch.sound().columns_db
    assert columns.shape[0] == 512
    assert columns[-3:].max(axis=1).min() > -20.0
    assert columns[:-8].max() == FLOOR_DBFS
