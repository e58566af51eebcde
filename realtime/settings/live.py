"""Settings of ``fullband live``: defaults, presets in TOML, and what the command line overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from ..bandwidth import CUTOFF_RANGE_HZ
from ..engine import ENGINE_PRIORITY
from ..errors import FullbandError
from ..guard import GUARD_RANGE_MS
from ..paths import CONFIGS, user_presets
from ..wishes import GAIN_RANGE_DB
from .file import (
    FilePath,
    Given,
    Problem,
    Settings,
    SettingsError,
    SettingsFile,
    Several,
    find_preset,
    preset_names,
    validated,
)
from .high_band import HighBandSettings
from .toml_lines import Loc

_PRESETS = CONFIGS / "live"


class StageSettings(Settings):
    """A stage of the chain, as TOML has it: the plugin, and its parameters beside these keys."""

    model_config = ConfigDict(extra="allow")

    plugin: str = Field(min_length=1)
    name: str | None = None
    bypass: bool = False
    model: str | None = None


class LiveSettings(HighBandSettings):
    """Everything that ``fullband live`` can be told."""

    backend: Literal["auto", "portaudio", "pyaudio", "simulated"] = "auto"
    input: str | None = None
    output: str | None = None
    virtual_mic: str | None = None
    fallback_model: str | None = None
    rate_hz: int | None = Field(default=None, ge=8_000, le=96_000)
    block_frames: int | None = Field(default=None, ge=16, le=4_096)
    guard_ms: float = Field(default=2.0, ge=GUARD_RANGE_MS[0], le=GUARD_RANGE_MS[1])
    adaptive_guard: bool = True
    feedback_guard: bool = True
    keep_brightness: bool = True
    cutoff_hz: float | None = Field(default=None, ge=CUTOFF_RANGE_HZ[0], le=CUTOFF_RANGE_HZ[1])
    bypass: bool = False
    muted: bool = False
    gain_db: float = Field(default=0.0, ge=GAIN_RANGE_DB[0], le=GAIN_RANGE_DB[1])
    seconds: float | None = Field(default=None, ge=0.0)
    device_latency: Literal["low", "high"] | float = "low"
    realtime_priority: int = Field(default=ENGINE_PRIORITY, ge=0, le=98)
    cpu: int | None = Field(default=None, ge=0)
    keep_awake: bool = False
    source: FilePath | None = None
    simulated_rate_hz: int = Field(default=16_000, ge=8_000, le=96_000)
    record: FilePath | None = None
    plot: FilePath | None = None
    force: bool = False
    name: str | None = None
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    chain: Several[StageSettings] = ()

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The chain, every stage with the keys that it was given."""
        return [stage.model_dump(exclude_unset=True) for stage in self.chain]


def shipped_presets() -> list[str]:
    """The presets that ship."""
    return preset_names(_PRESETS)


def live_presets() -> list[str]:
    """This user's presets and those that ship."""
    return preset_names(user_presets(), _PRESETS)


def find_live_preset(name: str) -> Path:
    """A preset of this user or one that ships, by its name; or any file that ends in .toml."""
    return find_preset(name, user_presets(), _PRESETS)


class LiveFile:
    """A file of live settings, with the chains that it includes in the places where it includes them.

    *problems* are those of includes; the stages that they stand for are then missing from *values*. Raises
    :class:`SettingsError` where the file itself cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.file = SettingsFile(path)
        self.problems: list[Problem] = []
        #: Where each stage of the chain is written: the file, and its number there from 0.
        self.places: list[tuple[SettingsFile, int]] = []
        self.values = dict(self.file.values)
        if "chain" in self.values:
            self.values["chain"] = self._chain(self.file, ())

    def _chain(self, file: SettingsFile, above: tuple[Path, ...]) -> list[Any]:
        """The stages of *file*; *above* are the files that led here."""
        above = (*above, file.path.resolve())
        chain = file.values.get("chain", [])
        if not isinstance(chain, list):
            words = f"'chain' is {chain!r}; stages are written as [[chain]] tables"
            self.problems.append(file.problem(("chain",), words))
            return []
        stages: list[Any] = []
        for number, stage in enumerate(chain):
            if isinstance(stage, dict) and "include" in stage:
                try:
                    stages += self._included(file, number, stage, above)
                except FullbandError as error:
                    self.problems += _problems(error, file, number)
            else:
                stages.append(stage)
                self.places.append((file, number))
        return stages

    def _included(self, file: SettingsFile, number: int, stage: dict[str, Any], above: tuple[Path, ...]) -> list[Any]:
        """The stages of the file that a *stage* is only ``include`` of: a preset by name, or a path beside *file*."""
        name = stage["include"]
        if len(stage) > 1 or not isinstance(name, str):
            raise FullbandError("'include' is the name of a preset or a .toml file, and stands alone")
        other = file.path.parent / name if name.endswith(".toml") else find_live_preset(name)
        if other.resolve() in above:
            loop = " → ".join(path.name for path in (*above[above.index(other.resolve()) :], other))
            raise FullbandError(f"'include' leads back to itself: {loop}; take one of these includes out")
        return self._chain(SettingsFile(other), above)

    def problem(self, loc: Loc, message: str) -> Problem:
        """See :class:`~realtime.settings.file.Origin`; what is about a stage says where that is written."""
        if len(loc) > 1 and loc[0] == "chain" and isinstance(loc[1], int):
            file, number = self.places[loc[1]]
            # It is named by its number instead.
            message = message.replace(f"chain[{loc[1]}].", "")
            return file.problem(("chain", number, *loc[2:]), f"{stage_at(number)}: {message}")
        return self.file.problem(loc, message)


def stage_at(number: int) -> str:
    """How a stage is spoken of, by its *number* from 0."""
    return f"stage {number + 1} of the chain"


def _problems(error: FullbandError, file: SettingsFile, number: int) -> list[Problem]:
    """What is wrong with the include that is stage *number* of *file*, or in the file that it names."""
    if isinstance(error, SettingsError) and error.problems[0].line is not None:
        return error.problems
    return [file.problem(("chain", number, "include"), f"{stage_at(number)}: {error}")]


def contradictions(values: LiveSettings) -> list[tuple[str, str]]:
    """What cannot be together, by the key that it is told at."""
    found = []
    if values.virtual_mic is not None:
        if values.output is not None:
            found.append(("output", "'output' and 'virtual_mic' both say where to play: give one of them"))
        if values.backend == "simulated" or values.source is not None:
            found.append(("virtual_mic", "'virtual_mic' needs a sound server; the simulated device has none"))
    return found


def load_live_settings(preset: str | None, given: dict[str, Any]) -> LiveSettings:
    """Settings from *preset* (a name or a path; None: defaults) overridden by *given*.

    Raises :class:`SettingsError`, whose line names the key, what is wrong with it, and the nearest right one.
    """
    file = None if preset is None else LiveFile(find_live_preset(preset))
    if file is not None and file.problems:
        raise SettingsError(file.problems)
    values = {} if file is None else file.values
    # They are two names of one thing: what is given now takes the place of what the preset has.
    for one, other in (("output", "virtual_mic"), ("virtual_mic", "output")):
        if one in given:
            values.pop(other, None)
    origin = Given(file, given)
    settings = validated(LiveSettings, values | given, origin)
    problems = [origin.problem((key,), message) for key, message in contradictions(settings)]
    if problems:
        raise SettingsError(problems)
    return settings
