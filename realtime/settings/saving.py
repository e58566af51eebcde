"""The settings of a running host as a TOML file that ``fullband live --config`` takes again."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import FullbandError
from ..paths import shipped_models, user_presets
from .live import LiveSettings, shipped_presets

#: The preset that is written where nobody names one. It is written anew each time.
DEFAULT_NAME = "saved"

#: What belongs to one run: another one would overwrite its files, or end when it did.
RUN_KEYS = ("seconds", "record", "plot", "force")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")

_HEADING = "What a running host was set to, as 'fullband ctl save' wrote it."


def _absolute(path: str | Path) -> str:
    """A path that means the same wherever the next host is started."""
    return str(Path(path).expanduser().resolve())


def _model(name: str) -> str:
    known = name == "none" or (name in shipped_models() and not Path(name).exists())
    return name if known else _absolute(name)


def _plugin(plugin: str) -> str:
    file, colon, label = plugin.partition(":")
    is_path = plugin.endswith(".onnx") or (file.endswith(".so") and len(Path(file).parts) > 1)
    return f"{_absolute(file)}{colon}{label}" if is_path else plugin


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in stage.items() if value is not None}
    told["plugin"] = _plugin(told["plugin"])
    if "model" in told:
        told["model"] = _model(told["model"])
    return told


def settings_to_save(settings: LiveSettings) -> dict[str, Any]:
    """What somebody has set of *settings*, ready for TOML; without what belongs to one run, and with absolute paths."""
    values: dict[str, Any] = {}
    for key in LiveSettings.model_fields:
        value = getattr(settings, key)
        if key not in settings.model_fields_set or value is None or key in RUN_KEYS:
            continue
        values[key] = value
    if "source" in values:
        values["source"] = _absolute(values["source"])
    for key in ("model", "fallback_model"):
        if key in values:
            values[key] = _model(values[key])
    if "chain" in values:
        values["chain"] = [_stage(stage) for stage in settings.stages]
    return values


def settings_text(settings: LiveSettings, heading: str = _HEADING) -> str:
    """The same as TOML, under *heading*."""
    # Only now: a host starts without it.
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(heading))
    for key, value in settings_to_save(settings).items():
        document.add(key, value)
    return tomlkit.dumps(document)


def _place(target: str, force: bool) -> Path:
    """Where to write, where that may be written."""
    if target.endswith(".toml"):
        path = Path(target).expanduser()
    elif _NAME.fullmatch(target) is None:
        allowed = "up to 40 letters, digits, '_', '.' and '-', the first no '.' or '-'"
        raise FullbandError(f"a preset cannot be named {target!r}: {allowed}; or give the path of a .toml file")
    elif target in shipped_presets():
        raise FullbandError(f"the preset '{target}' ships with fullband: save under another name")
    else:
        path = user_presets() / f"{target}.toml"
    if path.exists() and not force and target != DEFAULT_NAME:
        raise FullbandError(f"{path} exists: --force overwrites it")
    return path


def save_settings(
    settings: LiveSettings, target: str = DEFAULT_NAME, *, force: bool = False, heading: str = _HEADING
) -> Path:
    """Write *settings* as the preset *target* of this user, or to a path that ends in .toml; gives the path.

    ``live --config`` *target* gives back equal settings, but for :data:`RUN_KEYS`. Nothing but the preset
    :data:`DEFAULT_NAME` is overwritten without *force*, and nothing is left half written. Raises
    :class:`FullbandError`.
    """
    path = _place(target, force)
    text = settings_text(settings, heading)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            # Others may read it, as any file that was written by hand.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise FullbandError(f"cannot write {path}: {error.strerror}") from None
    return path
