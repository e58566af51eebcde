"""Privileges of real time: a scheduling class, locked memory, a core of one's own. Whatever is refused has its line.

The host runs on without any of them; it is then more easily disturbed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Any

from .engine import ENGINE_PRIORITY

_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 131_072

#: rtkit asks that the kernel ends a process which it has raised when it computes for the second of these without a
#: pause. At the first the kernel warns (SIGXCPU): the thread then goes back to the normal class, and nothing ends.
_RTTIME_US = (100_000, 200_000)

_RTKIT = {
    "object_path": "/org/freedesktop/RealtimeKit1",
    "bus_name": "org.freedesktop.RealtimeKit1",
    "interface": "org.freedesktop.RealtimeKit1",
}
_ANSWER_SECONDS = 2.0


def limits_line(item: str, value: str) -> str:
    """What to do about a limit that refuses."""
    return f"add to /etc/security/limits.conf and log in again: @audio - {item} {value}"


def ask_rtkit(thread_id: int, priority: int = ENGINE_PRIORITY) -> str | None:
    """Ask rtkit, on the system's D-Bus, for SCHED_RR on *thread_id* of this process; gives the reason of a refusal.

    From the main thread only, as it takes SIGXCPU.

    The protocol is that of rtkit's README: RLIMIT_RTTIME has to be set before.
    """
    try:
        from jeepney import DBusAddress, new_method_call
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import DBusErrorResponse, unwrap_msg
    except ImportError:
        return "jeepney is not installed"
    try:
        hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
        most = _RTTIME_US[1] if hard == resource.RLIM_INFINITY else min(_RTTIME_US[1], hard)
        signal.signal(signal.SIGXCPU, lambda *_: os.sched_setscheduler(thread_id, os.SCHED_OTHER, os.sched_param(0)))
        resource.setrlimit(resource.RLIMIT_RTTIME, (min(_RTTIME_US[0], most), most))
        with open_dbus_connection(bus="SYSTEM") as connection:
            message = new_method_call(DBusAddress(**_RTKIT), "MakeThreadRealtime", "tu", (thread_id, priority))
            unwrap_msg(connection.send_and_get_reply(message, timeout=_ANSWER_SECONDS))
    except DBusErrorResponse as error:
        return f"rtkit refuses: {error.name.rpartition('.')[2]}"
    except (OSError, KeyError, TimeoutError, ValueError) as error:
        return f"rtkit cannot be asked: {error or type(error).__name__}"
    return None


def rtkit_priority() -> tuple[int, str | None]:
    """The highest priority that rtkit grants, or the reason why it cannot be asked."""
    try:
        from jeepney import DBusAddress, Properties
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import DBusErrorResponse, unwrap_msg
    except ImportError:
        return 0, "jeepney is not installed"
    try:
        with open_dbus_connection(bus="SYSTEM") as connection:
            message = Properties(DBusAddress(**_RTKIT)).get("MaxRealtimePriority")
            answer = unwrap_msg(connection.send_and_get_reply(message, timeout=_ANSWER_SECONDS))
            return int(answer[0][1]), None
    except DBusErrorResponse as error:
        return 0, f"not reachable ({error.name.rpartition('.')[2]})"
    except (OSError, KeyError, TimeoutError, ValueError) as error:
        return 0, f"not reachable ({error or type(error).__name__})"


def lock_memory() -> str | None:
    """Keep this process's memory from being paged out; gives a line, with the remedy, where that is refused.

    What comes later is locked, too, only where the limit is none: under a small one every later allocation beyond
    it would fail, instead of merely being pageable. Pages that were never touched are not brought in for it.
    """
    libc: Any = ctypes.CDLL(None, use_errno=True)
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    unlimited = os.geteuid() == 0 or limit == resource.RLIM_INFINITY
    flags = _MCL_CURRENT | _MCL_ONFAULT | (_MCL_FUTURE if unlimited else 0)
    if libc.mlockall(flags) == 0:
        return None
    limit_text = "" if unlimited else f", limit {limit // 1024} kB"
    return (
        f"memory is not locked ({os.strerror(ctypes.get_errno())}{limit_text}): {limits_line('memlock', 'unlimited')}"
    )


def give_back_memory() -> None:
    """Have every large buffer come from the kernel, and go back to it when it is freed.

    glibc keeps the first that is freed, and then all that are no larger, on its heap, where what lives longer comes to
    lie between them: a host that runs for days and changes devices would grow (mallopt(3), M_MMAP_THRESHOLD).
    """
    libc: Any = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def pin(thread_id: int, cpu: int) -> str | None:
    """Let *thread_id* run on core *cpu* alone; gives a line where that cannot be."""
    try:
        os.sched_setaffinity(thread_id, {cpu})
    except OSError as error:
        cores = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        return f"the engine cannot be kept on core {cpu} ({error.strerror}): there are {cores}"
    return None


def prepare(thread_id: int | None, realtime: bool, priority: int, cpu: int | None) -> tuple[bool, list[str]]:
    """Everything above for the engine's thread; whether it is in real time then, and a line for each refusal."""
    give_back_memory()
    lines = [lock_memory()]
    if thread_id is not None:
        if not realtime and priority > 0:
            refusal = ask_rtkit(thread_id, priority)
            realtime = refusal is None
            if refusal is not None:
                lines.append(f"no real-time priority ({refusal}): {limits_line('rtprio', '95')}")
        if cpu is not None:
            lines.append(pin(thread_id, cpu))
    return realtime, [line for line in lines if line is not None]


def new_thread_id(before: set[int]) -> int | None:
    """The thread of this process that was not there *before*; None where there are none or several."""
    new = thread_ids() - before
    return new.pop() if len(new) == 1 else None


def thread_ids() -> set[int]:
    """The kernel's numbers of this process's threads."""
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}
