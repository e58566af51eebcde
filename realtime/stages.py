"""The chain of the settings: checked, and with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import FullbandError, suggest
from .settings.live import LiveSettings, StageSettings

if TYPE_CHECKING:
    from .plugins.spec import StageSpec


#: Seconds between two looks at the stages.
_LOOK_SECONDS = 1.0


class StageWatch:
    """Tells when a stage gives no audio and is gone past, and when it is heard again. *describe*: of the engine."""

    def __init__(self, describe: Callable[[], list[dict[str, Any]]]) -> None:
        self._describe = describe
        self._next_s = 0.0
        self._faults: dict[str, int] = {}
        self._failing: set[str] = set()

    def poll(self, now_s: float) -> list[str]:
        """Look once a second; gives the lines that people should see."""
        if now_s < self._next_s:
            return []
        self._next_s = now_s + _LOOK_SECONDS
        faults = {stage["name"]: stage["faults"] for stage in self._describe()}
        failing = {name for name, count in faults.items() if count > self._faults.get(name, 0)}
        lines = [
            f"stage '{name}' gives no audio (NaN, or far too loud): the voice goes past it"
            for name in sorted(failing - self._failing)
        ]
        lines += [f"stage '{name}' is heard again" for name in sorted((self._failing - failing) & set(faults))]
        self._faults, self._failing = faults, failing
        return lines


def specs_of(settings: LiveSettings) -> tuple[StageSpec, ...]:
    """The stages of *settings*. Raises :class:`FullbandError` that names stage and key."""
    if not settings.chain:
        return ()
    # Only now, as it brings compiled code of its own.
    from .plugins.spec import resolve

    return resolve(settings.stages)


def amended(settings: LiveSettings, stage: str, values: dict[str, Any]) -> tuple[LiveSettings, StageSpec]:
    """*settings* with other *values* (parameters, ``bypass``) of a stage, and what that stage then is."""
    names = [spec.name for spec in specs_of(settings)]
    if stage not in names:
        hint = suggest(stage, names, "stages are") if names else "there is no chain"
        raise FullbandError(f"no stage '{stage}'; {hint}")
    place = names.index(stage)
    stage_settings = StageSettings.model_validate(settings.stages[place] | values)
    chain = (*settings.chain[:place], stage_settings, *settings.chain[place + 1 :])
    changed = settings.model_copy(update={"chain": chain})
    return changed, specs_of(changed)[place]
