"""``fullband live`` at every login: a unit of systemd for this user, or an autostart entry where systemd is not used.

systemd.unit(5), systemd.exec(5); the Desktop Application Autostart and Desktop Entry Specifications of freedesktop.org.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import FullbandError

How = Literal["systemd", "autostart"]

UNIT = "fullband.service"

#: The name of the host that runs as the service, for ``fullband ctl --to``.
HOST = "service"

_MARK = "# Written by 'fullband service install', which overwrites it and 'fullband service remove' removes it."

_ANSWER_SECONDS = 20.0

_UNIT_TEXT = """\
{mark}
[Unit]
Description=fullband: a voice made full-band
# Started before its sound server it would end; it is not started again for ever.
After=pipewire.service pipewire-pulse.service wireplumber.service pulseaudio.service
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=3
# It fades out and gives its devices back.
TimeoutStopSec=10
# As far as the system's own limits let a user go; without them real-time priority is asked of rtkit.
LimitRTPRIO=20
LimitMEMLOCK=infinity
# What needs a file system of its own (PrivateTmp, ProtectSystem) is left out: JACK and PulseAudio have their sockets
# there. So is MemoryDenyWriteExecute: the audio path is compiled on this machine.
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""

_ENTRY_TEXT = """\
{mark}
[Desktop Entry]
Type=Application
Name=fullband
Comment=A voice made full-band
Exec={command}
Terminal=false
NoDisplay=true
X-GNOME-Autostart-enabled=true
"""


def _config_home() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(home) if Path(home).is_absolute() else Path.home() / ".config"


def place_of(how: How) -> Path:
    """The file that is written."""
    parts = ("systemd", "user", UNIT) if how == "systemd" else ("autostart", "fullband.desktop")
    return _config_home().joinpath(*parts)


def program() -> list[str]:
    """How this program is started from anywhere."""
    script = Path(sys.executable).with_name("fullband")
    if os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-c", "from realtime.cli import main; main()"]


def live_command(preset: str | None) -> list[str]:
    """What is run."""
    chosen = [] if preset is None else ["--config", preset]
    return [*program(), "live", "--plain", "--name", HOST, *chosen]


