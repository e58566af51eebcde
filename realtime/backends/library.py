"""PortAudio's library beyond what sounddevice offers: devices looked for anew, streams that hang left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..devices import import_sounddevice

#: A stream that closes at all does so within a few blocks.
_CLOSE_SECONDS = 2.0


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
    # A file that the dynamic linker has not seen before is loaded again, with variables of its own.
    copy = os.memfd_create("portaudio")
    os.write(copy, _library_path().read_bytes())
    sounddevice._lib = sounddevice._ffi.dlopen(f"/proc/self/fd/{copy}")
    sounddevice._initialized = 0


def _library_path() -> Path:
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split(maxsplit=5)[5]) for line in maps if "libportaudio.so" in line)


def silence() -> None:
    """Keep ALSA from writing on the terminal: each failure is an error already, and has its line."""
    # It is where the console draws. What is called instead takes the same arguments, and does nothing with them.
    import ctypes

    try:
        alsa = ctypes.CDLL("libasound.so.2")
    except OSError:
        return
    alsa.snd_lib_error_set_handler(ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p))
