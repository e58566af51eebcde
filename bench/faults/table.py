"""The faults that the host must live through, and how each is put in.

What the network or a device does wrong happens on a freewheeling device, in the device's own time, the same way on
every machine. What the machine does wrong can only be had in real time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realtime.backends.simulated import SimulatedDevice

from ..signals.material import TELEPHONE_HZ
from .injection import Injection

#: When a fault happens, in seconds from the start.
AT_S = 2.0

#: How long a slow model is slow.
_SLOW_S = 1.0

#: What a model of a 4 ms hop takes that needs twice its time.
SLOW_BY_S = 0.0077

#: A drift has settled by then.
_SETTLED_S = 10.0


@dataclass(frozen=True)
class Fault:
    """One fault. *load* names what keeps the machine busy (then the run is in real time).

    Latency is looked at from *before_s* on and at the end; *seconds* is the least length with which that can be done.
    *loses* tells that samples may be lost by nature of the fault. *returns*: the device dies, and one is there again
    later with these rates of capture and playback.
    """

    name: str
    network: Callable[[Injection], None] | None = None
    device: Callable[[SimulatedDevice], None] | None = None
    load: str | None = None
    capture_ppm: float | None = None
    seconds: float = 4.5
    before_s: float = 0.5
    loses: bool = False
    returns: tuple[int, int] | None = None

    @property
    def real_time(self) -> bool:
        """Whether it needs the machine's clock."""
        return self.load is not None


def _engine_stall(ms: int) -> Fault:
    return Fault(f"engine stall {ms} ms", network=lambda network: network.stall(ms / 1000.0, AT_S))


def _device_stall(ms: int) -> Fault:
    return Fault(f"device stall {ms} ms", device=lambda device: device.stall(ms / 1000.0, AT_S))


def _drift(ppm: float) -> Fault:
    return Fault(f"drift {ppm:+.0f} ppm", capture_ppm=ppm, seconds=_SETTLED_S + 4.0, before_s=_SETTLED_S)


FAULTS: tuple[Fault, ...] = (
    Fault("none"),
    *(_engine_stall(ms) for ms in (5, 20, 100)),
    *(_device_stall(ms) for ms in (5, 20, 100)),
    Fault("NaN model, 1 hop", network=lambda network: network.poison(1, AT_S)),
    Fault("NaN model, 50 hops", network=lambda network: network.poison(50, AT_S)),
    Fault("slow model, 1 s", network=lambda network: network.slow_down(SLOW_BY_S, AT_S, AT_S + _SLOW_S)),
    _drift(300.0),
    _drift(-300.0),
    Fault(
        "capture gap 50 ms",
        device=lambda device: device.lose_capture(0.05, AT_S),
        capture_ppm=0.0,
        seconds=5.0,
        before_s=1.0,
        loses=True,
    ),
    Fault("device dies, returns", loses=True, returns=(TELEPHONE_HZ, 48_000)),
    # As when a headset changes its profile and the server its rate with it.
    Fault("rate change", loses=True, returns=(2 * TELEPHONE_HZ, 44_100)),
    Fault("CPU hog", load="cpu_hog"),
    Fault("GIL hog", load="gil_loop"),
    Fault("GIL hog, C calls", load="gil_call"),
    Fault("gc storm", load="gc_storm"),
)
