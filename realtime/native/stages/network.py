"""A network as a stage: its high band added to its own delayed input, or its signal in the place of that.

Where its signal is not what it should be (it has just begun afresh, its cutoff is another), it fades out and the
delayed input is left.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc

from .. import COMPILE
from ..continuation import FADE_SAMPLES
from ..memory import floats_at, load_acquire, record_at
from ..network import CHANGED_OFFSET, NETWORK, SETTLED_OFFSET, network_index, run_hops
from ..ramp import RAMP, next_gain, smooth_step
from ..ring import RING, read, written
from ..stage import HEAD_FIELDS, STEP

NETWORK_STAGE = np.dtype(
    [
        *HEAD_FIELDS,
        ("network", np.int64),  # reads the ring of the stage's input
        ("latency", np.int64),  # samples by which the stage is late
        ("wet", np.int64),  # float32 [lanes, frames]
        ("level", np.int64),  # ramp of the high band, of a model that does not take its level itself
        ("good_run", np.int64),
        ("gain", np.float64),
    ],
    align=True,
)


@cfunc(STEP, **COMPILE)
def network_step(state, source, target, frames):  # type: ignore[no-untyped-def]
    """See :mod:`..stage`."""
    stage = record_at(state, NETWORK_STAGE)
    network = record_at(stage.network, NETWORK)
    level_ramp = record_at(stage.level, RAMP)
    low = record_at(network.low, RING)
    run_hops(network)
    position = written(low) - frames - stage.latency
    index = network_index(network, position)
    y = floats_at(target, (stage.lanes, frames))
    wet = floats_at(stage.wet, (stage.lanes, frames))
    read(low, position, y, frames)
    read(record_at(network.high, RING), index, wet, frames)
    settled = max(load_acquire(network.address + SETTLED_OFFSET), load_acquire(network.address + CHANGED_OFFSET))
    unsettled = settled - index
    for i in range(frames):
        stage.good_run = stage.good_run + 1 if i >= unsettled else 0
        change = 1.0 if stage.good_run > network.recover_samples else -1.0
        stage.gain = min(max(stage.gain + change / FADE_SAMPLES, 0.0), 1.0)
        gain = np.float32(smooth_step(stage.gain))
        room = np.float32(1.0) - gain if network.replace != 0 else np.float32(1.0)
        gain *= np.float32(next_gain(level_ramp))
        for lane in range(stage.lanes):
            y[lane, i] = room * y[lane, i] + gain * wet[lane, i]
    return 0
