"""PortAudio's library beyond what sounddevice offers: devices looked for anew, streams that hang left behind."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..devices import import_sounddevice

#: A stream that closes at all does so within a few blocks.
_CLOSE_SECONDS = 2.0

#: Copies of the library that something hangs in.
_left_behind: list[Any] = []


def refresh() -> None:
    """Look for devices anew: PortAudio's list is made when it starts. No stream may be open.

    Takes a tenth of a second or more, most of it ALSA's; a JACK server sees a client go and another come.
    """
    sounddevice = import_sounddevice()
    # The only way there is, and what sounddevice's author tells to do (python-sounddevice, issue 125).
    while sounddevice._initialized:
        sounddevice._terminate()
    sounddevice._initialize()


def close(streams: Sequence[Any]) -> None:
    """Close *streams*; those that hang are left behind with the library that they hang in.

    PortAudio's JACK part waits ten minutes for a server that is gone before it gives a stream back.
    """
    thread = threading.Thread(target=lambda: [stream.close(ignore_errors=True) for stream in streams], daemon=True)
    thread.start()
    thread.join(_CLOSE_SECONDS)
    if thread.is_alive():
        _leave_behind()


def _leave_behind() -> None:
    """Let sounddevice go on with a fresh copy of the library. The old one is never ended, as that would hang, too.

    What it costs is the memory of one copy (a few hundred kilobytes) for every time that a server dies.
    """
    sounddevice = import_sounddevice()
    # A file that the dynamic linker has not seen before is loaded again, with variables of its own. It knows files by
    # their paths, too: the descriptor stays open, so that the next copy has another.
    copy = os.memfd_create("portaudio")
    os.write(copy, _library_path().read_bytes())
    # Unloaded, it would take the thread that hangs in it into the void, and whoever was given a callback of it.
    _left_behind.append(sounddevice._lib)
    sounddevice._lib = sounddevice._ffi.dlopen(f"/proc/self/fd/{copy}")
    sounddevice._initialized = 0


def _library_path() -> Path:
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split(maxsplit=5)[5]) for line in maps if "libportaudio.so" in line)


def schedule_in_real_time(stream: Any) -> bool:
    """Let PortAudio run the callback of an ALSA stream, not yet started, in real time; false where that is not to be.

    It locks memory for it, too, and is therefore not asked where a limit would refuse either.
    """
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_RTPRIO, resource.RLIMIT_MEMLOCK)]
    allowed = limits[0] != 0 and limits[1] == resource.RLIM_INFINITY
    if os.geteuid() != 0 and not allowed:
        return False
    enable = getattr(ctypes.CDLL(str(_library_path())), "PaAlsa_EnableRealtimeScheduling", None)
    if enable is None:
        return False
    pointer = int(import_sounddevice()._ffi.cast("uintptr_t", stream._ptr))
    enable(ctypes.c_void_p(pointer), ctypes.c_int(1))
    return True


def silence() -> None:
    """Keep ALSA from writing on the terminal: each failure is an error already, and has its line."""
    # It is where the console draws. What is called instead takes the same arguments, and does nothing with them.
    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        return
    alsa.snd_lib_error_set_handler(ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p))
