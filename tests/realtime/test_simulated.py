"""The simulated device goes away and comes back as a real one does."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings
from realtime.errors import FullbandError


@pytest.mark.parametrize("capture_ppm", [None, 100.0])
def test_a_device_that_died_goes_on_where_it_was(noise: NDArray[np.float32], capture_ppm: float | None) -> None:
    with (
        SimulatedDevice(noise, 48_000, seconds=0.4, capture_ppm=capture_ppm) as device,
        Engine(device.stream, EngineSettings(None)) as engine,
    ):
        engine.start()
        device.start(engine)
        while device.record["played_frames"] < 4_800:
            time.sleep(0.001)
        device.die()
        while device.active:
            time.sleep(0.001)
        assert not device.ended
        device.stop()
        with pytest.raises(FullbandError, match="unplugged"):
            device.reopen()
        device.come_back()
        device.reopen()
        before = int(device.record["played_frames"])
        device.start(engine)
        device.wait()
        assert device.ended
        assert 4_800 <= before < device.played.shape[1]
        assert int(engine.capture["device_frames"]) == pytest.approx(19_200, abs=200)
        assert device.xruns < 20
