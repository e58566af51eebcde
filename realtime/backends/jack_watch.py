"""A process of its own that watches a JACK server: its rate, and whether devices are there.

In the host, a JACK client more would hang with a server that dies. ``python jack_watch.py DEVICE …`` writes a line of
JSON at first and for every change, ``{"rate_hz": 48000, "missing": []}``, and ends with the server or its reader.
Imports nothing of the host, so that it is there at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import time

_EVERY_SECONDS = 0.25
_NO_START_SERVER = 1


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libjack.so.0")
    library.jack_client_open.restype = ctypes.c_void_p
    library.jack_get_ports.restype = ctypes.c_void_p
    return library


def main(devices: list[str]) -> int:
    """Watch until the server ends (1) or nobody listens (0)."""
    try:
        library = _library()
    except OSError:
        return 1
    # Nothing of what JACK prints is for people.
    library.jack_set_error_function(ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p))
    client = library.jack_client_open(b"fullband-watch", _NO_START_SERVER, None)
    if not client:
        return 1
    handle = ctypes.c_void_p(client)
    ended: list[int] = []
    on_end = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: ended.append(1))
    library.jack_on_shutdown(handle, on_end, None)
    before = ""
    parent = os.getppid()
    while not ended and os.getppid() == parent:
        missing = []
        for device in devices:
            ports = library.jack_get_ports(handle, f"^{re.escape(device)}:".encode(), None, ctypes.c_ulong(0))
            if ports:
                library.jack_free(ctypes.c_void_p(ports))
            else:
                missing.append(device)
        line = json.dumps({"rate_hz": int(library.jack_get_sample_rate(handle)), "missing": missing})
        if line != before:
            try:
                print(line, flush=True)
            except OSError:
                return 0
        before = line
        time.sleep(_EVERY_SECONDS)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
