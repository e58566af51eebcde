"""A microphone that other programs can choose, on PipeWire and PulseAudio: what the host plays, they hear.

It is a sink that leads nowhere, and a source made of what is played into it; both servers have the modules for that,
and ``pactl`` speaks to both. Every module carries who it belongs to, so that what a killed run has left is known, and
goes at the next start.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import FullbandError
from .onnx.contract import RATE_HZ
from .settings.live import LiveSettings

#: A server answers within milliseconds; one that has to be started for it takes longer.
_ANSWER_SECONDS = 5.0

#: A new sink is a JACK device as soon as PipeWire's session manager has seen it; on a busy machine that takes seconds.
_SEEN_SECONDS = 20.0

#: PipeWire's session manager names another default a moment after one has gone: where nothing has just been removed,
#: and where something has been that may have been the default.
_SETTLED_SECONDS = 1.0
_REMOVED_SECONDS = 10.0

#: Between two looks at a server that is away.
_PAUSE_SECONDS = 1.0

#: What needs no quoting: names go through two parsers of the server, and into a pattern of PortAudio's.
_NAME = re.compile(r"\w[\w .-]{0,39}")

_OWNER = re.compile(r"fullband\.owner=\W*(\d+)-(\d+)-([0-9a-f]+-\d+)")


class _RefusedError(FullbandError):
    """The server does not do what ``pactl`` asks for."""


def _pactl(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["pactl", *arguments],
            env=os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            start_new_session=True,  # the Ctrl-C that ends the host must not end what cleans up after it
        )
    except FileNotFoundError:
        raise FullbandError("a virtual microphone needs pactl: sudo apt-get install pulseaudio-utils") from None
    except subprocess.TimeoutExpired:
        raise FullbandError(f"the audio server does not answer pactl within {_ANSWER_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise _RefusedError(" ".join(done.stderr.split()) or f"pactl ended with status {done.returncode}")
    return done.stdout


def _server() -> dict[str, str]:
    """What the server tells of itself, by pactl's words."""
    try:
        lines = _pactl("info").splitlines()
    except _RefusedError as error:
        raise FullbandError(
            f"a virtual microphone needs PipeWire or PulseAudio, and none answers ({error}): start one, or "
            "sudo apt-get install pipewire-pulse wireplumber"
        ) from None
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _names(kind: str) -> list[str]:
    """Names of the server's ``sinks`` or ``sources``."""
    return [line.split("\t")[1] for line in _pactl("list", "short", kind).splitlines() if "\t" in line]


