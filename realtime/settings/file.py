"""Settings in TOML: found by the name of a preset or a path, read, and what is wrong with them, line by line."""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Strict, ValidationError

from ..errors import FullbandError, nearest, suggest
from .toml_lines import Loc, key_lines

_LONGEST_VALUE = 60

#: What pydantic finds, in words for who writes TOML; the rest of its messages stay as they are.
_WORDS = {
    "greater_than_equal": "it can be {ge:g} or more",
    "greater_than": "it has to be more than {gt:g}",
    "less_than_equal": "it can be {le:g} or less",
    "less_than": "it has to be less than {lt:g}",
    "literal_error": "it can be {expected}",
    "bool_type": "it is true or false",
    "int_type": "it is a whole number, without a point or quotes",
    "float_type": "it is a number, without quotes",
    "string_type": "it is a text in quotes",
    "path_type": "it is a path in quotes",
    "list_type": "it is a list in brackets",
    "tuple_type": "it is a list in brackets",
    "dict_type": "it is a table",
    "model_type": "it is a table",
}


class Settings(BaseModel):
    """What a table of settings is read as. Nothing is guessed: "yes" is no boolean, "3" no number, true no 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


#: What TOML has no word for is read from what it is written as: a path from a text,
FilePath = Annotated[Path, Strict(False)]

_Item = TypeVar("_Item")

#: and several of a kind from a list.
Several = Annotated[tuple[_Item, ...], Strict(False)]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. *line* is None where it is not in a file; *message* names the key."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.line is None else f"{self.file}:{self.line}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class SettingsError(FullbandError):
    """Settings that cannot be used: the first of *problems*, and how many there are."""

    def __init__(self, problems: Sequence[Problem], exit_status: int = 1) -> None:
        more = len(problems) - 1
        hint = f" ({more} more: 'fullband config check')" if more else ""
        super().__init__(f"{problems[0]}{hint}", exit_status)
        self.problems = list(problems)


class Origin(Protocol):
    """Where values come from."""

    def problem(self, loc: Loc, message: str) -> Problem:
        """What is wrong with the value at *loc*."""
        ...


def key_at(loc: Loc) -> str:
    """A place as people write it: ``account.address``, ``chain[1].plugin``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


class SettingsFile:
    """The TOML file *path*: its *values*, and where they stand. Raises :class:`SettingsError` if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any]
        try:
            self._text = path.read_text(encoding="utf-8")
            self.values = tomllib.loads(self._text)
        except OSError as error:
            raise SettingsError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
        except UnicodeDecodeError as error:
            raise SettingsError([Problem(str(path), None, "", f"is no text: {error}")]) from None
        except tomllib.TOMLDecodeError as error:
            line, words = self._syntax(str(error))
            raise SettingsError([Problem(str(path), line, "", f"not valid TOML: {words}")]) from None

    def _syntax(self, message: str) -> tuple[int, str]:
        found = re.search(r" \(at line (\d+), (column \d+)\)$", message)
        if found is None:
            return len(self._text.splitlines()) or 1, message
        return int(found[1]), f"{message[: found.start()]} ({found[2]})"

    @cached_property
    def _lines(self) -> dict[Loc, int]:
        return key_lines(self._text)

    def line_of(self, loc: Loc) -> int:
        """The line of *loc*, or of the nearest table around it; the first line for what is nowhere."""
        while loc and loc not in self._lines:
            loc = loc[:-1]
        return self._lines.get(loc, 1)

    def problem(self, loc: Loc, message: str) -> Problem:
        """See :class:`Origin`."""
        return Problem(str(self.path), self.line_of(loc), key_at(loc), message)


@dataclass(frozen=True)
class Given:
    """Values of the command line, by their keys, over those of a *file*."""

    file: Origin | None
    keys: Container[str]

    def problem(self, loc: Loc, message: str) -> Problem:
        """See :class:`Origin`."""
        if self.file is None or (loc and loc[0] in self.keys):
            return Problem("command line", None, key_at(loc), message)
        return self.file.problem(loc, message)


def preset_names(*folders: Path) -> list[str]:
    """The presets in *folders*."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.toml")})


