"""A running host: devices, engine, guard and bandwidth detector together, as ``fullband live`` and programs use it.

>>> with Session(LiveSettings(input="usb headset")) as session:
...     session.start()
...     while session.running:
...         for line in session.poll():
...             print(line)
...         time.sleep(0.1)
"""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import priority
from .awake import Awake
from .backends.base import Backend
from .backends.select import open_backend
from .engine import Engine, EngineSettings
from .errors import FullbandError, in_range
from .guard import GUARD_RANGE_MS
from .latency import LatencyBudget
from .lookout import Lookout
from .paths import find_model
from .settings.live import LiveSettings
from .stages import amended, specs_of
from .statistics import Statistics
from .supervisor import FirstBlocks, Supervisor

#: A device that has not called back by then will not.
_FIRST_AUDIO_SECONDS = 5.0


#: A fade takes 10 ms and some blocks; a device that does not play on is not waited for.
_FADE_OUT_SECONDS = 0.3

#: Settings that only devices opened anew can follow.
_DEVICE_KEYS = (
    "backend", "input", "output", "rate_hz", "block_frames", "device_latency", "source", "simulated_rate_hz",
)  # fmt: skip

#: Settings that only another start can follow.
_FIXED_KEYS = (
    "seconds", "realtime_priority", "cpu", "keep_awake", "record", "plot", "force", "name", "metrics_port",
    "virtual_mic",
)  # fmt: skip


def _fallback(settings: LiveSettings, model: Path | None) -> Path | None:
    """The model that *settings* name for worse times, unless it is *model* itself."""
    fallback = find_model(settings.fallback_model) if settings.fallback_model else None
    return fallback if fallback != model else None


