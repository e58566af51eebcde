"""Settings in TOML: found by the name of a preset or a path, read, and what is wrong with them in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import FullbandError, nearest


def preset_names(*folders: Path) -> list[str]:
    """The presets in *folders*."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.toml")})


def find_preset(name: str, *folders: Path, exit_status: int = 1) -> Path:
    """A preset by its name in the first of *folders* that has it, or any file that ends in .toml."""
    path = Path(name)
    if path.suffix == ".toml":
        return path
    names = preset_names(*folders)
    if name in names:
        return next(folder / f"{name}.toml" for folder in folders if (folder / f"{name}.toml").is_file())
    known = ", ".join(nearest(name, names) or names)
    raise FullbandError(f"no preset named '{name}'; there are: {known}, or give the path of a .toml file", exit_status)


def read_settings(path: Path) -> dict[str, Any]:
    """What the file says. Raises :class:`FullbandError` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise FullbandError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FullbandError(f"{path} is not valid TOML: {error}") from None


def unknown_key(origin: str, key: str, known: Iterable[str], exit_status: int = 1) -> FullbandError:
    """That *origin* has a *key* (its tables before it, with dots) that is none of *known*."""
    known = list(known)
    near = nearest(key.rpartition(".")[2], known)
    hint = f"; did you mean '{near[0]}'?" if near else f"; keys are: {', '.join(known)}"
    return FullbandError(f"{origin}: unknown key '{key}'{hint}", exit_status)
