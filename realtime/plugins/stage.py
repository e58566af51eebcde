"""What every stage of a chain is to the host: memory for the engine thread, parameters, a latency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FullbandError, suggest
from ..latency import StageTiming
from ..native.memory import aligned_zeros
from ..native.ramp import RAMP
from ..native.ring import Ring
from .parameter import Parameter


class Stage:
    """A stage for *lanes* channels. A kind of plugin is a subclass.

    Made in three steps: the constructor loads what there is to load, so that :attr:`timing` is known; :meth:`bind`
    allocates for blocks of a length; :meth:`reset` begins a stream. From :meth:`bind` on the engine thread may call
    the function at :attr:`step` with the address :attr:`state`; :meth:`set` may be called while it does.
    """

    #: The name of the kind, and a line about it.
    kind: str
    summary: str
    parameters: tuple[Parameter, ...] = ()

    #: Address of the compiled function, see :mod:`realtime.native.stage`.
    step: int

    def __init__(self, lanes: int, record: NDArray[Any]) -> None:
        self.lanes = lanes
        self._memory: list[NDArray[Any]] = [record]
        self.record = record[0]
        self.record["lanes"] = lanes
        #: Address of the record.
        self.state = int(record.ctypes.data)
        self.values = {parameter.name: parameter.default for parameter in self.parameters}
        self.frames = 0
        #: What the stage was given, in its own time.
        self.ring: Ring

    @property
    def timing(self) -> StageTiming:
        """Latency and hop, in samples."""
        return StageTiming(0, 0)

    def bind(self, frames: int, latency_samples: int) -> None:
        """Allocate for blocks of *frames*; *latency_samples* is what the stage has among its neighbours."""
        self.frames = frames
        self.ring = Ring(self.lanes, 2 * (frames + latency_samples))
        for name, value in self.values.items():
            self._apply(name, value)

    def parameter(self, name: str, where: str) -> Parameter:
        """The parameter *name*. Raises :class:`FullbandError`, which begins with *where* and knows the nearest."""
        return find_parameter(self.parameters, name, where)

    def set(self, name: str, value: float) -> None:
        """Have another value, checked before, without a click."""
        self.values[name] = value
        if self.frames:
            self._apply(name, value)

    def _apply(self, name: str, value: float) -> None:
        """Tell the engine thread, which may be running."""
        raise NotImplementedError

    def tend(self) -> None:
        """Make ready what the next change of a value needs; called now and then while the stage runs."""

    def reset(self) -> None:
        """A fresh stream, all parameters where they are wanted. Only while no thread runs the stage."""
        self.ring.clear()

    def reset_lane(self, lane: int) -> None:
        """Another voice begins in *lane*. What is held of the one before has died away in the silence between."""

    def meters(self) -> dict[str, float]:
        """What the stage shows of itself, by name."""
        return {}

    def close(self) -> None:
        """Release what was loaded. No thread runs the stage any more."""

    def _new(self, shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Zeroed memory that lives as long as the stage."""
        memory = aligned_zeros(shape, dtype)
        self._memory.append(memory)
        return memory

    def _ramp(self, field: str, value: float) -> NDArray[Any]:
        """A ramp that begins at *value*; its address is in *field* of the record."""
        ramp = self._new(1, RAMP)
        ramp["wanted"] = ramp["value"] = value
        self.record[field] = ramp.ctypes.data
        return ramp


def settle(ramps: NDArray[Any]) -> None:
    """Have *ramps* be where they are wanted at once. Only while no thread runs them."""
    ramps["value"] = ramps["wanted"]
    ramps["left"] = 0


def find_parameter(parameters: tuple[Parameter, ...], name: str, where: str) -> Parameter:
    """The one named *name*. Raises :class:`FullbandError`, which begins with *where* and knows the nearest."""
    for parameter in parameters:
        if parameter.name == name:
            return parameter
    names = [parameter.name for parameter in parameters]
    hint = suggest(name, names, "its parameters are") if names else "it has no parameters"
    raise FullbandError(f"{where}: unknown parameter '{name}'; {hint}")


def decibels(db: float) -> float:
    """The factor of *db*."""
    return float(np.float64(10.0) ** (db / 20.0))