class Session:
    """The host from microphone to speaker, for *settings*; *backend* takes the place of the one they name.

    Silent until :meth:`start`. Then :meth:`poll` is to be called some ten times a second while :attr:`running`: it
    keeps guard, cutoff and devices; audio itself waits for nothing here. For one thread of the control plane.
    Raises :class:`FullbandError` where model or devices cannot be had.
    """

    def __init__(self, settings: LiveSettings, backend: Backend | None = None) -> None:
        self.settings = settings
        self._notices: list[str] = []
        model = find_model(settings.model)
        fallback = _fallback(settings, model)
        chain = specs_of(settings)
        self.backend = backend if backend is not None else open_backend(settings, self._notices.append)
        engine_settings = EngineSettings(
            model,
            guard_ms=settings.guard_ms,
            cutoff_hz=settings.cutoff_hz,
            realtime_priority=settings.realtime_priority,
            fallback_model=fallback,
            chain=chain,
        )
        try:
            self.engine = Engine(self.backend.stream, engine_settings)
        except BaseException:
            self.backend.stop()
            raise
        self._set_engine()
        self._lookout = Lookout(self.engine, settings)
        self._supervisor: Supervisor | None = None
        self._device_latency_ms: tuple[float | None, float | None] = (None, None)
        self._end_s: float | None = None
        self._awake: Awake | None = None
        self._started = False
        self._stopped = False

    def _set_engine(self) -> None:
        """Bypass, gains, tilt, pivot and mute as the settings in effect want them."""
        self.engine.set_enabled(not self.settings.bypass)
        self.engine.wishes.set_gain_db(self.settings.gain_db)
        self.engine.wishes.set_high_level_db(self.settings.high_level_db)
        self.engine.wishes.set_high_tilt_db(self.settings.high_tilt_db)
        self.engine.wishes.set_high_pivot_hz(self.settings.high_pivot_hz)
        self.engine.wishes.set_muted(self.settings.muted)

    def start(self) -> None:
        """Let audio flow; returns when the first block has been played, and fails when none comes."""
        gc.collect()
        gc.freeze()
        threads = priority.thread_ids()
        self.engine.start()
        thread_id = priority.new_thread_id(threads)
        self._started = True
        first = FirstBlocks(self.engine)
        self.backend.start(self.engine)
        deadline = time.monotonic() + _FIRST_AUDIO_SECONDS
        while not first.played:
            if time.monotonic() > deadline or not self.backend.active:
                raise FullbandError(f"no audio comes from {self.backend.describe()}: see 'fullband doctor'")
            time.sleep(0.002)
        first.plan()
        # The simulated device ends by itself, and by its own clock.
        if self.settings.seconds is not None and self.backend.name != "simulated":
            self._end_s = time.monotonic() + self.settings.seconds
        self._supervisor = Supervisor(self.backend, self.engine, self._fade_out)
        # Only now: the first audio is not kept waiting for it.
        granted, lines = priority.prepare(
            thread_id, self.engine.realtime_granted, self.settings.realtime_priority, self.settings.cpu
        )
        self.engine.realtime_granted = granted
        self._notices += lines
        if self.settings.keep_awake:
            self._awake = Awake()
            self._notices += [self._awake.refusal] if self._awake.refusal else []

    @property
    def running(self) -> bool:
        """Until the time of the settings is up, the source has ended, or :meth:`stop`; also while devices are away."""
        over = self._end_s is not None and time.monotonic() >= self._end_s
        over = over or (self.backend.ended and not self.backend.active)
        return self._started and not self._stopped and not over

    @property
    def lost(self) -> bool:
        """Whether the devices are away: the output is silent, and they are looked for."""
        return self._supervisor is not None and self._supervisor.lost

    def remaining_s(self, most_s: float) -> float:
        """Seconds until the time of the settings is up, *most_s* at most."""
        return most_s if self._end_s is None else min(most_s, max(self._end_s - time.monotonic(), 0.0))

    def poll(self) -> list[str]:
        """Look after the running host; gives the lines, if any, that people should see."""
        if self._supervisor is not None and not self._stopped:
            now_s = time.monotonic()
            self._notices += self._supervisor.poll(now_s)
            self._notices += self._lookout.poll(now_s, lost=self.lost)
        notices, self._notices = self._notices, []
        return notices

    def _change(self, **values: Any) -> None:
        self.settings = self.settings.model_copy(update=values)

    def set_bypass(self, bypass: bool) -> None:
        """Only pass the voice through, or not; without a click, at an equal delay."""
        self._change(bypass=bypass)
        self.engine.set_enabled(not bypass)

    def set_gain_db(self, gain_db: float) -> None:
        """Play all louder or softer, within -60 to 24 dB, along a ramp."""
        self.engine.wishes.set_gain_db(gain_db)
        self._change(gain_db=gain_db)

    def set_high_level_db(self, level_db: float) -> None:
        """Make the high band alone louder or softer, within -24 to 12 dB."""
        self.engine.wishes.set_high_level_db(level_db)
        self._change(high_level_db=level_db)

    def set_high_tilt_db(self, tilt_db: float) -> None:
        """Tilt the high band by -12 to 12 dB an octave. Raises :class:`FullbandError` where the model cannot."""
        if tilt_db != 0.0 and not self.engine.wishes.takes_tilt:
            raise FullbandError(f"the model '{self.settings.model}' has no tilt; only its level can be set")
        self.engine.wishes.set_high_tilt_db(tilt_db)
        self._change(high_tilt_db=tilt_db)

    def set_muted(self, muted: bool) -> None:
        """Play silence, or the voice again, along a ramp; the gain is kept."""
        self._change(muted=muted)
        self.engine.wishes.set_muted(muted)

    def set_model(self, name: str) -> None:
        """Have another model by its name or path, or 'none', while audio runs; see :meth:`Engine.switch_model`."""
        self.engine.switch_model(find_model(name))
        self._change(model=name)
        self._lookout.follow_models()

    def set_parameter(self, stage: str, name: str, value: float | bool) -> float:
        """Have another *value* of a stage's parameter, without a click; gives it as a number."""
        settings, spec = amended(self.settings, stage, {name: value})
        self._set_chain(settings)
        return dict(spec.values)[name]

    def set_stage_bypass(self, stage: str, bypass: bool) -> None:
        """Go past a stage, or not; without a click, at an equal delay."""
        self._set_chain(amended(self.settings, stage, {"bypass": bypass})[0])

    def stage_bypass(self, stage: str) -> bool:
        """Whether a stage is gone past."""
        return amended(self.settings, stage, {})[1].bypass

    def _set_chain(self, settings: LiveSettings) -> None:
        self.engine.set_chain(specs_of(settings))
        self.settings = settings

    def set_guard_ms(self, guard_ms: float) -> None:
        """Hold another guard, by a crossfade; where it adapts, this is from now on the least."""
        self._change(guard_ms=in_range("guard_ms", guard_ms, GUARD_RANGE_MS))
        self.engine.set_guard_ms(guard_ms)
        self._lookout.follow_guard(self.settings)

    def reload(self, settings: LiveSettings) -> list[str]:
        """Take over from *settings* what can change while audio runs; gives the keys that stay until another start.

        What can change is both models, chain, bypass, gain, mute, cutoff, guard and devices. Devices are opened anew
        only where what names them has changed. Raises :class:`FullbandError` where something cannot be had; all then
        stays as it was.
        """
        before = self.settings
        kept = [key for key in _FIXED_KEYS if getattr(settings, key) != getattr(before, key)]
        settings = settings.model_copy(update={key: getattr(before, key) for key in kept})
        self._reload_chain(settings)
        try:
            self._reload_models(settings)
            if any(getattr(before, key) != getattr(settings, key) for key in _DEVICE_KEYS):
                self._reload_devices(settings, before)
        except FullbandError:
            self._reload_chain(before)
            raise
        self.settings = settings
        self._set_engine()
        self.engine.set_guard_ms(settings.guard_ms)
        if settings.cutoff_hz is not None:
            self.engine.set_cutoff_hz(settings.cutoff_hz)
        self._lookout.follow(settings)
        return kept

    def load(self, settings: LiveSettings) -> list[str]:
        """:meth:`reload` with a preset: what it does not name of devices, and of what only a start can set, stays."""
        named, before = settings.model_fields_set, self.settings
        stays = [key for key in (*_DEVICE_KEYS, *_FIXED_KEYS) if key not in named]
        if before.virtual_mic is not None:
            stays += [key for key in ("input", "output") if key in named]
        loaded = settings.model_copy(update={key: getattr(before, key) for key in stays})
        loaded.model_fields_set.difference_update(set(stays) - before.model_fields_set)
        return self.reload(loaded)

    def _reload_devices(self, settings: LiveSettings, before: LiveSettings) -> None:
        """The devices of *settings*, or all as it was."""
        if self._supervisor is None:
            return
        self._fade_out()
        try:
            self.backend = self._supervisor.change(lambda: self._open_anew(settings))
        except FullbandError:
            self._reload_models(before)
            raise
        finally:
            self._set_engine()

    def _reload_chain(self, settings: LiveSettings) -> None:
        """The chain of *settings*, or the one that is."""
        if settings.chain != self.settings.chain:
            self.engine.set_chain(specs_of(settings))
            self._change(chain=settings.chain)
            self._lookout.follow_models()

    def _reload_models(self, settings: LiveSettings) -> None:
        """Both models of *settings*, or none of them."""
        before = self.settings
        if settings.model != before.model:
            self.set_model(settings.model)
        try:
            fallback = _fallback(settings, find_model(settings.model))
            if fallback != self.engine.settings.fallback_model:
                self.engine.set_fallback(fallback)
                self._change(fallback_model=settings.fallback_model)
                self._lookout.follow_models()
        except FullbandError:
            if settings.model != before.model:
                self.set_model(before.model)
            raise

    @property
    def guard_changes(self) -> int:
        """How often the guard has been changed because of late hops or ample margins."""
        return self._lookout.guard_changes

    @property
    def latency(self) -> LatencyBudget:
        """The delay part by part, with the devices' own as long as they run, and as it was then."""
        if not self._stopped:
            self._device_latency_ms = self.backend.device_latency_ms
        capture_ms, playback_ms = self._device_latency_ms
        return replace(self.engine.latency, capture_device_ms=capture_ms, playback_device_ms=playback_ms)

    @property
    def device_xruns(self) -> int:
        """Xruns that the backend itself counts, beside those that the callbacks are told of."""
        return int(getattr(self.backend, "xruns", 0))

    def statistics(self) -> Statistics:
        """All counters and settings, as of one moment."""
        return replace(
            self.engine.statistics(),
            latency_ms=self.latency.total_ms,
            device_xruns=self.device_xruns,
            device_losses=self._supervisor.losses if self._supervisor else 0,
            guard_changes=self.guard_changes,
            step_downs=self._lookout.step_downs,
            feedback_ducks=self._lookout.feedback.ducks,
        )

    def figures(self) -> dict[str, Any]:
        """What a report tells of a run: devices, model, latency and counters, ready for JSON."""
        engine, stream = self.engine, self.engine.stream
        return {
            "backend": self.backend.name,
            "devices": self.backend.describe(),
            "model": engine.inference.contract.name if engine.inference else None,
            "capture_rate_hz": stream.capture_rate_hz,
            "playback_rate_hz": stream.playback_rate_hz,
            "block_frames": stream.block_frames,
            "guard_changes": self.guard_changes,
            "cutoff_hz": engine.cutoff_hz,
            "realtime": engine.realtime_granted,
            "latency": self.latency.as_dict(),
            "device_xruns": self.device_xruns,
            "statistics": self.statistics().as_dict(),
            "chain": engine.describe_chain(),
        }

    def status(self) -> dict[str, Any]:
        """:meth:`figures` and what holds right now: guard, drift and the settings in effect, ready for JSON."""
        return {
            **self.figures(),
            "running": self.running,
            "lost": self.lost,
            "device_returns": self._supervisor.returns if self._supervisor else 0,
            "bypass": self.settings.bypass,
            "muted": self.settings.muted,
            "gain_db": self.settings.gain_db,
            "guard_ms": self.engine.guard_ms,
            "drift_ppm": round(self.engine.drift_ppm, 2),
            "settings": self.settings.model_dump(mode="json"),
        }

    def _open_anew(self, settings: LiveSettings) -> Backend:
        if self.backend.name == "portaudio":
            from .backends import library

            library.refresh()  # what is asked for may have been plugged in since
        return open_backend(settings, self._notices.append)

    def _fade_out(self) -> None:
        """Let what is heard go to silence along a ramp of 10 ms, the device's own buffer included."""
        if self._supervisor is None or self.lost or not self.backend.active:
            return
        self.engine.wishes.set_muted(True)
        deadline = time.monotonic() + _FADE_OUT_SECONDS
        while not self.engine.wishes.faded_out and self.backend.active and time.monotonic() < deadline:
            time.sleep(0.002)
        held_ms = self.backend.device_latency_ms[1] or 0.0
        time.sleep(min(1e-3 * held_ms, max(deadline - time.monotonic(), 0.0)))

    def stop(self) -> None:
        """Fade out and end the audio. Counters and rings can still be read. May be called twice."""
        if self._stopped:
            return
        self._device_latency_ms = self.backend.device_latency_ms
        self._fade_out()
        self._stopped = True
        self.backend.stop()
        self.engine.stop()
        if self._awake is not None:
            self._awake.close()

    def close(self) -> None:
        """Stop, and release devices and model."""
        self.stop()
        self.engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