def find_preset(name: str, *folders: Path, exit_status: int = 1) -> Path:
    """A preset by its name in the first of *folders* that has it, or any file that ends in .toml."""
    path = Path(name)
    if path.suffix == ".toml":
        return path
    names = preset_names(*folders)
    if name in names:
        return next(folder / f"{name}.toml" for folder in folders if (folder / f"{name}.toml").is_file())
    hint = suggest(name, names)
    raise FullbandError(f"no preset named '{name}'; {hint} (any other file has to end in .toml)", exit_status)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """That a *key* (its tables before it, with dots) is none of *known*."""
    return f"unknown key '{key}'; {suggest(key.rpartition('.')[2], known, 'keys are')}"


def _within(annotation: Any) -> type[BaseModel] | None:
    """The settings that *annotation* is, or is a list of, or may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, list, tuple):
        return next(filter(None, map(_within, get_args(annotation))), None)
    return None


def _keys_at(kind: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that the table at *loc* of a *kind* can have."""
    inner: type[BaseModel] | None = kind
    for part in loc:
        if isinstance(part, str) and inner is not None:
            field = next((f for name, f in inner.model_fields.items() if part in (name, f.alias)), None)
            inner = _within(field.annotation) if field is not None else None
    return [field.alias or name for name, field in inner.model_fields.items()] if inner is not None else []


def _in_values(loc: Loc, values: Any) -> Loc:
    """As much of *loc* as there is in *values*: pydantic adds which kind of value it tried."""
    for depth, part in enumerate(loc):
        try:
            values = values[part]
        except (LookupError, TypeError):
            return loc[:depth]
    return loc


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _in_words(found: Any) -> str:
    words = _WORDS.get(found["type"])
    if words is None:
        return str(found["msg"]).removeprefix("Value error, ")
    text = words.format(**found.get("ctx", {}))
    if found["type"] == "literal_error" and isinstance(found["input"], str):
        near = nearest(found["input"], re.findall(r"'([^']*)'", text), 1)
        text += f"; did you mean '{near[0]}'?" if near else ""
    return text


def problems_of(
    error: ValidationError, kind: type[BaseModel], values: Any, origin: Origin, refused: Mapping[str, str] | None = None
) -> list[Problem]:
    """All that is wrong with *values* of *origin* as a *kind*. *refused*: what to say of keys that have a reason."""
    about: dict[Loc, tuple[Any, list[str]]] = {}
    problems: list[Problem] = []
    for found in error.errors():
        loc = tuple(found["loc"])
        if found["type"] == "extra_forbidden":
            name = str(loc[-1])
            message = (refused or {}).get(name) or unknown_key(key_at(loc), _keys_at(kind, loc[:-1]))
            problems.append(origin.problem(loc, message))
        elif found["type"] == "missing":
            problems.append(origin.problem(loc, f"'{key_at(loc)}' is missing"))
        else:
            place = _in_values(loc, values)
            about.setdefault(place, (found["input"], []))[1].append(_in_words(found))
    for place, (value, words) in about.items():
        said = f"'{key_at(place)}' is {_short(value)}: " if place else ""
        problems.append(origin.problem(place, said + ", or ".join(words)))
    return problems


Whole = TypeVar("Whole", bound=BaseModel)


def validated(
    kind: type[Whole],
    values: dict[str, Any],
    origin: Origin,
    *,
    refused: Mapping[str, str] | None = None,
    exit_status: int = 1,
) -> Whole:
    """*values* of *origin* as a *kind*. Raises :class:`SettingsError` with all that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error, kind, values, origin, refused)
        raise SettingsError(sorted(problems, key=lambda problem: problem.line or 0), exit_status) from None


def read_toml(kind: type[Whole], path: Path) -> Whole:
    """*path*, which a command was given, as a *kind*; unknown keys and values out of range: the first one is named."""
    try:
        file = SettingsFile(path)
    except SettingsError as error:
        raise SettingsError(error.problems, exit_status=2) from None
    return validated(kind, file.values, file, exit_status=2)
