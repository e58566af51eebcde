"""Loads LADSPA files, and runs a plugin, in a process that may crash: ``python -m … FILE [LABEL]``, or files on stdin.

Says what it is about to do before it does it, a line of JSON each, so that whoever reads on knows what it died of.
"""

from __future__ import annotations

import ctypes
import json
import math
import random
import sys
from collections.abc import Callable
from typing import Any

from .descriptor import Descriptor, Facts, Port, describe, descriptors, is_latency, label_of

#: Blocks of a run: as a host may ask for, one by one and many at a time.
_BLOCKS = (64, 1, 4, 64, 192, 960, *[64] * 20)
_MOST = max(_BLOCKS)

#: After so many of them one instance beside another gives way to a third.
_OTHERS_AFTER = 12

#: Of the largest sample: by more than this, and by more than chance does, an instance is not what it is by itself.
_DISTURBED = 0.25
_BEYOND_CHANCE = 10.0


def _say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


class _Instance:
    """One instance with its controls at their defaults, or *elsewhere* in their ranges; fed noise of its own *seed*."""

    def __init__(self, descriptor: Descriptor, facts: Facts, rate_hz: int, seed: int, elsewhere: bool = False) -> None:
        self._descriptor, self._facts = descriptor, facts
        self._noise = random.Random(seed)
        self._buffers = [(ctypes.c_float * _MOST)() for _ in facts.ports]
        self.heard: list[float] = []
        self._handle = descriptor.instantiate(ctypes.addressof(descriptor), rate_hz)
        if not self._handle:
            raise ValueError(f"it could not be made at {rate_hz} Hz")
        for k, port in enumerate(facts.ports):
            is_control = port.is_input and not port.is_audio
            self._buffers[k][0] = _elsewhere(port) if elsewhere else port.default if is_control else 0.0
            descriptor.connect_port(self._handle, k, ctypes.addressof(self._buffers[k]))

    def activate(self) -> None:
        if self._descriptor.activate:
            self._descriptor.activate(self._handle)

    def run(self, frames: int) -> None:
        for k in self._facts.numbers(is_audio=True, is_input=True):
            self._buffers[k][:frames] = [self._noise.uniform(-0.5, 0.5) for _ in range(frames)]
        self._descriptor.run(self._handle, frames)
        for k in self._facts.numbers(is_audio=True, is_input=False):
            self.heard += self._buffers[k][:frames]

    @property
    def latency(self) -> float:
        told = [self._buffers[k][0] for k, port in enumerate(self._facts.ports) if is_latency(port)]
        return told[0] if told and math.isfinite(told[0]) else 0.0

    def end(self) -> None:
        if self._descriptor.deactivate:
            self._descriptor.deactivate(self._handle)
        if self._descriptor.cleanup:
            self._descriptor.cleanup(self._handle)


def _elsewhere(port: Port) -> float:
    if port.lower is None or port.upper is None:
        return port.default
    middle = 0.5 * (port.lower + port.upper)
    return float(round(middle)) if port.integer or port.toggled else middle


def _apart(one: list[float], other: list[float]) -> float:
    """How far *other* is from *one*, of the largest of *one*."""
    return max(abs(x - y) for x, y in zip(one, other, strict=True)) / (max(map(abs, one)) or 1.0)


def _disturbed(make: Callable[[int, bool], _Instance]) -> bool:
    """Whether an instance gives something else when others come, run and go beside it, and not by chance.

    What is left of one in memory that they share is found by the next: so an instance has gone before, too.
    """
    alone = []
    for _ in range(2):
        instance = make(0, False)
        instance.activate()
        for frames in _BLOCKS:
            instance.run(frames)
        instance.end()
        alone.append(instance.heard)
    one = make(0, False)
    one.activate()
    for blocks in (_BLOCKS[:_OTHERS_AFTER], _BLOCKS[_OTHERS_AFTER:]):
        other = make(1, True)
        other.activate()
        for frames in blocks:
            one.run(frames)
            other.run(frames)
        other.end()
    one.end()
    return _apart(alone[-1], one.heard) > max(_DISTURBED, _BEYOND_CHANCE * _apart(*alone))


def _run(descriptor: Descriptor, facts: Facts, rate_hz: int) -> None:
    """All of a plugin's life, on noise; then that of two at once, as a stage has more than one."""

    def make(seed: int, elsewhere: bool) -> _Instance:
        return _Instance(descriptor, facts, rate_hz, seed, elsewhere)

    _say(doing="in being made")
    try:
        instance = make(0, False)
    except ValueError as error:
        _say(refused=str(error))
        return
    _say(doing="in being activated")
    instance.activate()
    _say(doing="in its first run")
    for frames in _BLOCKS:
        instance.run(frames)
    latency = instance.latency
    _say(doing="in being ended")
    instance.end()
    sound = all(map(math.isfinite, instance.heard))
    if sound:
        _say(doing="in running beside another instance of it")
        if _disturbed(make):
            _say(refused="its instances disturb each other, and a stage has more than one")
            return
    _say(ran=True, sound=sound, latency=latency)


def main(rate_hz: int, path: str, label: str | None) -> None:
    """Describe all plugins of a file; run the one called *label*."""
    _say(loading=path)
    try:
        found = [(describe(path, descriptor, rate_hz), descriptor) for descriptor in descriptors(path)]
    except OSError as error:
        _say(refused=f"it cannot be loaded: {error}")
        return
    for facts, _ in found:
        _say(plugin=facts.as_dict())
    for facts, descriptor in found:
        if label == label_of(descriptor) or (label == "" and len(found) == 1):
            _run(descriptor, facts, rate_hz)


if __name__ == "__main__":
    rate = int(sys.argv[1])
    if len(sys.argv) > 2:
        main(rate, sys.argv[2], sys.argv[3])
    else:
        for line in sys.stdin:
            main(rate, line.rstrip("\n"), None)
