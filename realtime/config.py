"""Settings of ``fullband live``: defaults, presets in TOML, and what the command line overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import settings_file
from .engine import ENGINE_PRIORITY
from .errors import FullbandError
from .guard import GUARD_RANGE_MS
from .paths import CONFIGS, user_presets
from .settings_file import find_preset, read_settings, unknown_key
from .wishes import GAIN_RANGE_DB, HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB

_PRESETS = CONFIGS / "live"


class StageSettings(BaseModel):
    """A stage of the chain, as TOML has it: the plugin, and its parameters beside these keys."""

    model_config = ConfigDict(extra="allow", frozen=True)

    plugin: str = Field(min_length=1)
    name: str | None = None
    bypass: bool = False
    model: str | None = None


class LiveSettings(BaseModel):
    """Everything that ``fullband live`` can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["auto", "portaudio", "pyaudio", "simulated"] = "auto"
    input: str | None = None
    output: str | None = None
    virtual_mic: str | None = None
    model: str = "default"
    fallback_model: str | None = None
    rate_hz: int | None = Field(None, ge=8_000, le=96_000)
    block_frames: int | None = Field(None, ge=16, le=4_096)
    guard_ms: float = Field(2.0, ge=GUARD_RANGE_MS[0], le=GUARD_RANGE_MS[1])
    adaptive_guard: bool = True
    feedback_guard: bool = True
    cutoff_hz: float | None = Field(None, ge=2_000.0, le=24_000.0)
    bypass: bool = False
    muted: bool = False
    gain_db: float = Field(0.0, ge=GAIN_RANGE_DB[0], le=GAIN_RANGE_DB[1])
    high_level_db: float = Field(0.0, ge=HIGH_LEVEL_RANGE_DB[0], le=HIGH_LEVEL_RANGE_DB[1])
    high_tilt_db: float = Field(0.0, ge=HIGH_TILT_RANGE_DB[0], le=HIGH_TILT_RANGE_DB[1])
    seconds: float | None = Field(None, ge=0.0)
    device_latency: Literal["low", "high"] | float = "low"
    realtime_priority: int = Field(ENGINE_PRIORITY, ge=0, le=98)
    cpu: int | None = Field(None, ge=0)
    source: Path | None = None
    simulated_rate_hz: int = Field(16_000, ge=8_000, le=96_000)
    record: Path | None = None
    plot: Path | None = None
    force: bool = False
    name: str | None = None
    metrics_port: int | None = Field(None, ge=0, le=65_535)
    chain: tuple[StageSettings, ...] = ()

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The chain, every stage with the keys that it was given."""
        return [stage.model_dump(exclude_unset=True) for stage in self.chain]


def shipped_presets() -> list[str]:
    """The presets that ship."""
    return settings_file.preset_names(_PRESETS)


def find_live_preset(name: str) -> Path:
    """A preset of this user or one that ships, by its name; or any file that ends in .toml."""
    return find_preset(name, user_presets(), _PRESETS)


def _with_includes(path: Path, values: dict[str, Any], above: tuple[Path, ...] = ()) -> list[Any]:
    """The chain of the file *path*; a stage that is only ``include`` stands for the chain of another file.

    That is a preset by name, or a path beside the file. *above* are the files that led here.
    """
    above = (*above, path.resolve())
    chain = values.get("chain", [])
    if not isinstance(chain, list):
        raise FullbandError(f"{path}: 'chain' is {chain!r}; stages are written as [[chain]] tables")
    stages: list[Any] = []
    for number, stage in enumerate(chain, 1):
        if not isinstance(stage, dict) or "include" not in stage:
            stages.append(stage)
            continue
        where = f"{path}: stage {number} of the chain"
        if len(stage) > 1 or not isinstance(stage["include"], str):
            raise FullbandError(f"{where}: 'include' is the name of a preset or a .toml file, and stands alone")
        name = stage["include"]
        other = path.parent / name if name.endswith(".toml") else find_live_preset(name)
        if other.resolve() in above:
            loop = " → ".join(file.name for file in (*above[above.index(other.resolve()) :], other))
            raise FullbandError(f"{where} includes itself: {loop}; take one of these includes out")
        stages += _with_includes(other, read_settings(other), above)
    return stages


def _explain_stage(first: Any, origin: str) -> FullbandError:
    where = f"{origin}: stage {first['loc'][1] + 1} of the chain"
    if len(first["loc"]) < 3:
        return FullbandError(f"{where} is {first['input']!r}; stages are written as [[chain]] tables")
    if first["type"] == "missing":
        return FullbandError(f"{where}: '{first['loc'][2]}' is missing; see 'fullband plugins'")
    return FullbandError(f"{where}: '{first['loc'][2]}' is {first['input']!r}: {first['msg']}")


def _explain(error: ValidationError, origin: str) -> FullbandError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:1])
    if key == "chain":
        return _explain_stage(first, origin)
    if first["type"] == "extra_forbidden":
        return unknown_key(origin, key, LiveSettings.model_fields)
    return FullbandError(f"{origin}: '{key}' is {first['input']!r}: {first['msg']}")


def _check_virtual_mic(settings: LiveSettings, origin: str) -> None:
    if settings.output is not None:
        raise FullbandError(f"{origin}: 'output' and 'virtual_mic' both say where to play: give one of them")
    if settings.backend == "simulated" or settings.source is not None:
        raise FullbandError(f"{origin}: 'virtual_mic' needs a sound server; the simulated device has none")


def load_live_settings(preset: str | None, given: dict[str, Any]) -> LiveSettings:
    """Settings from *preset* (a name or a path; None: defaults) overridden by *given*.

    Raises :class:`FullbandError` that names the key, what is wrong with it, and the nearest right one.
    """
    origin = "command line"
    values: dict[str, Any] = {}
    if preset is not None:
        path = find_live_preset(preset)
        values = read_settings(path)
        if "chain" in values:
            values["chain"] = _with_includes(path, values)
        origin = str(path)
    # They are two names of one thing: what is given now takes the place of what the preset has.
    for one, other in (("output", "virtual_mic"), ("virtual_mic", "output")):
        if one in given:
            values.pop(other, None)
    try:
        settings = LiveSettings.model_validate(values | given)
    except ValidationError as error:
        raise _explain(error, origin) from None
    if settings.virtual_mic is not None:
        _check_virtual_mic(settings, origin)
    return settings
