"""A chain as it was asked for, checked: which plugins, by what names, with which values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FullbandError
from ..paths import find_model
from .parameter import Parameter
from .registry import NETWORK, default_name, parameters_of
from .stage import find_parameter

#: More than anybody hears, and few enough to be listed.
MAX_STAGES = 32

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")

#: 'ctl bypass on' is about the whole host.
_TAKEN = ("on", "off", "toggle")


@dataclass(frozen=True)
class StageSpec:
    """One stage. *model* is a network's own file; None: the host's model. *values* are those that were given."""

    name: str
    plugin: str
    model: Path | None = None
    bypass: bool = False
    values: tuple[tuple[str, float], ...] = ()

    @property
    def structure(self) -> tuple[str, str, Path | None]:
        """All that cannot change while it runs."""
        return self.name, self.plugin, self.model

    @property
    def is_plain_network(self) -> bool:
        """Whether it is the host's own model and nothing else."""
        return self.plugin == NETWORK and self.model is None and not self.bypass and not any(v for _, v in self.values)


def _model(entry: Mapping[str, Any], where: str) -> Path | None:
    name = entry.get("model")
    plugin = str(entry["plugin"])
    if plugin.endswith(".onnx"):
        return find_model(plugin)
    if name is None:
        return None
    if plugin != NETWORK:
        raise FullbandError(f"{where}: only the plugin 'network' has a 'model'")
    return find_model(str(name))


def name_of(entry: Mapping[str, Any]) -> str:
    """What a stage is called."""
    return str(entry.get("name") or default_name(str(entry["plugin"])))


def examine(entry: Mapping[str, Any], where: str) -> tuple[StageSpec | None, list[tuple[str, str]]]:
    """A stage and what is wrong with it: the key, and a line that begins with *where*; None where there is anything."""
    plugin, name = str(entry["plugin"]), name_of(entry)
    faults: list[tuple[str, str]] = []
    model = None
    known: tuple[Parameter, ...] | None = None
    values: dict[str, float] = {}
    if not _NAME.fullmatch(name) or name in _TAKEN:
        taken = ", ".join(_TAKEN)
        faults.append(("name", f"{where}: a name is of letters, digits, - and _, and none of {taken}"))
    try:
        model = _model(entry, where)
    except FullbandError as error:
        faults.append(("plugin" if plugin.endswith(".onnx") else "model", _from(where, error)))
    try:
        known = parameters_of(plugin)
    except FullbandError as error:
        faults.append(("plugin", _from(where, error)))
    for key, value in entry.items():
        if known is not None and key not in ("plugin", "name", "bypass", "model"):
            try:
                values[key] = find_parameter(known, key, where).check(value, where)
            except FullbandError as error:
                faults.append((key, str(error)))
    if faults:
        return None, faults
    return StageSpec(name, plugin, model, bool(entry.get("bypass", False)), tuple(values.items())), []


def _from(where: str, error: FullbandError) -> str:
    return str(error) if str(error).startswith(where) else f"{where}: {error}"


def _resolve(entry: Mapping[str, Any], number: int) -> StageSpec:
    spec, faults = examine(entry, f"stage {number} of the chain, '{name_of(entry)}'")
    if spec is None:
        raise FullbandError(faults[0][1])
    return spec


def called_twice(name: str) -> str:
    """What is wrong with the second stage of a *name*."""
    return f"another stage is called '{name}'; give one of them a 'name'"


def too_many(count: int) -> str:
    """What is wrong with a chain of *count* stages, which are more than :data:`MAX_STAGES`."""
    return f"the chain has {count} stages; {MAX_STAGES} are the most"


def resolve(entries: Sequence[Mapping[str, Any]]) -> tuple[StageSpec, ...]:
    """The chain of *entries*, each with ``plugin`` and, as it likes, ``name``, ``bypass``, ``model`` and parameters.

    LADSPA plugins are probed. Raises :class:`FullbandError` that names the stage and the key.
    """
    if len(entries) > MAX_STAGES:
        raise FullbandError(too_many(len(entries)))
    specs = tuple(_resolve(entry, number) for number, entry in enumerate(entries, 1))
    seen: set[str] = set()
    for number, spec in enumerate(specs, 1):
        if spec.name in seen:
            raise FullbandError(f"stage {number} of the chain: {called_twice(spec.name)}")
        seen.add(spec.name)
    return specs
