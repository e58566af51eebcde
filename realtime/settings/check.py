"""All that is wrong with a file of settings, of whatever kind: what reading it tells, and what only using it would."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import FullbandError, nearest, suggest
from ..paths import CONFIGS, WEIGHTS, find_model
from .file import Problem, SettingsError, SettingsFile, problems_of
from .live import LiveFile, LiveSettings, StageSettings, contradictions, stage_at

#: Tables that only files of `model` have: for training, its data and the study. To look at those needs packages of
#: their own.
_TRAINING_TABLES = frozenset(("network", "data", "loss", "adversary", "run", "pairs", "all", "package"))


@dataclass(frozen=True)
class Kind:
    """A kind of settings: the command that takes it, and the class that knows its keys, imported when asked for."""

    name: str
    command: str
    module: str
    attribute: str
    refused: str = ""

    @property
    def settings(self) -> type[BaseModel]:
        """The class."""
        found: type[BaseModel] = getattr(importlib.import_module(self.module), self.attribute)
        return found

    @property
    def refused_keys(self) -> Mapping[str, str]:
        """What to say of keys that it has not for a reason."""
        return getattr(importlib.import_module(self.module), self.refused) if self.refused else {}


KINDS = {
    kind.name: kind
    for kind in (
        Kind("live", "live", "realtime.settings.live", "LiveSettings"),
        Kind("sip", "voip sip", "realtime.voip.sip.settings", "SipSettings", "REFUSED"),
        Kind("rtp", "voip rtp", "realtime.voip.relay", "RtpSettings"),
        Kind("web", "voip web", "realtime.voip.web.settings", "WebSettings", "REFUSED"),
        Kind("train", "train", "model.training.config", "TrainConfig"),
        Kind("data", "gather", "model.data.packages", "Sources"),
        Kind("study", "study train", "model.study.config", "StudyConfig"),
        Kind("study-preset", "study all", "model.study.config", "Preset"),
    )
}


def kind_named(name: str) -> Kind:
    """By its name. Raises :class:`FullbandError` that knows the nearest."""
    if name not in KINDS:
        raise FullbandError(f"no kind of settings '{name}'; {suggest(name, KINDS, 'kinds are')}", exit_status=2)
    return KINDS[name]


def _likeness(values: Mapping[str, Any], kind: Kind) -> float:
    """How many keys of *values* are, or nearly are, keys of *kind*."""
    try:
        keys = list(kind.settings.model_fields)
    except ModuleNotFoundError:  # an extra that is not installed
        return -1.0
    return sum(1.0 if key in keys else 0.5 * bool(nearest(key, keys, 1)) for key in values)


def kind_of(file: SettingsFile) -> Kind:
    """What *file* is: by its keys, and by its folder where it ships."""
    for place, name in (
        ("voip.toml", "sip"),
        ("web.toml", "web"),
        ("live", "live"),
        ("voip", "rtp"),
        ("train", "train"),
        ("data", "data"),
    ):
        if CONFIGS / place in (file.path.resolve(), file.path.resolve().parent):
            return KINDS[name]
    is_training = not _TRAINING_TABLES.isdisjoint(file.values)
    kinds = [kind for kind in KINDS.values() if kind.module.startswith("model.") == is_training]
    return max(kinds, key=lambda kind: _likeness(file.values, kind))


def check_file(path: Path, kind: Kind | None = None) -> tuple[Kind | None, list[Problem]]:
    """What the file *path* is, None where it cannot be read; and all that is wrong with it, in the order of its lines.

    *kind*: what it is to be.
    """
    try:
        file = SettingsFile(path)
    except SettingsError as error:
        return kind, error.problems
    kind = kind or kind_of(file)
    problems = _live_problems(LiveFile(path)) if kind.name == "live" else _problems(file, kind)
    return kind, sorted(dict.fromkeys(problems), key=lambda problem: (problem.file != str(path), problem.line or 0))


def _problems(file: SettingsFile, kind: Kind) -> list[Problem]:
    try:
        settings: Any = kind.settings.model_validate(file.values)
    except ValidationError as error:
        return problems_of(error, kind.settings, file.values, file, kind.refused_keys)
    return _model_problems(file, {"model": getattr(settings, "model", None)})


def _live_problems(file: LiveFile) -> list[Problem]:
    problems = list(file.problems)
    usable = dict(file.values)
    try:
        LiveSettings.model_validate(usable)
    except ValidationError as error:
        found = problems_of(error, LiveSettings, usable, file)
        problems += found
        # What is sound by itself is looked at as if the rest were, too.
        usable = {key: value for key, value in usable.items() if _is_sound(key, value)}
    settings = LiveSettings.model_validate(usable)
    problems += [file.problem((key,), message) for key, message in contradictions(settings)]
    problems += _model_problems(file.file, {key: getattr(settings, key) for key in ("model", "fallback_model")})
    chain = file.values.get("chain", [])
    return problems + (_chain_problems(file, chain) if isinstance(chain, list) else [])


def _is_sound(key: str, value: Any) -> bool:
    try:
        LiveSettings.model_validate({key: value})
    except ValidationError:
        return False
    return True


def _model_problems(file: SettingsFile, models: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for key, name in models.items():
        if key in file.values and isinstance(name, str):
            try:
                _look_into(find_model(name))
            except FullbandError as error:
                problems.append(file.problem((key,), f"'{key}': {error}"))
    return problems


def _look_into(model: Path | None) -> None:
    """That *model*, unless it ships, keeps the contract. Raises :class:`FullbandError` that names the first breach."""
    if model is None or model.resolve().is_relative_to(WEIGHTS):
        return
    from ..onnx.contract import read_contract
    from ..onnx.session import Session

    with Session(model) as session:
        read_contract(session)


def _sound_part(stage: Any) -> dict[str, Any]:
    """What of a stage is of the right type; the rest has been told."""
    if not isinstance(stage, dict):
        return {}
    try:
        StageSettings.model_validate(stage)
    except ValidationError as error:
        wrong = {found["loc"][0] for found in error.errors() if found["loc"]}
        return {key: value for key, value in stage.items() if key not in wrong}
    return stage


def _chain_problems(file: LiveFile, chain: list[Any]) -> list[Problem]:
    """What is wrong with stages that are written as they should be."""
    # Only now, as it brings compiled code of its own.
    from ..plugins.spec import MAX_STAGES, called_twice, examine, name_of, too_many

    problems = []
    if len(chain) > MAX_STAGES:
        problems.append(file.file.problem(("chain",), too_many(len(chain))))
    seen: set[str] = set()
    for stage, (origin, number) in zip(chain, file.places, strict=True):
        stage = _sound_part(stage)
        if "plugin" not in stage:
            continue
        name = name_of(stage)
        spec, faults = examine(stage, f"{stage_at(number)}, '{name}'")
        if name in seen:
            faults.append(("name" if "name" in stage else "plugin", f"{stage_at(number)}: {called_twice(name)}"))
        seen.add(name)
        if spec is not None and spec.model is not None:
            try:
                _look_into(spec.model)
            except FullbandError as error:
                key = "plugin" if str(stage["plugin"]).endswith(".onnx") else "model"
                faults.append((key, f"{stage_at(number)}, '{name}': {error}"))
        problems += [origin.problem(("chain", number, key), message) for key, message in faults]
    return problems
