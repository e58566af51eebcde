"""What a measurement was made on, and what else the machine did meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from realtime.native import COMPILE_NOGIL
from realtime.native.system import now_ns
from realtime.onnx.runtime import api


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _revision() -> str | None:
    """The git revision of a checkout, "+" added where it has been changed; None for an installed wheel."""
    revision = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "realtime", "bench", "model")
    return f"{revision}{'+' if changed else ''}" or None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def machine() -> dict[str, str | int | None]:
    """Processor, system and versions."""
    memory = (_text("/proc/meminfo") or "").split()
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_mb": int(memory[1]) // 1024 if memory else None,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "virtual": " hypervisor" in (_text("/proc/cpuinfo") or ""),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "onnxruntime": api().version,
        "revision": _revision(),
    }


def _jiffies() -> list[int]:
    """Time of all cores: user, nice, system, idle, iowait, irq, softirq, stolen by the hypervisor."""
    line = (_text("/proc/stat") or "").split("\n")[0].split()
    return [int(value) for value in line[1:9]] if len(line) > 8 else []


class Watch:
    """Notes what the machine does from now on."""

    def __init__(self) -> None:
        self.machine: dict[str, Any] = machine()
        self._load_before = os.getloadavg()[0]
        self._jiffies = _jiffies()
        self._own_s = time.process_time()
        self._began_s = time.monotonic()

    def conditions(self) -> dict[str, float | None]:
        """Share of all cores' time that was stolen by the hypervisor, and that others than this process used."""
        seconds = time.monotonic() - self._began_s
        spent = [b - a for a, b in zip(self._jiffies, _jiffies(), strict=True)]
        total = max(sum(spent), 1)
        own = (time.process_time() - self._own_s) / (max(seconds, 1e-9) * (os.cpu_count() or 1))
        known = len(spent) == 8
        others = (total - spent[3] - spent[4] - spent[7]) / total - own if known else 0.0
        return {
            "seconds": round(seconds, 1),
            "load_average_before": round(self._load_before, 2),
            "stolen_percent": round(100.0 * spent[7] / total, 2) if known else None,
            "others_percent": round(100.0 * max(others, 0.0), 1) if known else None,
        }


#: As much memory as the weights of a shipped network, which have to be read for every hop.
_YARDSTICK_SIZE = 768


@njit(**{**COMPILE_NOGIL, "fastmath": True})
def _multiply(matrix, vector, result):  # type: ignore[no-untyped-def]
    began = now_ns()
    for i in range(matrix.shape[0]):
        total = np.float32(0.0)
        for j in range(matrix.shape[1]):
            total += matrix[i, j] * vector[j]
        result[i] = total
    return now_ns() - began


class Yardstick:
    """A fixed piece of compiled work like a network's. When it takes longer, it is the machine that is slower."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._matrix = rng.standard_normal((_YARDSTICK_SIZE, _YARDSTICK_SIZE)).astype(np.float32)
        self._vector = rng.standard_normal(_YARDSTICK_SIZE).astype(np.float32)
        self._result = np.zeros(_YARDSTICK_SIZE, np.float32)
        self.once_ms()

    def once_ms(self) -> float:
        """How long it takes now."""
        return float(_multiply(self._matrix, self._vector, self._result)) / 1e6

    def median_ms(self, times: int = 50, every_s: float = 0.004) -> float:
        """The median of some, paced as hops are."""
        spent = []
        for _ in range(times):
            time.sleep(every_s)
            spent.append(self.once_ms())
        return float(np.median(spent))
