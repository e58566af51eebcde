"""What goes wrong in a soak: every kind of fault once, in any order, and then whichever, now and then."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import numpy as np

from realtime.backends.simulated import SimulatedDevice
from realtime.session import Session

from ..faults.injection import Injection
from ..faults.succession import Succession
from ..faults.table import FAULTS, SLOW_BY_S
from ..machine.loads import load
from ..signals.clicks import RATE_HZ
from ..signals.material import TELEPHONE_HZ, at_48_khz, telephone_voice
from .judge import Judge

#: Between faults, on average, and at first, when every one has its turn.
_CALM_S = 8.0
_FIRST_CALM_S = 3.0

#: Rates that the microphone's server changes between.
_CAPTURE_RATES_HZ = (TELEPHONE_HZ, 2 * TELEPHONE_HZ)

_MODELS = ("default", "light", "low-latency", "none")
_GAINS_DB = (-12.0, -3.0, 0.0, 2.0)


def microphone(capture_rate_hz: int, capture_ppm: float, seconds: float, first: int = 0) -> SimulatedDevice:
    """A device on two clocks whose microphone hears the voice again and again, beginning at its sample *first*."""
    voice = telephone_voice()
    if capture_rate_hz != TELEPHONE_HZ:
        voice = at_48_khz(voice)[:, :: RATE_HZ // capture_rate_hz]
    voice = np.roll(voice, -first * capture_rate_hz // RATE_HZ, axis=1)
    return SimulatedDevice(voice, capture_rate_hz, seconds=seconds, repeat=True, capture_ppm=capture_ppm)


class SoakFaults:
    """Draws faults from *dice* and puts them in. *seconds* is how long all devices together are to play."""

    def __init__(
        self,
        dice: random.Random,
        session: Session,
        devices: Succession,
        network: Injection,
        judge: Judge,
        capture_ppm: float,
        seconds: float,
    ) -> None:
        self._dice = dice
        self._session = session
        self._devices = devices
        self._network = network
        self._judge = judge
        self._capture_ppm = capture_ppm
        self._seconds = seconds
        self._voice = 0
        self._fresh: SimulatedDevice | None = None
        self._return: Callable[[], None] | None = None
        self._return_s = 0.0
        self._next_s = 1.0 + _FIRST_CALM_S
        self._stop_load: threading.Event | None = None
        self._load_ends_s = 0.0
        loads = [self._load_of(fault.load) for fault in FAULTS if fault.load is not None]
        self._kinds: list[Callable[[float], str]] = [
            self._stall_engine, self._stall_device, self._poison, self._slow, self._lose_capture, self._die,
            self._change_rate, self._bypass, self._guard, self._gain, self._mute, self._switch_model, *loads,
        ]  # fmt: skip
        self._first = dice.sample(self._kinds, len(self._kinds))

    @property
    def all_seen(self) -> bool:
        """Whether every kind has had its turn, and its end."""
        return not self._first and self._return is None and self._stop_load is None

    def poll(self, now_s: float, heard_s: float) -> str | None:
        """The fault that was put in at *now_s*, if any; *heard_s* is how much has been played."""
        if self._stop_load is not None and now_s > self._load_ends_s:
            self._stop_load.set()
            self._stop_load = None
        if self._return is not None and now_s > self._return_s and self._session.lost:
            self._return()
            self._return = None
        if now_s < self._next_s or self._session.lost or self._return is not None or heard_s > self._seconds - 5.0:
            return None
        self._next_s = now_s + self._dice.expovariate(1.0 / (_FIRST_CALM_S if self._first else _CALM_S))
        kind = self._first.pop() if self._first else self._dice.choice(self._kinds)
        return kind(now_s)

    def close(self) -> None:
        """End what is still under way."""
        if self._stop_load is not None:
            self._stop_load.set()

    def follow(self, device: SimulatedDevice) -> None:
        """A device starts: where it is in the voice, and whose time the network's faults are in."""
        self._network.follow(device)
        self._judge.begin(device, self._voice)

    def _stall_engine(self, now_s: float) -> str:
        ms = self._dice.choice((5, 20, 100))
        if self._session.engine.inference is None:
            return "no engine to stall"
        self._network.stall(ms / 1000.0)
        return f"engine thread stalls {ms} ms"

    def _stall_device(self, now_s: float) -> str:
        ms = self._dice.choice((5, 20, 100))
        self._devices.current.stall(ms / 1000.0)
        return f"device thread stalls {ms} ms"

    def _poison(self, now_s: float) -> str:
        hops = self._dice.choice((1, 3, 50))
        if self._session.engine.inference is None:
            return "no model to give NaN"
        self._network.poison(hops)
        return f"NaN for {hops} hops"

    def _slow(self, now_s: float) -> str:
        seconds = self._dice.uniform(0.5, 3.0)
        if self._session.engine.inference is None:
            return "no model to be slow"
        low_s = self._session.engine.low.written / RATE_HZ
        self._network.slow_down(SLOW_BY_S, low_s, low_s + seconds)
        return f"slow model for {seconds:.1f} s"

    def _lose_capture(self, now_s: float) -> str:
        ms = self._dice.choice((5, 20, 50))
        device = self._devices.current
        device.lose_capture(ms / 1000.0, device.played_frames / RATE_HZ)
        return f"capture gap {ms} ms"

    def _away(self, now_s: float, returns: Callable[[], None]) -> float:
        seconds = self._dice.uniform(0.3, 2.0)
        self._network.leave()
        self._devices.current.die()
        self._return = returns
        self._return_s = now_s + seconds
        return seconds

    def _die(self, now_s: float) -> str:
        device = self._devices.current
        return f"device dies and is back {self._away(now_s, device.come_back):.1f} s later"

    def _change_rate(self, now_s: float) -> str:
        rate_hz = self._dice.choice(
            [rate for rate in _CAPTURE_RATES_HZ if rate != self._devices.stream.capture_rate_hz]
        )
        left_s = max(self._seconds - self._judge.heard_s, 5.0)
        self._voice = self._dice.randrange(telephone_voice().shape[1]) * RATE_HZ // TELEPHONE_HZ
        self._devices.add(microphone(rate_hz, self._capture_ppm, left_s, self._voice))
        return f"{rate_hz} Hz {self._away(now_s, self._devices.plug_in):.1f} s later"

    def _bypass(self, now_s: float) -> str:
        self._session.set_bypass(not self._session.settings.bypass)
        return "bypass on" if self._session.settings.bypass else "bypass off"

    def _guard(self, now_s: float) -> str:
        self._session.set_guard_ms(2.0 if self._session.settings.guard_ms > 2.0 else 6.0)
        return f"guard {self._session.settings.guard_ms:.0f} ms"

    def _gain(self, now_s: float) -> str:
        gain_db = self._dice.choice(_GAINS_DB)
        self._judge.set_gain(10.0 ** (gain_db / 20.0))
        self._session.set_gain_db(gain_db)
        return f"gain {gain_db:g} dB"

    def _mute(self, now_s: float) -> str:
        """For a moment, so that most can be judged."""
        self._session.set_muted(True)
        self._next_s = now_s + 0.5
        self._first.append(self._unmute)
        return "mute on"

    def _unmute(self, now_s: float) -> str:
        self._session.set_muted(False)
        return "mute off"

    def _switch_model(self, now_s: float) -> str:
        name = self._dice.choice([name for name in _MODELS if name != self._session.settings.model])
        self._session.set_model(name)
        return f"model {name}"

    def _load_of(self, name: str) -> Callable[[float], str]:
        def begin(now_s: float) -> str:
            if self._stop_load is not None:
                return "no further load"
            seconds = self._dice.uniform(1.0, 4.0)
            stop = self._stop_load = threading.Event()
            self._load_ends_s = now_s + seconds

            def work() -> None:
                with load(name):
                    stop.wait()

            threading.Thread(target=work, daemon=True).start()
            return f"{name} for {seconds:.1f} s"

        return begin
