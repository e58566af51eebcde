"""What looks after a running engine: where the voice's band ends, the guard, overload, feedback, stages that fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bandwidth import BandwidthDetector
from .brightness import GLIDE_DB_PER_S, BrightnessMemory
from .engine import Engine
from .feedback import FeedbackGuard
from .guard import GuardControl, GuardKeeper
from .overload import OverloadControl
from .settings.live import LiveSettings
from .stages import StageWatch
from .taps import Tap
from .wishes import AS_IT_IS


class Lookout:
    """Looks after *engine* as *settings* want it, by :meth:`poll`; for the thread that polls the session."""

    def __init__(self, engine: Engine, settings: LiveSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._heard = Tap(engine.low)
        self._stages = StageWatch(engine.describe_chain)
        self._detector: BandwidthDetector | None = None
        self._memory: BrightnessMemory | None = None
        self._brightness = AS_IT_IS
        self._polled_s = 0.0
        self._guard: GuardControl | None = None
        self._overload = self._watch_overload()
        self._earlier_guard_changes = 0
        self._earlier_step_downs = 0
        self.feedback = FeedbackGuard(engine.wishes.set_duck_db)
        self.follow(settings)

    def follow(self, settings: LiveSettings) -> None:
        """Look after it as other *settings* want it, from the beginning."""
        self._detector = BandwidthDetector() if settings.cutoff_hz is None else None
        if self._detector is None or not settings.keep_brightness:
            self._memory = None
        elif self._memory is None:
            self._memory = BrightnessMemory(self._engine.model_path)
        if not settings.feedback_guard:
            self.feedback.release()
        self.follow_guard(settings)

    def follow_guard(self, settings: LiveSettings) -> None:
        """Let the guard adapt from what *settings* say, or not at all."""
        self._settings = settings
        if self._guard is not None:
            self._earlier_guard_changes += self._guard.changes
        self._guard = None
        if settings.adaptive_guard:
            keeper = GuardKeeper(settings.guard_ms)
            self._guard = GuardControl(keeper, self._engine.take_least_margin, self._engine.set_guard_ms)

    def follow_models(self) -> None:
        """Step down among the models that the engine has now."""
        self._earlier_step_downs += self._overload.step_downs
        self._overload = self._watch_overload()

    def _watch_overload(self) -> OverloadControl:
        """Steps down from the model to the fallback to the low band alone; a chain stays around the models."""
        engine, tally = self._engine, self._engine.tally.record
        model, fallback = engine.model_path, engine.settings.fallback_model
        paths = [path for path in (model, fallback if fallback != model else None) if path is not None]
        steps: list[Path | None] = [*paths] if paths or not engine.chain else [None]
        names = [path.stem if path else "the chain" for path in steps] + ["the low band alone"]

        def go_to(index: int) -> None:
            if index < len(steps):
                engine.switch_model(steps[index])
            else:
                engine.drop_to_low_band()

        return OverloadControl(names, lambda: (int(tally["hops"]), int(tally["deadline_misses"])), go_to)

    def poll(self, now_s: float, *, lost: bool) -> list[str]:
        """Look after it; *lost*: its devices are away. Gives the lines that people should see."""
        engine, lines = self._engine, []
        engine.tend()
        heard = self._heard.read()
        if self._detector is not None:
            nyquist_hz = engine.stream.capture_rate_hz / 2
            engine.set_cutoff_hz(min(self._detector.push(heard[0]), nyquist_hz))
        lines += self._keep_brightness(heard[0], now_s)
        if self._settings.feedback_guard and (line := self.feedback.poll(heard[0])) is not None:
            lines.append(line)
        if lost:
            engine.take_least_margin()  # without devices margins say nothing
            self._overload.pause()
        else:
            if self._guard is not None and (change := self._guard.poll(now_s)) is not None:
                lines.append(f"guard {change.guard_ms:.1f} ms: {change.reason}")
            lines += self._poll_overload(now_s)
        return lines + self._stages.poll(now_s)

    def _keep_brightness(self, heard: NDArray[np.float32], now_s: float) -> list[str]:
        most_db = GLIDE_DB_PER_S * min(now_s - self._polled_s, 1.0)
        self._polled_s = now_s
        wanted, lines = AS_IT_IS, []
        if self._memory is not None:
            self._memory.model = self._engine.model_path
            found = self._memory.push(heard, self._engine.cutoff_hz)
            # What somebody has set is meant as it is.
            if self._engine.wishes.wished == AS_IT_IS:
                wanted = self._memory.brightness
                lines += [f"the high band is kept as bright as it was heard: {wanted}"] if found else []
        if wanted != self._brightness:
            self._brightness = self._brightness.towards(wanted, most_db)
            self._engine.wishes.set_known(self._brightness)
        return lines

    def _poll_overload(self, now_s: float) -> list[str]:
        step_downs = self._overload.step_downs
        line = self._overload.poll(now_s)
        if self._overload.step_downs > step_downs and self._guard is not None:
            # It has grown for a model that no guard could help, and would take minutes to shrink.
            self.follow_guard(self._settings)
            self._engine.set_guard_ms(self._settings.guard_ms)
        return [line] if line is not None else []

    @property
    def guard_changes(self) -> int:
        """How often the guard has been changed because of late hops or ample margins."""
        return self._earlier_guard_changes + (self._guard.changes if self._guard else 0)

    @property
    def step_downs(self) -> int:
        """How often another model was taken, or none, as the machine could not keep up."""
        return self._earlier_step_downs + self._overload.step_downs
