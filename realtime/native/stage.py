"""One stage of a chain: a function that turns audio into audio, and what the host does around every one of them.

A stage is a compiled function ``f(state, source, target, frames)``. *source* and *target* are planar float32
[lanes, frames] that do not overlap; *state* is the address of a record of its own, which begins with :data:`HEAD`. It
gives 0, or :data:`FAULT`.

Around it: the time that it takes, a bypass that is as late as the stage itself, and no trust. What is not audio (NaN,
infinity, a filter that has run away) is never passed on: what was heard of the stage is predicted and fades, the voice
goes past it, and it is heard again once it has been sound for a while.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from . import COMPILE
from .continuation import FADE_SAMPLES, HISTORY_SAMPLES, predict
from .histogram import CELLS, record_duration
from .memory import call_stage, floats_at, ints_at, record_at
from .ramp import RAMP_SAMPLES, smooth_step
from .ring import RING, read, write, written
from .system import now_ns

#: The type of a stage's function.
STEP = types.int64(types.int64, types.int64, types.int64, types.int64)

#: What a stage can say of a block: that it is not audio.
FAULT = 1

#: How the state of every stage begins.
HEAD_FIELDS = [("lanes", np.int64)]
HEAD = np.dtype(HEAD_FIELDS, align=True)

STAGE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "step",
            "state",
            "lanes",
            "input",  # ring of what it was given, in the stage's own time
            "latency",  # samples by which it is late
            "target",  # float32 [lanes, frames]: what it gives
            "dry",  # float32 [lanes, frames]: what it was given, as late
            "history",  # float32 [lanes, HISTORY_SAMPLES]: what was heard of it
            "history_position",
            "ending",  # float32 [lanes, FADE_SAMPLES]: how it went on that broke off, and is heard as its tail
            "tail",  # samples left of that
            "work",  # of predictions
            "bypass",  # written by the control plane
            "sound_run",  # samples since it last gave something that was not audio
            "faults",  # blocks that were not audio
            "histogram",
        )
    ]
    + [
        ("heard", np.float64),  # 1: all that is heard is the stage; 0: nothing is
        ("tail_room", np.float64),
    ],
    align=True,
)

#: +60 dBFS: what is louder is no audio but a filter that has become unstable.
_SANE_PEAK = 1000.0

#: A stage is heard again when it has given nothing but audio for a tenth of a second.
RECOVER_SAMPLES = 4_800


@njit(**COMPILE)
def _is_audio(block, lanes, frames):  # type: ignore[no-untyped-def]
    for lane in range(lanes):
        for i in range(frames):
            # False for NaN too.
            if not (abs(block[lane, i]) < _SANE_PEAK):
                return False
    return True


@njit(**COMPILE)
def _remember(stage, history, block, frames):  # type: ignore[no-untyped-def]
    position = stage.history_position
    for lane in range(stage.lanes):
        for i in range(frames):
            history[lane, (position + i) % HISTORY_SAMPLES] = block[lane, i]
    stage.history_position = (position + frames) % HISTORY_SAMPLES


@njit(**COMPILE)
def _blend(stage, block, frames, sound):  # type: ignore[no-untyped-def]
    """Put into *block* what is to be heard: of the stage, of its input as late, and of an end that is fading."""
    lanes = stage.lanes
    ring = record_at(stage.input, RING)
    dry = floats_at(stage.dry, (lanes, frames))
    history = floats_at(stage.history, (lanes, HISTORY_SAMPLES))
    ending = floats_at(stage.ending, (lanes, FADE_SAMPLES))
    read(ring, written(ring) - frames - stage.latency, dry, frames)
    wanted = sound and stage.bypass == 0 and stage.sound_run > RECOVER_SAMPLES
    change = (1.0 if wanted else -1.0) / RAMP_SAMPLES
    for i in range(frames):
        stage.heard = min(max(stage.heard + change, 0.0), 1.0)
        gain = smooth_step(stage.heard)
        room = 1.0 - gain - stage.tail_room * smooth_step(stage.tail / FADE_SAMPLES)
        newest = stage.history_position
        for lane in range(lanes):
            wet = np.float32(0.0)
            if sound:
                wet = np.float32(gain) * block[lane, i]
            if stage.tail > 0:
                wet += ending[lane, FADE_SAMPLES - stage.tail]
            history[lane, newest] = wet
            block[lane, i] = wet + np.float32(max(room, 0.0)) * dry[lane, i]
        stage.history_position = (newest + 1) % HISTORY_SAMPLES
        stage.tail = max(stage.tail - 1, 0)


@njit(**COMPILE)
def run_stage(stage, source, frames):  # type: ignore[no-untyped-def]
    """Put the block at the address *source* through the stage; gives the address of what is heard."""
    lanes = stage.lanes
    ring = record_at(stage.input, RING)
    write(ring, floats_at(source, (lanes, frames)), frames)
    began_ns = now_ns()
    status = call_stage(stage.step, stage.state, source, stage.target, frames)
    record_duration(ints_at(stage.histogram, CELLS), now_ns() - began_ns)
    block = floats_at(stage.target, (lanes, frames))
    sound = (status & FAULT) == 0 and _is_audio(block, lanes, frames)
    if not sound:
        stage.faults += 1
        stage.sound_run = 0
        if stage.heard > 0.0:
            left = stage.tail_room * smooth_step(stage.tail / FADE_SAMPLES)
            stage.tail_room = left + smooth_step(stage.heard)
            stage.tail = FADE_SAMPLES
            stage.heard = 0.0
            past = floats_at(stage.history, (lanes, HISTORY_SAMPLES))
            for lane in range(lanes):
                predict(past, lane, stage.history_position, floats_at(stage.ending, (lanes, FADE_SAMPLES)), stage.work)
    if sound and stage.bypass == 0 and stage.heard == 1.0 and stage.tail == 0:
        _remember(stage, floats_at(stage.history, (lanes, HISTORY_SAMPLES)), block, frames)
    else:
        _blend(stage, block, frames, sound)
    stage.sound_run += frames
    return stage.target
