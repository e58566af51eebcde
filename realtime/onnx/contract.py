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
from typing import Any

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
    """Reads metadata and tensors of one session, and notes every breach in a line that names the key."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.breaches: list[str] = []

    def note(self, key: str, problem: str) -> None:
        self.breaches.append(f"{key} {problem}")

    def text(self, key: str) -> str:
        value = self.session.metadata(key)
        if value is None:
            self.note(f"metadata '{key}'", "is missing")
        return value or ""

    def integer(self, key: str, low: int, high: int) -> int | None:
        value = self.session.metadata(key)
        if value is None:
            self.note(f"metadata '{key}'", "is missing")
        elif not value.isdigit() or not low <= int(value) <= high:
            self.note(f"metadata '{key}'", f"is '{value}', not a whole number from {low} to {high}")
        else:
            return int(value)
        return None

    def tensor(self, infos: tuple[TensorInfo, ...], name: str, shape: tuple[int, ...] | None) -> tuple[int, ...]:
        """The shape of a tensor without its batch dimension."""
        info = next((i for i in infos if i.name == name), None)
        side = "input" if infos is self.session.inputs else "output"
        key = f"{side} '{name}'"
        if info is None:
            self.note(key, "is missing")
            return ()
        if not info.is_float32:
            self.note(key, "is not float32")
        if shape is not None and info.shape[1:] != shape:
            self.note(key, f"has shape {list(info.shape)}, not [B, {str(list(shape))[1:]}")
        if not info.shape or info.shape[0] != -1:
            self.note(key, "has a fixed batch size; its first dimension must be open")
        if any(d <= 0 for d in info.shape[1:]):
            self.note(key, f"has open dimensions {list(info.shape)}; only the first may be")
        return info.shape[1:]

    def tensors(self, inputs: int | None, output: int | None) -> tuple[tuple[str, ...], list[tuple[str, Any]]]:
        """Controls and states."""
        session = self.session
        self.tensor(session.inputs, "chunk", None if inputs is None else (inputs,))
        self.tensor(session.outputs, "output", None if output is None else (output,))
        controls = tuple(name for name in CONTROLS if any(i.name == name for i in session.inputs))
        for name in controls:
            self.tensor(session.inputs, name, (1,))
        states = []
        for info in session.inputs:
            match = _STATE.fullmatch(info.name)
            if match is None:
                if info.name not in ("chunk", *CONTROLS):
                    self.note(f"input '{info.name}'", "is not one the host can supply")
                continue
            shape = self.tensor(session.inputs, info.name, None)
            self.tensor(session.outputs, f"state_{match[1]}_out", shape)
            states.append((f"state_{match[1]}", shape))
        return controls, states


def examine(session: Session) -> tuple[Contract | None, list[str]]:
    """What *session* declares, None where that is not enough to run it; and every breach, in a line each."""
    reader = _Reader(session)
    version = reader.text("fullband.contract")
    if version and version != str(VERSION):
        reader.note("metadata 'fullband.contract'", f"is '{version}'; this host understands {VERSION}")
    rate = reader.text("sample_rate_hz")
    if rate and rate != str(RATE_HZ):
        reader.note("metadata 'sample_rate_hz'", f"is '{rate}'; models are run at {RATE_HZ}: resample inside the model")
    hop = reader.integer("hop_samples", 16, 4800)
    output = reader.integer("output_samples", hop or 16, 48_000)
    inputs = reader.integer("input_samples", hop or 16, 96_000)
    latency = reader.integer("latency_samples", hop or 16, 96_000)
    mode = reader.text("mode")
    if mode and mode not in _MODES:
        reader.note("metadata 'mode'", f"is '{mode}', not one of {', '.join(_MODES)}")
    controls, states = reader.tensors(inputs, output)
    name, licence, trained_on = (reader.text(key) for key in ("name", "licence", "trained_on"))
    if reader.breaches or hop is None or output is None or inputs is None or latency is None:
        return None, reader.breaches
    contract = Contract(
        name=name,
        licence=licence,
        trained_on=trained_on,
        mode=mode,
        hop_samples=hop,
        input_samples=inputs,
        output_samples=output,
        latency_samples=latency,
        controls=controls,
        states=tuple(states),
    )
    return contract, []


def read_contract(session: Session) -> Contract:
    """Check *session* against the contract. Raises :class:`FullbandError` that names the first breach."""
    contract, breaches = examine(session)
    if contract is None:
        more = f" ({len(breaches) - 1} more: 'fullband plugins check')" if len(breaches) > 1 else ""
        raise FullbandError(f"{session.path} breaks the model contract: {breaches[0]}{more}")
    return contract
