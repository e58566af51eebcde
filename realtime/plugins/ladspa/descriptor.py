"""What a LADSPA plugin says of itself: the structures of ladspa.h (version 1.1), read by ctypes.

Imports nothing but the standard library, as the probe has to be there at once.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# LADSPA_Properties and LADSPA_PortDescriptor
_INPUT, _OUTPUT, _CONTROL, _AUDIO = 1, 2, 4, 8

# LADSPA_PortRangeHintDescriptor
_BELOW, _ABOVE, _TOGGLED, _SAMPLE_RATE, _LOGARITHMIC, _INTEGER = 1, 2, 4, 8, 16, 32
_DEFAULT_MASK = 0x3C0
_MINIMUM, _LOW, _MIDDLE, _HIGH, _MAXIMUM = 0x40, 0x80, 0xC0, 0x100, 0x140
_FIXED_DEFAULTS = {0x200: 0.0, 0x240: 1.0, 0x280: 100.0, 0x2C0: 440.0}

#: Where between the bounds a default by hint lies.
_PARTS = {_MINIMUM: 0.0, _LOW: 0.25, _MIDDLE: 0.5, _HIGH: 0.75, _MAXIMUM: 1.0}

#: Bounds that are no bounds; some plugins write the largest float.
_ENDLESS = 1e30


class RangeHint(ctypes.Structure):
    """LADSPA_PortRangeHint."""

    _fields_ = (("hints", ctypes.c_int), ("lower", ctypes.c_float), ("upper", ctypes.c_float))


class Descriptor(ctypes.Structure):
    """LADSPA_Descriptor."""

    _fields_ = (
        ("unique_id", ctypes.c_ulong),
        ("label", ctypes.c_char_p),
        ("properties", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("maker", ctypes.c_char_p),
        ("copyright", ctypes.c_char_p),
        ("port_count", ctypes.c_ulong),
        ("port_descriptors", ctypes.POINTER(ctypes.c_int)),
        ("port_names", ctypes.POINTER(ctypes.c_char_p)),
        ("range_hints", ctypes.POINTER(RangeHint)),
        ("implementation", ctypes.c_void_p),
        ("instantiate", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong)),
        ("connect_port", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p)),
        ("activate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("run", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong)),
        ("run_adding", ctypes.c_void_p),
        ("set_run_adding_gain", ctypes.c_void_p),
        ("deactivate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("cleanup", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    )


@dataclass(frozen=True)
class Port:
    """A port. *lower* and *upper* are None without a bound, at the rate that was asked for."""

    name: str
    is_input: bool
    is_audio: bool
    toggled: bool = False
    integer: bool = False
    logarithmic: bool = False
    lower: float | None = None
    upper: float | None = None
    default: float = 0.0


@dataclass(frozen=True)
class Facts:
    """A plugin, as its file describes it."""

    path: str
    label: str
    name: str
    maker: str
    copyright: str
    unique_id: int
    ports: tuple[Port, ...]

    def numbers(self, *, is_audio: bool, is_input: bool) -> list[int]:
        """The numbers of the ports of one sort."""
        return [k for k, p in enumerate(self.ports) if p.is_audio == is_audio and p.is_input == is_input]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Facts:
        """The other way."""
        return cls(**{**values, "ports": tuple(Port(**port) for port in values["ports"])})


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace").strip()


def _default(hints: int, lower: float | None, upper: float | None) -> float:
    """What a control is if nobody says anything; where a plugin does not say, zero or the bound next to it."""
    kind = hints & _DEFAULT_MASK
    value = 0.0
    if kind in _FIXED_DEFAULTS:
        value = _FIXED_DEFAULTS[kind]
    elif kind in _PARTS and lower is not None and upper is not None:
        part = _PARTS[kind]
        if hints & _LOGARITHMIC and lower > 0.0 and upper > 0.0:
            value = math.exp(math.log(lower) * (1.0 - part) + math.log(upper) * part)
        else:
            value = lower * (1.0 - part) + upper * part
    elif kind in _PARTS:
        value = (lower if kind in (_MINIMUM, _LOW) else upper) or lower or 0.0
    if hints & _INTEGER:
        value = float(round(value))
    if lower is not None:
        value = max(value, lower)
    return _readable(value if upper is None else min(value, upper))


def _readable(value: float) -> float:
    """A float32 as somebody may have written it: 0.01 and not 0.00999999978."""
    return float(f"{value:.6g}")


def _port(descriptor: Descriptor, number: int, rate_hz: int) -> Port:
    kind = descriptor.port_descriptors[number]
    hint = descriptor.range_hints[number]
    factor = rate_hz if hint.hints & _SAMPLE_RATE else 1
    toggled = bool(hint.hints & _TOGGLED)
    lower = _readable(hint.lower * factor) if hint.hints & _BELOW and hint.lower > -_ENDLESS else None
    upper = _readable(hint.upper * factor) if hint.hints & _ABOVE and hint.upper < _ENDLESS else None
    if toggled:
        lower, upper = 0.0, 1.0
    if lower is not None and upper is not None and lower > upper:
        lower, upper = upper, lower
    return Port(
        name=_text(descriptor.port_names[number]),
        is_input=bool(kind & _INPUT),
        is_audio=bool(kind & _AUDIO),
        toggled=toggled,
        integer=bool(hint.hints & _INTEGER),
        logarithmic=bool(hint.hints & _LOGARITHMIC),
        lower=lower,
        upper=upper,
        default=_default(hint.hints, lower, upper),
    )


def descriptors(path: str) -> Iterator[Descriptor]:
    """All plugins in the file *path*. OSError where it cannot be loaded or is no LADSPA file."""
    library = ctypes.CDLL(path)
    try:
        entry = library.ladspa_descriptor
    except AttributeError:
        raise OSError("it has no function ladspa_descriptor: it is no LADSPA file") from None
    entry.restype = ctypes.POINTER(Descriptor)
    entry.argtypes = (ctypes.c_ulong,)
    index = 0
    while found := entry(index):
        yield found.contents
        index += 1


def label_of(descriptor: Descriptor) -> str:
    """Its label."""
    return _text(descriptor.label)


def describe(path: str, descriptor: Descriptor, rate_hz: int) -> Facts:
    """What *descriptor* says, at a sample rate."""
    return Facts(
        path=path,
        label=label_of(descriptor),
        name=_text(descriptor.name),
        maker=_text(descriptor.maker),
        copyright=_text(descriptor.copyright),
        unique_id=int(descriptor.unique_id),
        ports=tuple(_port(descriptor, k, rate_hz) for k in range(descriptor.port_count)),
    )


def is_latency(port: Port) -> bool:
    """Whether a port tells the plugin's latency in samples, by the name that hosts have agreed on."""
    return not port.is_input and not port.is_audio and port.name.lower().strip("_ ") == "latency"


def key_of(name: str) -> str:
    """A port's *name* as a key in TOML: 'Threshold (dB)' is ``threshold_db``. Longer words in brackets are left out."""
    short = re.sub(r"[(\[]([^()\[\]]{13,})[)\]]", "", name)
    return re.sub(r"[^a-z0-9]+", "_", short.lower()).strip("_") or "control"


def unit_of(name: str) -> str:
    """The unit in a port's *name*, in brackets at its end: 'dB' of 'Threshold (dB)'."""
    found = re.search(r"[(\[]([^()\[\]]{1,12})[)\]]\s*$", name)
    return found[1].strip() if found else ""


def file_name(path: str) -> str:
    """The last part of *path*."""
    return Path(path).name