def _default_source(patience_s: float) -> str | None:
    """The server's default microphone; None when it has none within *patience_s*."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        default = _server().get("Default Source", "")
        if default in _names("sources"):
            return None if default.endswith(".monitor") else default
        time.sleep(0.05)  # what was the default has just been removed
    return None


def _default_input() -> str | None:
    """The default capture device, as ``--input`` has it; None when there is none."""
    from .backends import library
    from .devices import find

    library.silence()
    with suppress(FullbandError):
        return find(None, "input").label
    return None


def _start_ticks(pid: int) -> str | None:
    """When the process *pid* was started, in the kernel's ticks; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _place() -> str:
    """Where process numbers mean what they mean here: one boot of one machine, and one container."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"


def _unload(wanted: Callable[[int, str, str], bool]) -> int:
    """Remove the modules whose owner (process, start, place) is *wanted*; gives how many there were."""
    removed = 0
    # The newest first: a source goes before the sink that it listens to.
    for line in reversed(_pactl("list", "short", "modules").splitlines()):
        owner = _OWNER.search(line)
        if owner is not None and wanted(int(owner[1]), owner[2], owner[3]):
            with suppress(_RefusedError):  # gone together with the one before
                _pactl("unload-module", line.split("\t")[0])
            removed += 1
    return removed


def remove_left_over() -> bool:
    """Remove what runs that were killed have left on the server; whether there was anything.

    A run that lives is left alone, and so is one of another machine or container on the same server.
    """
    here = _place()
    return _unload(lambda pid, start, place: place == here and _start_ticks(pid) != start) > 0


class VirtualMicrophone:
    """A microphone *name* (1 to 40 letters, digits, spaces, dots, dashes) while entered; one for a process.

    Raises :class:`FullbandError` where the name will not do or is taken, and where ``pactl``, a server or the way from
    PortAudio into it is missing: it says what to install.
    """

    def __init__(self, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise FullbandError(
                f"a virtual microphone cannot be named '{name}': 1 to 40 letters, digits, spaces, dots and dashes"
            )
        self.name = name
        #: How programs call the source; people see :attr:`name`.
        self.source = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        #: The sink that is played into.
        self.sink = f"{self.source}_sink"
        #: The playback device, as ``--output`` has it; known once entered.
        self.output = ""
        self.notices: list[str] = []
        self._label = f"{name} sink"
        self._owner = f"{os.getpid()}-{_start_ticks(os.getpid())}-{_place()}"
        self._default_input: str | None = None
        #: The source that PulseAudio may move the host's stream away from.
        self._moved_by_server = ""
        self._environment: dict[str, str | None] = {}
        self._next_look_s = 0.0

    def adopt(self, settings: LiveSettings) -> LiveSettings:
        """*settings* with the sink as the playback device, and the default input as it was before.

        People make the virtual microphone their default, and the host must not follow them there and hear itself.
        Raises :class:`FullbandError` where no microphone is named and the server has none but this one.
        """
        chosen = settings.input or self._default_input
        if chosen is None:
            raise FullbandError("there is no microphone to make full-band: connect one, or name a source by --input")
        adopted = settings.model_copy(update={"input": chosen, "output": self.output})
        # Nobody has asked for these devices by name: saved settings do not name them.
        adopted.model_fields_set.intersection_update(settings.model_fields_set)
        return adopted

    def keep(self, lost: bool) -> None:
        """Keep it working; to be called some ten times a second, with whether the devices are away.

        It is made anew where the server has been started again. PulseAudio moves streams to a source that becomes the
        default one; when that is this one, the host's is moved back, and it stays then.
        """
        now_s = time.monotonic()
        if now_s < self._next_look_s or not (lost or self._moved_by_server):
            return
        self._next_look_s = now_s + _PAUSE_SECONDS
        # A server that is away answers nothing, and the next look is soon.
        with suppress(FullbandError):
            if lost:
                self._make_anew()
            else:
                self._move_back()

    def _make_anew(self) -> None:
        if self.sink not in _names("sinks") or self.source not in _names("sources"):
            self._remove()
            self._make()

    def _move_back(self) -> None:
        sources = [line.split("\t") for line in _pactl("list", "short", "sources").splitlines()]
        number = next((fields[0] for fields in sources if fields[1] == self.source), None)
        for stream in _pactl("list", "source-outputs").split("Source Output #")[1:]:
            found = re.search(r"^\s*Source: (\d+)$", stream, re.MULTILINE)
            if found and found[1] == number and f'application.process.id = "{os.getpid()}"' in stream:
                _pactl("move-source-output", stream.split()[0], self._moved_by_server)

    def __enter__(self) -> VirtualMicrophone:
        server = _server()
        had_left_over = remove_left_over()
        if had_left_over:
            self.notices.append("removed the virtual microphone that a killed run had left")
        taken = self.source in _names("sources") or self.sink in _names("sinks")
        if taken:
            raise FullbandError(f"there is a microphone '{self.source}' already: give another name")
        default_source = _default_source(_REMOVED_SECONDS if had_left_over else _SETTLED_SECONDS)
        if default_source is not None:
            self._default_input = _default_input()
        try:
            self._make()
            self.output = self._find_output(server.get("Server Name", "the server"), default_source)
        except BaseException:
            self.__exit__()
            raise
        self.notices.append(f"virtual microphone '{self.name}': choose it in the other program")
        return self

    def __exit__(self, *_: Any) -> None:
        for key, value in self._environment.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        self._environment.clear()
        self._remove()

    def _set_environment(self, key: str, value: str) -> None:
        self._environment.setdefault(key, os.environ.get(key))
        os.environ[key] = value

    def _properties(self, description: str) -> str:
        # By its priority PipeWire makes neither half a default device while there is any other.
        return f"\"device.description='{description}' fullband.owner='{self._owner}' priority.session='-100'\""

    def _make(self) -> None:
        form = [f"rate={RATE_HZ}", "channels=1", "channel_map=mono"]
        sink = [f"sink_name={self.sink}", *form, f"sink_properties={self._properties(self._label)}"]
        try:
            # PulseAudio's sink would otherwise take two seconds at once to begin with.
            _pactl("load-module", "module-null-sink", *sink, "norewinds=1")
        except _RefusedError:
            self._load("module-null-sink", *sink)  # older than that option
        source = [f"source_name={self.source}", f"master={self.sink}.monitor", *form]
        self._load("module-remap-source", *source, f"source_properties={self._properties(self.name)}")

    def _load(self, *arguments: str) -> None:
        try:
            _pactl("load-module", *arguments)
        except _RefusedError as error:
            raise FullbandError(f"the audio server makes no virtual microphone: {arguments[0]}: {error}") from None

    def _remove(self) -> None:
        """All that this process has made, found by its mark: a server that was started again counts anew."""
        with suppress(FullbandError):
            _unload(lambda pid, start, place: f"{pid}-{start}-{place}" == self._owner)

    def _find_output(self, server: str, default_source: str | None) -> str:
        """The way from PortAudio into the sink: JACK's on PipeWire, or ALSA's plugin for PulseAudio."""
        from .backends import library
        from .devices import list_devices

        library.silence()
        deadline = time.monotonic() + _SEEN_SECONDS
        while True:
            library.refresh()
            usable = [device for device in list_devices() if device.max_output_channels > 0]
            through_jack = [device for device in usable if device.system == "JACK"]
            found = [device for device in through_jack if device.name == self._label]
            if found:
                return found[0].label
            if "PipeWire" not in server or not through_jack or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        plugin = [device for device in usable if device.system == "ALSA" and device.name == "pulse"]
        if plugin:
            # The plugin uses the default sink and source, which these variables name for one process.
            self._set_environment("PULSE_SINK", self.sink)
            if default_source is not None and "PULSE_SOURCE" not in os.environ:
                self._set_environment("PULSE_SOURCE", default_source)
                self._moved_by_server = default_source
            return plugin[0].label
        other = ", or start the host by pw-jack" if "PipeWire" in server else ""
        raise FullbandError(f"PortAudio cannot play into {server}: sudo apt-get install libasound2-plugins{other}")
