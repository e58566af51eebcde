"""A set of instances of one plugin: what a stage runs at a time."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FullbandError
from ...onnx.contract import RATE_HZ
from .descriptor import Descriptor, Facts


@dataclass(frozen=True)
class InstanceSet:
    """As many instances as *handles* [instances] has room for, with the same controls; none until :meth:`renew`.

    All else is memory that their ports are connected to: *sources* [instances, inputs, frames], *targets*
    [instances, outputs, frames], *controls* [controls], *meters* [instances, shown].
    """

    descriptor: Descriptor
    facts: Facts
    handles: NDArray[np.int64]
    sources: NDArray[np.float32]
    targets: NDArray[np.float32]
    controls: NDArray[np.float32]
    meters: NDArray[np.float32]

    def renew(self) -> None:
        """Have new instances in place of those there are, which no thread runs: many plugins keep what they hold when
        they are activated again. Raises :class:`FullbandError` where they cannot be made; there are none then.
        """
        self.close()
        for k in range(len(self.handles)):
            handle = self.descriptor.instantiate(ctypes.addressof(self.descriptor), RATE_HZ)
            if not handle:
                self.close()
                raise FullbandError(f"the LADSPA plugin {self.facts.label} could not be made at {RATE_HZ} Hz")
            self.handles[k] = handle
            self._connect(k)
            self._call("activate", k)

    def _connect(self, k: int) -> None:
        ports = (
            (self.facts.numbers(is_audio=True, is_input=True), self.sources[k]),
            (self.facts.numbers(is_audio=True, is_input=False), self.targets[k]),
            (self.facts.numbers(is_audio=False, is_input=True), self.controls),
            (self.facts.numbers(is_audio=False, is_input=False), self.meters[k]),
        )
        for numbers, memory in ports:
            for place, number in enumerate(numbers):
                address = memory.ctypes.data + place * memory.strides[0]
                self.descriptor.connect_port(int(self.handles[k]), number, address)

    def _call(self, name: str, k: int) -> None:
        function: Any = getattr(self.descriptor, name)
        if function:
            function(int(self.handles[k]))

    def run(self, frames: int) -> None:
        """Run them on the control plane, for what they tell of themselves."""
        for handle in self.handles:
            self.descriptor.run(int(handle), frames)

    def close(self) -> None:
        """End all that there are."""
        for k in np.flatnonzero(self.handles):
            self._call("deactivate", int(k))
            self._call("cleanup", int(k))
        self.handles[:] = 0
