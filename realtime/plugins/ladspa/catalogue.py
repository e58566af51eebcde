"""Which LADSPA plugins there are, and whether one can be trusted: found out by the probe, in a child process.

A plugin is code of somebody else in our process. One that crashes as it is loaded, or in its first run, crashes there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import FullbandError, nearest, suggest
from ...onnx.contract import RATE_HZ
from .descriptor import Facts

_PROBE_SECONDS = 20.0

#: Where plugins lie when LADSPA_PATH does not say.
_USUAL = ("/usr/local/lib/ladspa", "/usr/lib/ladspa", "/usr/lib64/ladspa")


def folders() -> list[Path]:
    """Where plugins are looked for: ``LADSPA_PATH``, or the usual places."""
    told = os.environ.get("LADSPA_PATH")
    if told:
        return [Path(folder) for folder in told.split(":") if folder]
    multiarch = sorted(Path("/usr/lib").glob("*-linux-gnu*/ladspa"))
    return [Path.home() / ".ladspa", *map(Path, _USUAL), *multiarch]


def files() -> list[Path]:
    """All plugin files; of two with the same name the first."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.so")):
            found.setdefault(path.name, path)
    return list(found.values())


def _find(name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or len(path.parts) > 1:
        if path.is_file():
            return path.resolve()
        raise FullbandError(f"no LADSPA file {path}")
    for folder in folders():
        if (folder / name).is_file():
            return folder / name
    near = nearest(name, [file.name for file in files()], 1)
    where = ":".join(str(folder) for folder in folders() if folder.is_dir()) or "any of the usual folders"
    hint = f"did you mean '{near[0]}'?" if near else "set LADSPA_PATH, or install swh-plugins or cmt"
    raise FullbandError(f"no LADSPA file '{name}' in {where}; {hint}")


def _command() -> tuple[list[str], dict[str, str]]:
    root = str(Path(__file__).resolve().parents[3])
    return [sys.executable, "-S", "-m", "realtime.plugins.ladspa.probe", str(RATE_HZ)], {
        **os.environ,
        "PYTHONPATH": root,
    }


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        # A plugin may print what it likes.
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _death(status: int) -> str:
    if status < 0:
        try:
            return f"crashed ({signal.Signals(-status).name})"
        except ValueError:
            pass
    return f"ended the process (status {status})"


@lru_cache(maxsize=256)
def _probe(path: Path, label: str, changed_ns: int) -> tuple[dict[str, Facts], dict[str, Any]]:
    """All plugins in a file, and what came of running *label*; *changed_ns* is when the file was written."""
    del changed_ns
    command, environment = _command()
    try:
        done = subprocess.run(
            [*command, str(path), label],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            errors="replace",
        )
        status, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        status, text = 0, (error.stdout or b"").decode(errors="replace")
    facts: dict[str, Facts] = {}
    outcome: dict[str, Any] = {"doing": "in being loaded"}
    for line in _lines(text):
        if "plugin" in line:
            found = Facts.from_dict(line["plugin"])
            facts[found.label] = found
        else:
            outcome |= line
    if status != 0:
        outcome["refused"] = f"it {_death(status)} {outcome['doing']}"
    elif "refused" not in outcome and "ran" not in outcome and (label in facts or not facts):
        outcome["refused"] = f"it did not come to an end {outcome['doing']}"
    return facts, outcome


def find_plugin(name: str) -> Facts:
    """The plugin *name*, ``file.so:label``, which was run in a child process and lived.

    The label may be left out of a file with a single plugin. Raises :class:`FullbandError`.
    """
    file, _, label = name.partition(":")
    path = _find(file)
    facts, outcome = _probe(path, label, path.stat().st_mtime_ns)
    if "refused" in outcome:
        raise FullbandError(f"the LADSPA plugin {path.name}{':' * bool(label)}{label} is refused: {outcome['refused']}")
    if not label and len(facts) == 1:
        return next(iter(facts.values()))
    if label not in facts:
        problem = f"no plugin '{label}'" if label else "more than one plugin: name one as in file.so:label"
        raise FullbandError(f"{path.name} has {problem}; {suggest(label, list(facts)[:40])}")
    if not outcome["sound"]:
        raise FullbandError(f"the LADSPA plugin {path.name}:{label} is refused: it makes NaN or infinity of noise")
    return facts[label]


def all_plugins() -> tuple[list[Facts], dict[str, str]]:
    """All plugins of all files, and why a file was refused, by its path."""
    command, environment = _command()
    waiting = [str(path) for path in files()]
    found: list[Facts] = []
    refused: dict[str, str] = {}
    while waiting:
        done = subprocess.run(
            command, env=environment, input="\n".join(waiting), capture_output=True, text=True, errors="replace"
        )
        at = 0
        for line in _lines(done.stdout):
            if "loading" in line:
                at = waiting.index(line["loading"])
            elif "plugin" in line:
                found.append(Facts.from_dict(line["plugin"]))
            elif "refused" in line:
                refused[waiting[at]] = str(line["refused"])
        if done.returncode == 0:
            break
        # It died of this one; what it said of it is not to be trusted. The others are still to be read.
        refused[waiting[at]] = f"it {_death(done.returncode)} in being loaded"
        found = [facts for facts in found if facts.path != waiting[at]]
        waiting = waiting[at + 1 :]
    return found, refused
