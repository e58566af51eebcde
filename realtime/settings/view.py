"""The settings that are in effect, as TOML, and where each value comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .file import SettingsFile, key_at
from .live import LiveFile, LiveSettings
from .toml_lines import Loc

DEFAULT = "default"


@dataclass(frozen=True)
class Entry:
    """A value and the place it comes from. *value* None: it is not set."""

    value: Any
    source: str


#: Keys in their order: an entry, a table, or a list of tables each.
Tree = dict[str, Any]


def _plain(value: Any) -> Any:
    """*value* in TOML's types."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _tree(settings: BaseModel, given: Mapping[str, Any], source: Callable[[Loc], str], loc: Loc = ()) -> Tree:
    tree: Tree = {}
    for name, field in type(settings).model_fields.items():
        key, value = field.alias or name, getattr(settings, name)
        inner = given.get(key)
        if isinstance(value, BaseModel):
            tree[key] = _tree(value, inner if isinstance(inner, dict) else {}, source, (*loc, key))
        else:
            tree[key] = Entry(_plain(value), source((*loc, key)) if key in given else DEFAULT)
    return tree


def settings_tree(settings: BaseModel, file: SettingsFile | None) -> Tree:
    """All keys of *settings*, which were read from *file* (None: all are defaults)."""

    def source(loc: Loc) -> str:
        assert file is not None
        return f"{file.path.name}:{file.line_of(loc)}"

    return _tree(settings, file.values if file is not None else {}, source)


def live_tree(settings: LiveSettings, file: LiveFile | None) -> Tree:
    """The same for those of ``fullband live``: with every parameter of every stage, and what was included."""
    tree = settings_tree(settings, file.file if file is not None else None)
    tree["chain"] = []
    for k, stage in enumerate(settings.stages):
        assert file is not None  # stages are nobody's default
        tree["chain"].append(_stage_tree(stage, file, k))
    return tree


def _stage_tree(stage: Mapping[str, Any], file: LiveFile, place: int) -> Tree:
    from ..plugins.registry import parameters_of
    from ..plugins.spec import name_of

    origin, number = file.places[place]
    included = "" if origin is file.file else ", included"

    def entry(key: str, value: Any) -> Entry:
        if key not in stage:
            return Entry(value, DEFAULT)
        return Entry(stage[key], f"{origin.path.name}:{origin.line_of(('chain', number, key))}{included}")

    tree = {"plugin": entry("plugin", None), "name": entry("name", name_of(stage)), "bypass": entry("bypass", False)}
    if "model" in stage:
        tree["model"] = entry("model", None)
    for parameter in parameters_of(str(stage["plugin"])):
        default = bool(parameter.default) if parameter.kind == "switch" else parameter.default
        tree[parameter.name] = entry(parameter.name, default)
    return tree


def as_toml(tree: Tree, heading: str) -> str:
    """*tree* as TOML that gives the same settings again; sources are comments, and so is what is not set."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(heading))
    _fill(document, tree)
    return tomlkit.dumps(document)


def _fill(table: Any, tree: Tree) -> None:
    """Values first: in TOML all that follows a table's heading is in that table."""
    import tomlkit

    for key, entry in tree.items():
        if isinstance(entry, Entry) and entry.value is None:
            table.add(tomlkit.comment(f"{key} is not set"))
        elif isinstance(entry, Entry):
            item = tomlkit.item(entry.value)
            table.add(key, item.comment(entry.source))
    for key, inner in tree.items():
        if isinstance(inner, dict):
            made = tomlkit.table()
            _fill(made, inner)
            table.add(key, made)
        elif isinstance(inner, list) and inner:
            made_list = tomlkit.aot()
            for one in inner:
                made = tomlkit.table()
                _fill(made, one)
                made_list.append(made)
            table.add(key, made_list)


def as_dict(tree: Tree) -> dict[str, Any]:
    """*tree* for JSON: the ``settings``, and for each key where it is ``from``."""
    origins: dict[str, str] = {}

    def plain(inner: Any, loc: Loc) -> Any:
        if isinstance(inner, Entry):
            origins[key_at(loc)] = inner.source
            return inner.value
        if isinstance(inner, dict):
            return {key: plain(value, (*loc, key)) for key, value in inner.items()}
        return [plain(value, (*loc, k)) for k, value in enumerate(inner)]

    return {"settings": plain(tree, ()), "from": origins}
