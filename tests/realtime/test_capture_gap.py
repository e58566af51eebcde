"""A microphone that loses frames and says so: what was before ends softly and what comes begins softly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.native.callbacks import serve_duplex
from tests.realtime.playing import bend, tone

BLOCK = 128
INPUT_OVERFLOW = 0x2


def _heard(rate_hz: int, lost_frames: int, flags: int) -> NDArray[np.float32]:
    """A tone of which *lost_frames* are missing before the block in the middle."""
    x = tone(2.0, hz=300.0 * 48_000 / rate_hz)
    middle = len(x) // 2 // BLOCK * BLOCK
    x = np.concatenate([x[:middle], x[middle + lost_frames :]])
    heard = np.zeros(len(x) // BLOCK * BLOCK, np.float32)
    with Engine(StreamFormat(rate_hz, rate_hz, BLOCK), EngineSettings(None)) as engine:
        for start in range(0, len(heard), BLOCK):
            piece = slice(start, start + BLOCK)
            serve_duplex(engine.port_address, x[piece], heard[piece], BLOCK, flags if start == middle else 0)
    return heard[BLOCK * 8 :]


@pytest.mark.parametrize("rate_hz", [16_000, 48_000, 96_000])
def test_frames_lost_by_the_device_are_no_click(rate_hz: int) -> None:
    lost = rate_hz // 500  # 0.6 of a period: from one side to the other
    calm = bend(_heard(rate_hz, 0, 0))
    assert bend(_heard(rate_hz, lost, 0)) > 20 * calm, "what is not said cannot be mended, and the test would see it"
    assert bend(_heard(rate_hz, lost, INPUT_OVERFLOW)) < 3 * calm


def test_what_is_not_flagged_is_not_touched() -> None:
    np.testing.assert_array_equal(_heard(48_000, 0, 0), _heard(48_000, 0, 0x4))
