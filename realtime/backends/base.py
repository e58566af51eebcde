"""The interface of a backend."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..engine import Engine, StreamFormat

#: Drivers are known to report wrapped-around nonsense (PipeWire's JACK library for one).
_CREDIBLE_LATENCY_S = 5.0


def credible_latency_ms(reported_s: float) -> float | None:
    """The latency that a driver reports; None where it does not, or tells nonsense."""
    return 1000.0 * reported_s if 0.0 < reported_s < _CREDIBLE_LATENCY_S else None


@runtime_checkable
class Backend(Protocol):
    """A pair of devices. Made, asked for its :attr:`stream`, then started with an engine built for it.

    All methods are for the control plane; audio moves in the backend's own thread.
    """

    name: str
    stream: StreamFormat

    def start(self, engine: Engine) -> None:
        """Let audio flow through *engine*, which has been started."""

    def stop(self) -> None:
        """Stop both devices; after it no callback runs. May be called twice."""

    def reopen(self) -> None:
        """After :meth:`stop`: look for the devices anew. :attr:`stream` may be another one then.

        Raises :class:`FullbandError` while they are not there.
        """

    @property
    def active(self) -> bool:
        """False once the stream has ended, by itself or by a fault."""

    @property
    def ended(self) -> bool:
        """Whether all there was to play has been played, so that nothing more is to come."""

    @property
    def device_latency_ms(self) -> tuple[float | None, float | None]:
        """Capture and playback latency of the devices as their driver reports them; None where it does not."""

    def describe(self) -> str:
        """The devices, for people."""
