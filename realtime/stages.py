"""The chain of the settings: checked, and with one thing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import LiveSettings
from .errors import FullbandError, nearest

if TYPE_CHECKING:
    from .plugins.spec import StageSpec


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
        near = nearest(stage, names, 1)
        known = f"stages are: {', '.join(names)}" if names else "there is no chain"
        raise FullbandError(f"no stage '{stage}'; " + (f"did you mean '{near[0]}'?" if near else known))
    place = names.index(stage)
    stages = settings.stages
    stages[place] |= values
    changed = LiveSettings.model_validate({**settings.model_dump(exclude_unset=True), "chain": stages})
    return changed, specs_of(changed)[place]
