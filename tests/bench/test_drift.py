"""However callbacks come, the delay between two clocks stays and a tone is clean."""

from __future__ import annotations

import numpy as np
import pytest

from bench.drift import run
from bench.drift.run import TIMINGS, Timing


@pytest.mark.parametrize("timing", TIMINGS, ids=lambda timing: timing.name)
def test_callbacks_that_come_early_late_or_together_leave_the_delay_alone(timing: Timing) -> None:
    found = run.play(timing, 300.0, 1.0)
    assert found.problems == ()
    assert found.steered_ppm == pytest.approx(300.0, abs=20.0)
    assert (found.late_resyncs, found.late_holes) == (0, 0)


def test_a_slip_of_one_sample_in_a_tone_would_be_seen() -> None:
    tone = np.sin(2.0 * np.pi * 1_000.0 * np.arange(5 * run.RATE_HZ) / run.RATE_HZ)
    assert run._spurs_db(tone, 1_000.0) < -120.0
    assert run._spurs_db(np.delete(tone, 100_000), 1_000.0) > run.MOST_SPURS_DB
    moved = run._phases(np.delete(tone, 100_000), 0, 1_000.0)
    assert moved[-1] - moved[0] == pytest.approx(-1_000.0 / run.RATE_HZ, abs=1e-6)
