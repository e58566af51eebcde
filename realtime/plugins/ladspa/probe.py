"""Loads LADSPA files, and runs a plugin, in a process that may crash: ``python -m … FILE [LABEL]``, or files on stdin.

Says what it is about to do before it does it, a line of JSON each, so that whoever reads on knows what it died of.
"""

from __future__ import annotations

import ctypes
import json
import math
import random
import sys
from typing import Any

from .descriptor import Descriptor, Facts, describe, descriptors, is_latency, label_of

#: Blocks of the first run: as a host may ask for, one by one and many at a time.
_BLOCKS = (64, 1, 4, 64, 192, 960, *[64] * 20)
_MOST = max(_BLOCKS)


def _say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _run(descriptor: Descriptor, facts: Facts, rate_hz: int) -> None:
    """All of a plugin's life, on noise."""
    _say(doing="in being made")
    handle = descriptor.instantiate(ctypes.addressof(descriptor), rate_hz)
    if not handle:
        _say(refused="it could not be made at 48000 Hz")
        return
    buffers = [(ctypes.c_float * _MOST)() for _ in facts.ports]
    for k, port in enumerate(facts.ports):
        buffers[k][0] = port.default if port.is_input and not port.is_audio else 0.0
        descriptor.connect_port(handle, k, ctypes.addressof(buffers[k]))
    _say(doing="in being activated")
    if descriptor.activate:
        descriptor.activate(handle)
    _say(doing="in its first run")
    noise = random.Random(0)
    sound = True
    for frames in _BLOCKS:
        for k in facts.numbers(is_audio=True, is_input=True):
            buffers[k][:frames] = [noise.uniform(-0.5, 0.5) for _ in range(frames)]
        descriptor.run(handle, frames)
        for k in facts.numbers(is_audio=True, is_input=False):
            sound = sound and all(map(math.isfinite, buffers[k][:frames]))
    latency = [buffers[k][0] for k, port in enumerate(facts.ports) if is_latency(port)]
    _say(doing="in being ended")
    if descriptor.deactivate:
        descriptor.deactivate(handle)
    if descriptor.cleanup:
        descriptor.cleanup(handle)
    _say(ran=True, sound=sound, latency=latency[0] if latency and math.isfinite(latency[0]) else 0.0)


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
