"""Some lanes of the network that run as one batch, and who has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..engine import Engine, EngineSettings
from ..native.batch import give, take
from ..onnx.contract import RATE_HZ
from ..paths import find_model
from ..stream import StreamFormat
from ..wishes import Brightness
from .frames import FRAME_MS, FRAME_SAMPLES, Frame

#: A lane that was left is kept silent for so many frames before another voice has it: none of the one before must be
#: heard in it, and the network's states have then forgotten it.
_REST_FRAMES = 30

#: In dB, for a model that takes a level: no high band at all.
_NO_HIGH_BAND_DB = -120.0


class Batch:
    """An engine of *lanes* streams that is given a frame of each and gives one of each back, on a caller's clock."""

    def __init__(self, model: str, lanes: int) -> None:
        self.lanes = lanes
        stream = StreamFormat(RATE_HZ, RATE_HZ, FRAME_SAMPLES, lanes, lanes)
        # The network is waited for within the tick, which gives the block back that live needs to hand it over.
        self.engine = Engine(stream, EngineSettings(find_model(model), lanes, guard_ms=-FRAME_MS))
        self._in = np.zeros((FRAME_SAMPLES, lanes), np.float32)
        self._out = np.zeros((FRAME_SAMPLES, lanes), np.float32)
        self._rest = [0] * lanes  # frames; -1: taken
        self._fresh: list[int] = []
        # Compiles, or loads, what the clock will call.
        self.give()
        self.engine.run_hops()
        self.take(0)
        self.engine.start()

    @property
    def delay_ms(self) -> float:
        """From a frame given to the same frame taken."""
        return 1000.0 * self.engine.delay_samples / RATE_HZ

    @property
    def free(self) -> int:
        """Lanes that can be taken at once."""
        return self._rest.count(0)

    @property
    def idle(self) -> bool:
        """Whether nobody is here, nor anything left of anybody."""
        return self.free == self.lanes

    def occupy(self) -> int:
        """Take a lane; there is a free one."""
        lane = self._rest.index(0)
        self._rest[lane] = -1
        self._fresh.append(lane)
        return lane

    def leave(self, lane: int) -> None:
        """Give *lane* back."""
        self._rest[lane] = _REST_FRAMES

    def set_cutoff_hz(self, lane: int, cutoff_hz: float) -> None:
        """Where the band of the voice in *lane* ends."""
        if self.engine.inference is not None:
            self.engine.inference.set_lane_cutoff_hz(lane, cutoff_hz)

    @property
    def takes_level(self) -> bool:
        """Whether the model takes a level of its high band."""
        inference = self.engine.inference
        return inference is not None and "level_db" in inference.contract.controls

    def takes(self, brightness: Brightness) -> bool:
        """Whether the model takes *brightness*."""
        inference = self.engine.inference
        known = inference.contract.controls if inference is not None else ()
        return all(wish == 0.0 or name in known for name, wish in brightness._asdict().items())

    def set_brightness(self, lane: int, brightness: Brightness | None) -> bool:
        """Of the high band in *lane*, None: without one; False where the model takes no level."""
        inference = self.engine.inference
        if inference is None or not self.takes_level:
            return inference is None
        wanted = Brightness(_NO_HIGH_BAND_DB) if brightness is None else brightness
        inference.controls["level_db"][lane] = wanted.level_db
        inference.controls["tilt_db"][lane] = wanted.tilt_db
        return True

    def begin(self) -> NDArray[np.float32]:
        """A silent frame of every lane, [480, lanes], to be filled before :meth:`give`."""
        self._in[:] = 0.0
        return self._in

    def give(self) -> None:
        """Hand the frame over; the network begins."""
        inference = self.engine.inference
        if self._fresh and inference is not None and self.done:
            for lane in self._fresh:
                inference.reset_lane(lane)
        self._fresh.clear()
        self._rest = [frames - 1 if frames > 0 else frames for frames in self._rest]
        give(self.engine.port_address, self._in.reshape(-1), FRAME_SAMPLES)

    @property
    def done(self) -> bool:
        """The engine's thread has run all there is, and waits: its memory is ours until the next frame."""
        return int(self.engine.worker.record["served"]) >= self.engine.low.written

    def take(self, deadline_ns: int) -> bool:
        """Have the frame that is due, in :meth:`frame`; False when the network was not done at *deadline_ns*."""
        engine = self.engine
        done = take(engine.port_address, engine.worker.address, self._out.reshape(-1), FRAME_SAMPLES, deadline_ns)
        return bool(done)

    def frame(self, lane: int) -> Frame:
        """Of *lane*, as :meth:`take` left it."""
        return np.ascontiguousarray(self._out[:, lane])

    def close(self) -> None:
        """Stop the engine."""
        self.engine.close()
