"""What people can have a running host do, from the socket and from the keys alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_never

from .. import __version__
from ..errors import FullbandError
from ..paths import next_model
from ..settings.live import load_live_settings
from ..settings.saving import save_settings
from . import protocol

if TYPE_CHECKING:
    from ..session import Session
    from ..settings.live import LiveSettings


def _switched(state: protocol.Switch, now: bool) -> bool:
    return not now if state == "toggle" else state == "on"


class Commands:
    """Does to *session* what requests ask for, on the thread that asks: the one that polls the session.

    *load_settings* reads the configuration anew, or raises :class:`FullbandError`; without it there is none to reload.
    """

    def __init__(self, session: Session, load_settings: Callable[[], LiveSettings] | None = None) -> None:
        self._session = session
        self._load_settings = load_settings
        #: The name by which the host is known to ``fullband ctl``.
        self.name: str | None = None
        #: Whether the host was asked to end.
        self.stopping = False

    def execute(self, request: protocol.AnyRequest) -> dict[str, Any]:
        """Do it and give what holds then. Raises :class:`FullbandError`; all is then as it was."""
        session = self._session
        match request:
            case protocol.Bypass(stage=str(stage)):
                session.set_stage_bypass(stage, _switched(request.state, session.stage_bypass(stage)))
                return {"stage": stage, "bypass": session.stage_bypass(stage)}
            case protocol.Bypass():
                session.set_bypass(_switched(request.state, session.settings.bypass))
                return {"bypass": session.settings.bypass}
            case protocol.Mute():
                session.set_muted(_switched(request.state, session.settings.muted))
                return {"muted": session.settings.muted}
            case protocol.Gain():
                session.set_gain_db(request.db)
                return {"gain_db": session.settings.gain_db}
            case protocol.Level():
                session.set_high_level_db(request.db)
                return {"high_level_db": session.settings.high_level_db}
            case protocol.Tilt():
                session.set_high_tilt_db(request.db)
                return {"high_tilt_db": session.settings.high_tilt_db}
            case protocol.Model():
                session.set_model(next_model(session.settings.model) if request.name == protocol.NEXT else request.name)
                return {"model": session.settings.model, "latency_ms": round(session.latency.total_ms, 2)}
            case protocol.Guard():
                session.set_guard_ms(request.ms)
                return {"guard_ms": session.settings.guard_ms, "latency_ms": round(session.latency.total_ms, 2)}
            case protocol.Set():
                value = session.set_parameter(request.stage, request.parameter, request.value)
                return {"stage": request.stage, "parameter": request.parameter, "value": value}
            case protocol.Chain():
                return {"stages": session.engine.describe_chain(), "latency": session.latency.as_dict()}
            case protocol.Stats():
                return session.statistics().as_dict(histograms=request.histograms)
            case protocol.Status():
                return {"name": self.name, "pid": os.getpid(), "version": __version__, **session.status()}
            case protocol.Reload():
                return self._reload()
            case protocol.Save():
                return {"path": str(save_settings(session.settings, request.target, force=request.force).resolve())}
            case protocol.Load():
                kept = session.load(load_live_settings(request.source, {}))
                return {"settings": session.settings.model_dump(mode="json"), "kept": kept}
            case protocol.Stop():
                self.stopping = True
                return {}
            case _:
                assert_never(request)

    def _reload(self) -> dict[str, Any]:
        if self._load_settings is None:
            raise FullbandError("this host was not started from a configuration")
        kept = self._session.reload(self._load_settings())
        return {"settings": self._session.settings.model_dump(mode="json"), "kept": kept}