def _for_systemd(word: str) -> str:
    """*word* for ExecStart: no specifier, no variable, one word (systemd.service(5), "Command lines")."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if re.fullmatch(r"[\w@%+=:,./$-]+", word) else f'"{word}"'


def _for_desktop(word: str) -> str:
    """*word* for Exec: quoted, then escaped as the value of a string (Desktop Entry Specification, "The Exec key")."""
    if not re.fullmatch(r"[\w@+=:,./-]+", word):
        quoted = re.sub(r'(["`$\\])', r"\\\1", word.replace("%", "%%"))
        word = f'"{quoted}"'.replace("\\", "\\\\")
    return word


def text_of(how: How, command: Sequence[str]) -> str:
    """What is written, to run *command*. Raises :class:`FullbandError` for what no such file can hold."""
    if any(not word.isprintable() for word in command):
        raise FullbandError("the path of the program or of its configuration has characters that cannot be printed")
    if how == "systemd":
        return _UNIT_TEXT.format(mark=_MARK, command=" ".join(map(_for_systemd, command)))
    return _ENTRY_TEXT.format(mark=_MARK, command=" ".join(map(_for_desktop, command)))


def is_ours(path: Path) -> bool:
    """Whether *path* is a file that was written here. Raises :class:`FullbandError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").startswith(_MARK)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FullbandError(f"cannot read {path}: {error.strerror}") from None


def _refuse_foreign(path: Path) -> None:
    if os.path.lexists(path) and (path.is_symlink() or not is_ours(path)):
        raise FullbandError(f"{path} is not of 'fullband service': move it away first")


def systemctl(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """What ``systemctl --user`` said; None where there is no such thing, or it does not answer."""
    try:
        return subprocess.run(
            ["systemctl", "--user", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def has_systemd() -> bool:
    """Whether this user has a manager of systemd that can be told what to start."""
    told = systemctl("show", "--property=Version")
    return told is not None and told.returncode == 0


def _tell_systemd(*arguments: str) -> None:
    told = systemctl(*arguments)
    if told is None or told.returncode != 0:
        reason = " ".join(told.stderr.split()) if told is not None else "no answer"
        raise FullbandError(f"systemctl --user {' '.join(arguments)}: {reason}")


@dataclass(frozen=True)
class Plan:
    """A file to be written, and what systemd is then told."""

    how: How
    path: Path
    text: str
    commands: tuple[tuple[str, ...], ...]

    @property
    def is_written(self) -> bool:
        """Whether the file is there as it should be."""
        return is_ours(self.path) and self.path.read_text(encoding="utf-8") == self.text


def plan(how: How, preset: str | None) -> Plan:
    """What :func:`install` does. *preset* is as ``live --config`` has it; a path is an absolute one."""
    commands = (("daemon-reload",), ("enable", UNIT), ("restart", UNIT)) if how == "systemd" else ()
    return Plan(how, place_of(how), text_of(how, live_command(preset)), commands)


def install(wanted: Plan) -> list[str]:
    """Do it; gives what was done. Nothing of somebody else is overwritten, and nothing is done twice.

    Raises :class:`FullbandError`.
    """
    _refuse_foreign(wanted.path)
    if wanted.how == "systemd" and not has_systemd():
        raise FullbandError("there is no systemd that this user could tell what to start: '--with autostart'")
    done = []
    was_written = wanted.is_written
    if not was_written:
        try:
            wanted.path.parent.mkdir(parents=True, exist_ok=True)
            wanted.path.write_text(wanted.text, encoding="utf-8")
        except OSError as error:
            raise FullbandError(f"cannot write {wanted.path}: {error.strerror}") from None
        done.append(f"wrote {wanted.path}")
    if wanted.how == "systemd":
        _stop_other("autostart", done)
        if was_written and _state().get("UnitFileState") == "enabled" and _state().get("ActiveState") == "active":
            return done
        for command in wanted.commands:
            _tell_systemd(*command)
            done.append(f"systemctl --user {' '.join(command)}")
    else:
        _stop_other("systemd", done)
    return done


def _stop_other(how: How, done: list[str]) -> None:
    """It is not to be started twice."""
    path = place_of(how)
    if is_ours(path):
        done += _remove(how, path)


def _remove(how: How, path: Path) -> list[str]:
    done = []
    if how == "systemd" and has_systemd():
        _tell_systemd("disable", "--now", UNIT)
        done.append(f"systemctl --user disable --now {UNIT}")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise FullbandError(f"cannot remove {path}: {error.strerror}") from None
    done.append(f"removed {path}")
    if how == "systemd" and has_systemd():
        _tell_systemd("daemon-reload")
        # A service that has failed would be remembered.
        systemctl("reset-failed", UNIT)
    return done


def installed() -> list[How]:
    """What :func:`install` has written before."""
    ways: tuple[How, ...] = ("systemd", "autostart")
    return [how for how in ways if is_ours(place_of(how))]


def remove() -> list[str]:
    """End it and take away what :func:`install` has written; gives what was done, nothing where there is nothing.

    Raises :class:`FullbandError` where a file is somebody else's.
    """
    ways = installed()
    if not ways:
        _refuse_foreign(place_of("systemd"))
        _refuse_foreign(place_of("autostart"))
    return [line for how in ways for line in _remove(how, place_of(how))]


def _state() -> dict[str, str]:
    """What systemd says of the unit, by its own words; empty without it."""
    told = systemctl("show", UNIT, "--property=LoadState,UnitFileState,ActiveState,SubState,MainPID,NRestarts,Result")
    if told is None or told.returncode != 0:
        return {}
    return {key: value for key, _, value in (line.partition("=") for line in told.stdout.splitlines())}


@dataclass(frozen=True)
class Status:
    """How the service is. *how* None: not installed. *pid*: of the process that runs. *lines*: the last it has said."""

    how: How | None
    path: Path | None
    enabled: bool
    running: bool
    state: str
    pid: int | None
    lines: tuple[str, ...]


def status(last: int = 10) -> Status:
    """How it is now, with so many of its *last* lines."""
    ways = installed()
    if not ways:
        return Status(None, None, False, False, "not installed", None, ())
    how = ways[0]
    path = place_of(how)
    if how == "autostart":
        return Status(how, path, True, *_running_host(), ())
    state = _state()
    if not state:
        return Status(how, path, False, *_running_host(), ())
    words = f"{state.get('ActiveState')} ({state.get('SubState')})"
    if state.get("ActiveState") == "failed":
        words += f", {state.get('Result')}"
    pid = int(state.get("MainPID") or 0) or None
    is_running = state.get("ActiveState") == "active"
    return Status(how, path, state.get("UnitFileState") == "enabled", is_running, words, pid, _last_lines(last))


def _running_host() -> tuple[bool, str, int | None]:
    from .control.client import running

    host = next((host for host in running() if host.name == HOST), None)
    return (True, "running", host.pid) if host is not None else (False, "not running", None)


def _last_lines(count: int) -> tuple[str, ...]:
    if shutil.which("journalctl") is None:
        return ()
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run(
            [
                "journalctl",
                "--user",
                f"--user-unit={UNIT}",
                f"--lines={count}",
                "--no-pager",
                "--output=cat",
                "--quiet",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
        return tuple(told.stdout.splitlines()[-count:])
    return ()
