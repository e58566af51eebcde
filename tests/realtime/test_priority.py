"""Privileges are asked for as their givers want it; whatever is refused is one line with its remedy."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from realtime import priority
from tests.servers import poll

_NOBODY = """
import os, resource
from realtime import priority
for limit, value in ((resource.RLIMIT_MEMLOCK, 65536), (resource.RLIMIT_RTPRIO, 0)):
    resource.setrlimit(limit, (value, value))
os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


def _as_nobody(code: str) -> str:
    """What *code* prints as a user without any privilege."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody")
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere/bus"}
    command = [sys.executable, "-c", _NOBODY + code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_a_core_that_does_not_exist_is_named() -> None:
    line = priority.pin(0, 4_000)
    assert line is not None
    assert "core 4000" in line


def test_a_thread_is_kept_on_one_core() -> None:
    done = threading.Event()
    before = priority.thread_ids()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        thread_id = priority.new_thread_id(before)
        assert thread_id == thread.native_id
        core = min(os.sched_getaffinity(0))
        assert priority.pin(thread_id, core) is None
        assert os.sched_getaffinity(thread_id) == {core}
    finally:
        done.set()
        thread.join()


def test_an_absent_rtkit_is_a_reason_not_a_failure() -> None:
    code = "from realtime.priority import ask_rtkit; print(ask_rtkit(1))"
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere/bus"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("rtkit cannot be asked")


_SERVICE = """
import resource
from jeepney import DBusAddress, new_method_return, MessageType, message_bus
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection(bus="SESSION")
connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.RealtimeKit1"))
print("ready", flush=True)
while True:
    message = connection.receive()
    if message.header.message_type is MessageType.method_call and message.header.fields.get(3) == "MakeThreadRealtime":
        print(*message.body, flush=True)
        connection.send(new_method_return(message))
        break
"""


@pytest.mark.server
def test_rtkit_is_asked_by_its_own_protocol_on_a_real_bus(tmp_path: Path) -> None:
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    address = f"unix:path={tmp_path / 'bus'}"
    daemon = subprocess.Popen(["dbus-daemon", "--session", "--nofork", f"--address={address}"])
    try:
        poll((tmp_path / "bus").is_socket, "the bus")
        env = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address, "DBUS_SYSTEM_BUS_ADDRESS": address}
        service = subprocess.Popen([sys.executable, "-c", _SERVICE], env=env, stdout=subprocess.PIPE, text=True)
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        code = (
            "import resource; from realtime.priority import ask_rtkit\n"
            "print(ask_rtkit(4711, 12), resource.getrlimit(resource.RLIMIT_RTTIME))"
        )
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout == "None (100000, 200000)\n"
        assert service.communicate(timeout=30.0)[0] == "4711 12\n"
    finally:
        daemon.terminate()
        daemon.wait(10.0)


def test_an_ordinary_user_is_told_what_each_refusal_needs() -> None:
    said = _as_nobody("print(*priority.prepare(os.getpid(), False, 15, None)[1], sep='\\n')").splitlines()
    assert len(said) == 2
    assert said[0].startswith("memory is not locked")
    assert "memlock unlimited" in said[0]
    assert said[1].startswith("no real-time priority (rtkit")
    assert "rtprio 95" in said[1]


_LATENCY_US = """
import struct
from realtime.awake import DEVICE, Awake
def asked():
    with open(DEVICE, "rb") as file: return struct.unpack("=i", file.read(4))[0]
before = asked()
with Awake() as awake:
    print(before, asked(), awake.refusal)
print(asked())
"""


@pytest.mark.skipif(
    not os.access("/dev/cpu_dma_latency", os.R_OK | os.W_OK), reason="needs the kernel's file, and root"
)
def test_processors_are_kept_awake_as_long_as_it_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", _LATENCY_US], capture_output=True, text=True, check=True)
    before, meanwhile, refusal, after = done.stdout.split()
    assert (meanwhile, refusal) == ("0", "None")
    assert before == after != "0"


def test_processors_that_may_sleep_have_one_line_with_the_remedy() -> None:
    said = _as_nobody("from realtime.awake import Awake; print(Awake().refusal)").splitlines()
    assert len(said) == 1
    assert "/dev/cpu_dma_latency" in said[0]
    assert "udev" in said[0] or "CONFIG_CPU_IDLE" in said[0]


_BUFFERS = """
import ctypes, sys
from realtime.priority import give_back_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usm fsm ord ford keep".split()]
libc.mallinfo2.restype = Heap
if sys.argv[1] == "given back":
    give_back_memory()
libc.free(libc.malloc(4 << 20))
before = libc.mallinfo2().hblks
kept = libc.malloc(1 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc's own figures are needed")
@pytest.mark.parametrize(("way", "mapped"), [("given back", "1"), ("left alone", "0")])
def test_a_large_buffer_is_the_kernels_also_after_a_larger_one_was_freed(way: str, mapped: str) -> None:
    done = subprocess.run([sys.executable, "-c", _BUFFERS, way], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == mapped
