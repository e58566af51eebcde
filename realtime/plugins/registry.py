"""All kinds of plugins by name. A module is imported when its kind is asked for, as it brings compiled code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FullbandError, suggest

if TYPE_CHECKING:
    from ..onnx.session import SessionOptions
    from .parameter import Parameter
    from .stage import Stage

NETWORK = "network"

#: Kinds that are built in: module and class.
BUILT_IN = {
    "gain": ("gain", "GainStage"),
    "high-pass": ("high_pass", "HighPassStage"),
    "noise-gate": ("noise_gate", "NoiseGateStage"),
    "compressor": ("compressor", "CompressorStage"),
    "limiter": ("limiter", "LimiterStage"),
    "dither": ("dither", "DitherStage"),
    NETWORK: ("network", "NetworkStage"),
}


def is_ladspa(plugin: str) -> bool:
    """Whether *plugin* is meant as ``file.so:label``."""
    return plugin.partition(":")[0].endswith(".so")


def built_in(plugin: str) -> type[Stage]:
    """The class of a kind. Raises :class:`FullbandError` that knows the nearest."""
    if plugin.endswith(".onnx"):
        plugin = NETWORK
    if plugin not in BUILT_IN:
        hint = suggest(plugin, BUILT_IN)
        raise FullbandError(f"no plugin '{plugin}'; {hint} (LADSPA plugins are file.so:label, models *.onnx)")
    module, name = BUILT_IN[plugin]
    found: Any = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    return found


def default_name(plugin: str) -> str:
    """What a stage of *plugin* is called when it is not given a name."""
    name = plugin
    if is_ladspa(plugin):
        file, _, label = plugin.partition(":")
        name = label or Path(file).stem
    elif plugin.endswith(".onnx"):
        name = Path(plugin).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:40] or "stage"


def parameters_of(plugin: str) -> tuple[Parameter, ...]:
    """The parameters of *plugin*; a LADSPA one is probed for them. Raises :class:`FullbandError`."""
    if not is_ladspa(plugin):
        return built_in(plugin).parameters
    from .ladspa.catalogue import find_plugin
    from .ladspa.stage import parameters_of as controls_of
    from .ladspa.stage import unsuited

    facts = find_plugin(plugin)
    reason = unsuited(facts)
    if reason is not None:
        raise FullbandError(f"the LADSPA plugin {plugin} cannot be a stage: {reason}")
    return controls_of(facts)


def make(plugin: str, lanes: int, model: Path | None, options: SessionOptions | None) -> Stage | None:
    """A stage of *plugin*; None for a network where there is no *model*."""
    if is_ladspa(plugin):
        from .ladspa.catalogue import find_plugin
        from .ladspa.stage import LadspaStage

        return LadspaStage(lanes, find_plugin(plugin))
    kind: Any = built_in(plugin)
    if plugin == NETWORK or plugin.endswith(".onnx"):
        made: Stage | None = kind(lanes, model, options) if model is not None else None
        return made
    simple: Stage = kind(lanes)
    return simple
