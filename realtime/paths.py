"""Where the files that ship with fullband lie, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import FullbandError, suggest

_ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = _ROOT / "model" / "weights"
CONFIGS = _ROOT / "configs"
VOICE_CLIP = Path(__file__).resolve().parent / "assets" / "voice.flac"


def user_presets() -> Path:
    """Where this user's own presets are kept; it need not exist."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has relative paths ignored.
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".config"
    return base / "fullband"


def _models_in(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.glob("*.onnx"))}


def shipped_models() -> dict[str, Path]:
    """The models that ship, by name: those to listen to, and those of the study, to compare with."""
    return _models_in(WEIGHTS) | _models_in(WEIGHTS / "study")


def next_model(name: str) -> str:
    """The shipped model to listen to that follows *name*, round about; the first one after anything else."""
    names = list(_models_in(WEIGHTS))
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


def find_model(name: str) -> Path | None:
    """A model by the name of a shipped one (``default``) or the path of a file; ``none`` is None."""
    if name == "none":
        return None
    path = Path(name)
    if path.suffix == ".onnx" or path.exists():
        if not path.is_file():
            raise FullbandError(f"no model file {path}: give a path to an .onnx file, or a shipped name")
        return path
    shipped = shipped_models()
    if name in shipped:
        return shipped[name]
    hint = suggest(name, shipped, "shipped with fullband")
    raise FullbandError(f"no model named '{name}'; {hint} (any other: the path of its .onnx file)")
