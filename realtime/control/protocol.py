"""What is said over the socket: one JSON object per line, requests one way and answers the other.

A request names a ``command`` and what it needs; ``id``, where given, comes back with the answer::

    {"command": "gain", "db": -3.0, "id": 7}
    {"ok": true, "result": {"gain_db": -3.0}, "id": 7}
    {"command": "gain", "dp": 3}
    {"ok": false, "error": "gain: unknown key 'dp'; did you mean 'db'?"}
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ..errors import FullbandError, nearest, suggest
from ..guard import GUARD_RANGE_MS
from ..settings.saving import DEFAULT_NAME
from ..wishes import GAIN_RANGE_DB, HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB

#: Longest request, its newline included.
MAX_LINE_BYTES = 4096

#: In place of a model's name: the shipped one that follows the one in use.
NEXT = "next"

#: The last word of a switch.
Switch = Literal["on", "off", "toggle"]


class Request(BaseModel):
    """What all requests have."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, Field(max_length=64)] | None = None


class Bypass(Request):
    """Only pass the voice through, or go past one *stage* of the chain."""

    command: Literal["bypass"] = "bypass"
    state: Switch
    stage: str | None = Field(None, max_length=64)


class Mute(Request):
    """Silence."""

    command: Literal["mute"] = "mute"
    state: Switch


class Gain(Request):
    """Level of all that is heard."""

    command: Literal["gain"] = "gain"
    db: float = Field(ge=GAIN_RANGE_DB[0], le=GAIN_RANGE_DB[1], allow_inf_nan=False)


class Guard(Request):
    """Delay held against late hops."""

    command: Literal["guard"] = "guard"
    ms: float = Field(ge=GUARD_RANGE_MS[0], le=GUARD_RANGE_MS[1], allow_inf_nan=False)


class Level(Request):
    """Level of the high band alone."""

    command: Literal["level"] = "level"
    db: float = Field(ge=HIGH_LEVEL_RANGE_DB[0], le=HIGH_LEVEL_RANGE_DB[1], allow_inf_nan=False)


class Tilt(Request):
    """Tilt of the high band, per octave."""

    command: Literal["tilt"] = "tilt"
    db: float = Field(ge=HIGH_TILT_RANGE_DB[0], le=HIGH_TILT_RANGE_DB[1], allow_inf_nan=False)


class Model(Request):
    """Another model: a shipped one, the path of a file, 'none', or 'next' for the next shipped one."""

    command: Literal["model"] = "model"
    name: str = Field(min_length=1, max_length=3000)


class Chain(Request):
    """The stages of the chain: parameters, latency, load."""

    command: Literal["chain"] = "chain"


class Set(Request):
    """A parameter of a stage."""

    command: Literal["set"] = "set"
    stage: str = Field(max_length=64)
    parameter: str = Field(max_length=256)
    value: float | bool


class Stats(Request):
    """All counters, and the *histograms*, which cost a third of the work of an answer."""

    command: Literal["stats"] = "stats"
    histograms: bool = True


class Status(Request):
    """What runs, and how it is set."""

    command: Literal["status"] = "status"


class Reload(Request):
    """Read the configuration again."""

    command: Literal["reload"] = "reload"


class Save(Request):
    """Write the settings in effect as a preset of this user, or to a .toml file."""

    command: Literal["save"] = "save"
    target: str = Field(default=DEFAULT_NAME, min_length=1, max_length=3000)
    force: bool = False


class Load(Request):
    """Take over a preset, or a .toml file; what it says nothing of goes back to its default, devices stay."""

    command: Literal["load"] = "load"
    source: str = Field(min_length=1, max_length=3000)


class Stop(Request):
    """End the host."""

    command: Literal["stop"] = "stop"


AnyRequest = (
    Bypass | Mute | Gain | Level | Tilt | Guard | Model | Chain | Set | Stats | Status | Reload | Save | Load | Stop
)

REQUESTS: dict[str, type[AnyRequest]] = {kind.model_fields["command"].default: kind for kind in get_args(AnyRequest)}


def _explain(command: str, kind: type[AnyRequest], error: ValidationError) -> FullbandError:
    # A key that is unknown comes before one that is missing: it mostly was meant to be that one.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = str(first["loc"][0]) if first["loc"] else ""
    keys = [name for name in kind.model_fields if name not in Request.model_fields and name != "command"]
    if first["type"] == "extra_forbidden":
        return FullbandError(f"{command}: unknown key '{key}'; {suggest(key, keys, 'keys are')}")
    if first["type"] == "missing":
        return FullbandError(f"{command}: '{key}' is missing")
    near = nearest(first["input"], ["on", "off", "toggle"], 1) if _is_switch(first) else []
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return FullbandError(f"{command}: '{key}' is {_short(first['input'])}: {first['msg']}{hint}")


def _is_switch(error: Any) -> bool:
    return error["type"] == "literal_error" and isinstance(error["input"], str)


def _list(names: Any) -> str:
    return ", ".join(names)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse(line: bytes) -> AnyRequest:
    """The request on *line*. Raises :class:`FullbandError` that names the key and the nearest right word."""
    try:
        values = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise FullbandError(f"not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise FullbandError('a request is one JSON object on a line, such as {"command": "status"}')
    if "command" not in values:
        raise FullbandError(f"'command' is missing; commands are: {_list(REQUESTS)}")
    command = values["command"]
    kind = REQUESTS.get(command) if isinstance(command, str) else None
    if kind is None:
        hint = suggest(command if isinstance(command, str) else "", REQUESTS, "commands are")
        raise FullbandError(f"no command {_short(command)}; {hint}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _explain(command, kind, error) from None


def identity(line: bytes) -> int | str | None:
    """The ``id`` on a line that :func:`parse` refuses, as far as it can be made out."""
    try:
        found = from_json(line)
        given = found.get("id") if isinstance(found, dict) else None
        return Request(id=given).id
    except (ValueError, ValidationError):
        return None


def _answer(content: dict[str, Any], identity: int | str | None) -> bytes:
    if identity is not None:
        content["id"] = identity
    return json.dumps(content, allow_nan=False).encode() + b"\n"


def result(values: dict[str, Any], identity: int | str | None = None) -> bytes:
    """The line that answers a request with its result. ValueError: *values* hold what JSON cannot say."""
    return _answer({"ok": True, "result": values}, identity)


def refusal(reason: str, identity: int | str | None = None) -> bytes:
    """The line that answers a request that could not be done."""
    return _answer({"ok": False, "error": " ".join(reason.split())}, identity)
