"""The options of ONNX Runtime, one changed at a time from what ships."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from realtime.onnx.session import SessionOptions

from .hops import ModelRunner

#: Names of ONNX Runtime's levels of graph optimisation.
_LEVELS = {0: "none", 1: "basic", 2: "extended", 99: "all"}


def variants() -> dict[str, SessionOptions]:
    """What ships, and every change, by a name."""
    ships = SessionOptions()
    found = {"as it ships": ships}
    cores = os.cpu_count() or 1
    for threads in sorted({2, cores} - {1}):
        for spinning in (False, True):
            name = f"{threads} threads, {'spinning' if spinning else 'not spinning'}"
            found[name] = replace(ships, intra_op_threads=threads, allow_spinning=spinning)
    found["no memory arena"] = replace(ships, memory_arena=False)
    for level in (0, 1, 2):
        found[f"optimisation: {_LEVELS[level]}"] = replace(ships, optimisation_level=level)
    return found


def runners(path: Path) -> list[ModelRunner]:
    """The model at *path* under each of :func:`variants`."""
    return [ModelRunner(path, options=options, name=name) for name, options in variants().items()]
