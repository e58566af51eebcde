"""Simulated devices one after another: what the host sees when one dies and returns, or its server changes the rate."""

from __future__ import annotations

from collections.abc import Callable

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine
from realtime.errors import FullbandError


class Succession:
    """A backend that is the first of *devices* until that has ended or died, and the next once it is plugged in.

    A device that died with none after it may come back itself. *followers* are called with a device that is about to
    start. It ends when the last device does.
    """

    name = "simulated"

    def __init__(self, devices: list[SimulatedDevice]) -> None:
        self._devices = devices
        self.stream = self.current.stream
        self._plugged = False
        self._earlier_xruns = 0
        self.followers: list[Callable[[SimulatedDevice], None]] = []

    @property
    def current(self) -> SimulatedDevice:
        """The device in use, or that was until it went."""
        return self._devices[0]

    def add(self, device: SimulatedDevice) -> None:
        """Have *device* after those that there are."""
        self._devices.append(device)

    def plug_in(self) -> None:
        """Let the next device be found by :meth:`reopen`."""
        self._plugged = True

    def start(self, engine: Engine) -> None:
        for follow in self.followers:
            follow(self.current)
        self.current.start(engine)

    def stop(self) -> None:
        self.current.stop()

    def reopen(self) -> None:
        if len(self._devices) == 1:
            self.current.reopen()
        elif self._plugged:
            self._earlier_xruns += self.current.xruns
            self._devices.pop(0)
            self._plugged = False
        else:
            raise FullbandError("the simulated device is unplugged")
        self.stream = self.current.stream

    @property
    def active(self) -> bool:
        return self.current.active

    @property
    def ended(self) -> bool:
        return len(self._devices) == 1 and self.current.ended

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]:
        return self.current.device_latency_ms

    @property
    def xruns(self) -> int:
        """Of all devices so far."""
        return self._earlier_xruns + self.current.xruns

    def describe(self) -> str:
        return self.current.describe()
