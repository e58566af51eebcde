"""Sound devices, found by what people call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import FullbandError, nearest

#: PortAudio's names of its host APIs, as short as people say them.
_SHORT = {
    "JACK Audio Connection Kit": "JACK",
    "Windows WASAPI": "WASAPI",
    "Windows DirectSound": "DirectSound",
    "Windows WDM-KS": "WDM-KS",
    "Core Audio": "CoreAudio",
}

#: How long a session manager that has just started may take to choose its default devices.
_DEFAULT_PATIENCE_S = 1.5


@dataclass(frozen=True)
class Device:
    """One device as PortAudio sees it."""

    index: int
    name: str
    hostapi: str
    max_input_channels: int
    max_output_channels: int
    default_rate_hz: float
    low_input_latency_ms: float
    low_output_latency_ms: float

    @property
    def system(self) -> str:
        """Its host API, as short as people say it: ``JACK``."""
        return _SHORT.get(self.hostapi, self.hostapi)

    @property
    def label(self) -> str:
        """How to name it: ``JACK: FakeMic``."""
        return f"{self.system}: {self.name}"


def import_sounddevice() -> Any:
    """The sounddevice module. Raises :class:`FullbandError` where the PortAudio library is missing."""
    try:
        import sounddevice
    except OSError as error:
        raise FullbandError(f"{error}; install it: sudo apt-get install libportaudio2") from None
    return sounddevice


def list_devices() -> list[Device]:
    """All devices, as they are now."""
    sounddevice = import_sounddevice()
    apis = sounddevice.query_hostapis()
    return [
        Device(
            index=info["index"],
            name=info["name"],
            hostapi=apis[info["hostapi"]]["name"],
            max_input_channels=info["max_input_channels"],
            max_output_channels=info["max_output_channels"],
            default_rate_hz=info["default_samplerate"],
            low_input_latency_ms=1000.0 * info["default_low_input_latency"],
            low_output_latency_ms=1000.0 * info["default_low_output_latency"],
        )
        for info in sounddevice.query_devices()
    ]


def default_index(kind: Literal["input", "output"]) -> int | None:
    """Index of PortAudio's default device of *kind*; None when there is none."""
    index = int(import_sounddevice().default.device[0 if kind == "input" else 1])
    return index if index >= 0 else None


def find(name: str | None, kind: Literal["input", "output"]) -> Device:
    """The device of *kind* that *name* means; None means the default one.

    The default is PipeWire's own where its devices are seen through JACK, which has none; else it is PortAudio's.
    A name is a number, a full name, or words in any order that the name or its system contain, upper and
    lower case alike; ``JACK: FakeMic`` confines it to one system. Raises :class:`FullbandError` that names
    the candidates when there are several, and the nearest when there is none.
    """
    usable = [d for d in list_devices() if getattr(d, f"max_{kind}_channels") > 0]
    if not usable:
        raise FullbandError(f"there is no {kind} device; see 'fullband doctor'; 'live --backend simulated' needs none")
    if name is None:
        default = default_index(kind)
        found = _pipewire_default(kind, usable) or [d for d in usable if d.index == default]
        if not found:
            labels = ", ".join(f"'{d.label}'" for d in usable)
            raise FullbandError(f"no default {kind} device is set; name one with --{kind}: {labels}")
        return found[0]
    return _choose(name, kind, usable)


def _pipewire_default(kind: Literal["input", "output"], usable: list[Device]) -> list[Device]:
    among = [d for d in usable if d.system == "JACK"]
    if not among:
        return []
    from .backends.watch import pipewire_default

    names = pipewire_default(kind, _DEFAULT_PATIENCE_S)
    return [d for d in among if d.name in names][:1]


def _confined(wanted: str, usable: list[Device]) -> tuple[list[Device], str]:
    """The devices of the system that *wanted* begins with, and the rest of it; all when it names none."""
    system, colon, rest = (part.strip() for part in wanted.partition(":"))
    among = [d for d in usable if system in (d.system.lower(), d.hostapi.lower())]
    return (among, rest) if colon and rest and among else (usable, wanted)


def _choose(name: str, kind: str, usable: list[Device]) -> Device:
    if name.strip().isdigit():
        found = [d for d in usable if d.index == int(name)]
    else:
        wanted = name.lower().strip()
        found = [d for d in usable if wanted in (d.name.lower(), d.label.lower())]
        if not found:
            among, text = _confined(wanted, usable)
            found = [d for d in among if text == d.name.lower()] or [
                d for d in among if all(word in d.label.lower() for word in text.replace(":", " ").split())
            ]
    if len(found) == 1:
        return found[0]
    if found:
        labels = ", ".join(f"'{d.label}'" for d in found)
        raise FullbandError(f"{kind} device '{name}' could be any of {labels}: say more of its name")
    labels_known = [d.label for d in usable]
    near = ", ".join(f"'{label}'" for label in nearest(name, labels_known) or labels_known)
    raise FullbandError(f"no {kind} device '{name}'; there is: {near}")
