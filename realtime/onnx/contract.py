"""The streaming model contract: what a file must declare for the host to run it.

| name | shape | meaning |
|---|---|---|
| ``chunk`` (in) | [B, input_samples] | the newest *input_samples* of the low band at 48 kHz, once per hop |
| ``cutoff_hz`` (in, optional) | [B, 1] | effective bandwidth of the low band |
| ``level_db``, ``tilt_db`` (in, optional) | [B, 1] | the listener's wish: gain above the cutoff, and gain per octave |
| ``state_<k>_in`` / ``state_<k>_out`` | [B, ...] | what the network remembers; zeros are a fresh stream |
| ``output`` (out) | [B, output_samples] | windowed chunk that the host overlap-adds at every hop |

All float32, B open. The metadata keys are the fields of :class:`Contract`, prefixed ``fullband.`` for the
version alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import FullbandError
from .session import Session, TensorInfo

VERSION = 1
RATE_HZ = 48_000
#: Inputs that a model may have, in the order in which the host binds them.
CONTROLS = ("cutoff_hz", "level_db", "tilt_db")
_MODES = ("additive", "replace")
_STATE = re.compile(r"state_(\d+)_in")


@dataclass(frozen=True)
class Contract:
    """What a model file declares. *states* holds the shape of each state without its batch dimension."""

    name: str
    licence: str
    trained_on: str
    mode: str
    hop_samples: int
    input_samples: int
    output_samples: int
    latency_samples: int
    controls: tuple[str, ...]
    states: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def latency_ms(self) -> float:
        """From a sample entering to its output complete, hop included."""
        return 1000.0 * self.latency_samples / RATE_HZ

    @property
    def hop_ms(self) -> float:
        """Time between two runs of the network."""
        return 1000.0 * self.hop_samples / RATE_HZ


class _Reader:
    """Reads metadata and tensors of one session; every refusal is one line that names the key."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def refuse(self, key: str, problem: str) -> FullbandError:
        return FullbandError(f"{self.session.path} breaks the model contract: {key} {problem}")

    def text(self, key: str) -> str:
        value = self.session.metadata(key)
        if value is None:
            raise self.refuse(f"metadata '{key}'", "is missing")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.text(key)
        if not value.isdigit() or not low <= int(value) <= high:
            raise self.refuse(f"metadata '{key}'", f"is '{value}', not a whole number from {low} to {high}")
        return int(value)

    def tensor(self, infos: tuple[TensorInfo, ...], name: str, shape: tuple[int, ...] | None) -> TensorInfo:
        info = next((i for i in infos if i.name == name), None)
        side = "input" if infos is self.session.inputs else "output"
        if info is None:
            raise self.refuse(f"{side} '{name}'", "is missing")
        if not info.is_float32:
            raise self.refuse(f"{side} '{name}'", "is not float32")
        if shape is not None and info.shape[1:] != shape:
            raise self.refuse(f"{side} '{name}'", f"has shape {list(info.shape)}, not [B, {str(list(shape))[1:]}")
        if not info.shape or info.shape[0] != -1:
            raise self.refuse(f"{side} '{name}'", "has a fixed batch size; its first dimension must be open")
        if any(d <= 0 for d in info.shape[1:]):
            raise self.refuse(f"{side} '{name}'", f"has open dimensions {list(info.shape)}; only the first may be")
        return info


def read_contract(session: Session) -> Contract:
    """Check *session* against the contract. Raises :class:`FullbandError` that names the first breach."""
    reader = _Reader(session)
    version = reader.text("fullband.contract")
    if version != str(VERSION):
        raise reader.refuse("metadata 'fullband.contract'", f"is '{version}'; this host understands {VERSION}")
    reader.integer("sample_rate_hz", RATE_HZ, RATE_HZ)
    hop = reader.integer("hop_samples", 16, 4800)
    output = reader.integer("output_samples", hop, 48_000)
    inputs = reader.integer("input_samples", hop, 96_000)
    latency = reader.integer("latency_samples", hop, 96_000)
    mode = reader.text("mode")
    if mode not in _MODES:
        raise reader.refuse("metadata 'mode'", f"is '{mode}', not one of {', '.join(_MODES)}")
    reader.tensor(session.inputs, "chunk", (inputs,))
    reader.tensor(session.outputs, "output", (output,))
    controls = tuple(name for name in CONTROLS if any(i.name == name for i in session.inputs))
    for name in controls:
        reader.tensor(session.inputs, name, (1,))
    states = []
    for info in session.inputs:
        match = _STATE.fullmatch(info.name)
        if match is None:
            if info.name not in ("chunk", *CONTROLS):
                raise reader.refuse(f"input '{info.name}'", "is not one the host can supply")
            continue
        shape = reader.tensor(session.inputs, info.name, None).shape[1:]
        reader.tensor(session.outputs, f"state_{match[1]}_out", shape)
        states.append((f"state_{match[1]}", shape))
    return Contract(
        name=reader.text("name"),
        licence=reader.text("licence"),
        trained_on=reader.text("trained_on"),
        mode=mode,
        hop_samples=hop,
        input_samples=inputs,
        output_samples=output,
        latency_samples=latency,
        controls=controls,
        states=tuple(states),
    )
