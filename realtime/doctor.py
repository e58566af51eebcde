"""What this machine can hold, found out by trying."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numba
import numpy as np

from .awake import Awake
from .backends.wavfile import FileStream
from .engine import ENGINE_PRIORITY, Engine, EngineSettings, StreamFormat
from .errors import FullbandError
from .native import CACHE
from .onnx.runtime import api
from .paths import find_model
from .priority import limits_line, rtkit_priority


@dataclass(frozen=True)
class Check:
    """One finding. *remedy* is a line to type or to add somewhere, empty when all is well."""

    name: str
    state: Literal["ok", "warn", "fail"]
    value: str
    remedy: str = ""


def _processor() -> Check:
    cores = os.cpu_count() or 1
    name = platform.processor() or platform.machine()
    description = Path("/proc/cpuinfo")
    if description.exists():
        lines = description.read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    state: Literal["ok", "warn"] = "ok" if cores > 1 else "warn"
    return Check("processor", state, f"{name}, {cores} cores", "" if cores > 1 else "one core is shared with all else")


def _portaudio() -> Check:
    from .devices import import_sounddevice, list_devices

    try:
        sounddevice = import_sounddevice()
        devices = list_devices()
    except FullbandError as error:
        return Check("PortAudio", "warn", "missing: only the simulated device", str(error))
    version = sounddevice.get_portaudio_version()[1].split(",")[0]
    apis = ", ".join(hostapi["name"] for hostapi in sounddevice.query_hostapis())
    if not devices:
        return Check("PortAudio", "warn", f"{version} ({apis}), no device", "start an audio server or plug one in")
    return Check("PortAudio", "ok", f"{version} ({apis}), {len(devices)} devices")


def _audio_servers() -> Check:
    servers = {"PipeWire": "pipewire", "PulseAudio": "pulseaudio", "JACK": "jackd"}
    if shutil.which("pgrep") is None:
        return Check("audio servers", "warn", "unknown", "install procps")
    running = [
        name
        for name, process in servers.items()
        if subprocess.run(["pgrep", "-x", process], capture_output=True, check=False).returncode == 0
    ]
    if running:
        return Check("audio servers", "ok", ", ".join(running))
    return Check("audio servers", "warn", "none is running", "start PipeWire, PulseAudio or JACK")


def _priority() -> Check:
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit >= ENGINE_PRIORITY:
        return Check("real-time priority", "ok", "as root" if os.geteuid() == 0 else f"up to {limit}")
    return Check("real-time priority", "warn", f"refused (limit {limit})", limits_line("rtprio", "95"))


def _memory_lock() -> Check:
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY:
        return Check("memory lock", "ok", "unlimited")
    return Check("memory lock", "warn", f"{limit // 1024} kB", limits_line("memlock", "unlimited"))


def _rtkit() -> Check:
    """Where limits refuse real time, rtkit can grant it."""
    most, reason = rtkit_priority()
    if reason is None:
        return Check("rtkit", "ok", f"grants up to {most}")
    needed = _priority().state != "ok"
    remedy = f"sudo apt-get install rtkit, or {limits_line('rtprio', '95')}" if needed else ""
    return Check("rtkit", "warn" if needed else "ok", reason if needed else f"{reason}; not needed here", remedy)


def _affinity() -> Check:
    cores = sorted(os.sched_getaffinity(0))
    isolated = Path("/sys/devices/system/cpu/isolated")
    apart = isolated.read_text().strip() if isolated.exists() else ""
    value = f"the engine may run on core {', '.join(map(str, cores))}; set apart: {apart or 'none'}"
    return Check("CPU affinity", "ok", value, f"to keep it on one: fullband live --cpu {cores[-1]}")


def _sleep() -> Check:
    """Whether processors can be kept from sleeping, and that it can be asked for."""
    with Awake() as awake:
        if awake.reason is not None:
            return Check("sleep of processors", "warn", f"cannot be prevented ({awake.reason})", awake.remedy)
    return Check("sleep of processors", "ok", "can be prevented", "where hops come late: fullband live --keep-awake")


def _compiled_code() -> Check:
    version = f"numba {numba.__version__}"
    folder = Path(numba.config.CACHE_DIR)
    if folder == CACHE or "NUMBA_CACHE_DIR" in os.environ:
        return Check("compiled code", "ok", f"{version}, kept in {folder}")
    remedy = "set XDG_CACHE_HOME to a folder that can be written; until then every start compiles anew"
    return Check("compiled code", "warn", f"{version}, cannot be kept in {CACHE}", remedy)


def _denormals() -> Check:
    """Numbers below 1e-38 cost a hundred times a normal one: the engine thread shows what it makes of them."""
    with Engine(StreamFormat(48_000, 48_000, 128), EngineSettings(None, realtime_priority=0)) as engine:
        engine.start()
        end = time.monotonic() + 5.0
        while engine.denormals_flushed is None and time.monotonic() < end:
            time.sleep(0.001)
        flushed = engine.denormals_flushed
    if flushed:
        return Check("denormal numbers", "ok", "flushed on the engine thread")
    return Check("denormal numbers", "warn", "not flushed", "the network may slow down where a sound dies away")


def _onnx_runtime() -> Check:
    runtime = api()
    return Check("ONNX Runtime", "ok", f"{runtime.version}, {runtime.path.name}")


#: Share of a hop's time that the network may take in its slow moments before the machine counts as too weak.
_COMFORTABLE_LOAD = 0.5


def compute_per_hop(model: str = "default", seconds: float = 4.0) -> Check:
    """Load a model and run it: what a hop costs on one core of this machine."""
    path = find_model(model)
    stream = FileStream(1, 48_000, EngineSettings(path, cutoff_hz=8_000.0))
    try:
        inference = stream.engine.inference
        assert inference is not None
        noise = 0.1 * np.random.default_rng(0).standard_normal((1, int(48_000 * seconds)))
        stream.push(noise.astype(np.float32))
        s = stream.statistics()
        hop_ms = inference.contract.hop_ms
    finally:
        stream.close()
    value = f"{s.hop_p50_ms:.2f} ms p50, {s.hop_p99_ms:.2f} ms p99 of a {hop_ms:g} ms hop"
    if s.hop_p99_ms < _COMFORTABLE_LOAD * hop_ms:
        return Check("compute per hop", "ok", value)
    if s.hop_p50_ms < hop_ms:
        return Check("compute per hop", "warn", value, "close other programs, or hold more guard: --guard 10")
    return Check("compute per hop", "fail", value, "this machine cannot run the model: fullband live --model none")


def examine() -> list[Check]:
    """All checks. One that fails by itself is a finding too."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("processor", _processor),
        ("PortAudio", _portaudio),
        ("audio servers", _audio_servers),
        ("real-time priority", _priority),
        ("rtkit", _rtkit),
        ("memory lock", _memory_lock),
        ("CPU affinity", _affinity),
        ("sleep of processors", _sleep),
        ("compiled code", _compiled_code),
        ("ONNX Runtime", _onnx_runtime),
        ("denormal numbers", _denormals),
        ("compute per hop", compute_per_hop),
    ]
    found = []
    for name, check in checks:
        try:
            found.append(check())
        except FullbandError as error:
            found.append(Check(name, "fail", "does not work", str(error)))
    return found


def verdict(checks: list[Check]) -> str:
    """One line for all of them."""
    states = {check.name: check.state for check in checks}
    if "fail" in states.values():
        return "This machine cannot run fullband as it is: see what failed."
    if states.get("PortAudio") == "warn":
        return "Ready for files and for the simulated device; for live use a sound device is missing."
    if "warn" in states.values():
        return "Ready; what is marked would make it safer."
    return "Ready for live use."
