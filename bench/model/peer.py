"""An ONNX file that keeps no contract of ours: one call with zeros in its shapes, by the same C interface."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from realtime.errors import FullbandError
from realtime.native import COMPILE_NOGIL
from realtime.native.memory import aligned_zeros, call_release, call_run
from realtime.native.system import now_ns
from realtime.onnx.runtime import api
from realtime.onnx.session import ELEMENT_TYPES, Session, SessionOptions, TensorInfo

from .hops import Milliseconds

_WARM_UP_CALLS = 24


@njit(**COMPILE_NOGIL)
def _timed_run(run, release, session, names_in, inputs, names_out, outputs):  # type: ignore[no-untyped-def]
    """One call; what it gives is released. Gives its nanoseconds, and its status, which is to be released."""
    for index in range(len(outputs)):
        outputs[index] = 0  # ONNX Runtime allocates them, as their shapes are its own to know
    began = now_ns()
    status = call_run(
        run,
        session,
        0,
        names_in.ctypes.data,
        inputs.ctypes.data,
        len(inputs),
        names_out.ctypes.data,
        len(outputs),
        outputs.ctypes.data,
    )
    spent = now_ns() - began
    for index in range(len(outputs)):
        if outputs[index] != 0:
            call_release(release, outputs[index])
    return spent, status


class PeerRunner:
    """A model file whose inputs are all given zeros. *hop_ms* is the audio that a call stands for, where known.

    *shapes* are those of inputs whose dimensions the file leaves open; by default such a dimension is 1.
    """

    def __init__(
        self,
        path: Path,
        hop_ms: float | None = None,
        options: SessionOptions | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        began_s = time.perf_counter()
        self._session = Session(path, options)
        self.name = path.stem
        self.hop_ms = hop_ms
        self._keep: list[Any] = []
        self._values: list[int] = []
        self._shapes = {name: shape for name, shape in (shapes or {}).items() if self._has(name)}
        for info in self._session.inputs:
            self._bind(path, info)
        self._inputs = np.array(self._values, np.int64)
        self._names_in = self._names([info.name for info in self._session.inputs])
        self._names_out = self._names([info.name for info in self._session.outputs])
        self._outputs = np.zeros(len(self._session.outputs), np.int64)
        self.warm_up_ms: Milliseconds = np.array([self.once() for _ in range(_WARM_UP_CALLS)])
        self.start_up_ms = 1000.0 * (time.perf_counter() - began_s)

    def _has(self, name: str) -> bool:
        return any(info.name == name for info in self._session.inputs)

    def _bind(self, path: Path, info: TensorInfo) -> None:
        kind = ELEMENT_TYPES.get(info.element)
        if kind is None:
            raise FullbandError(f"{path} cannot be timed: its input '{info.name}' is of no numeric type")
        shape = self._shapes.get(info.name, tuple(max(size, 1) for size in info.shape))
        memory = aligned_zeros(shape, kind)
        self._keep.append(memory)
        self._values.append(self._session.tensor(memory, info.element))

    def _names(self, names: list[str]) -> np.ndarray:
        texts = [ctypes.create_string_buffer(name.encode()) for name in names]
        self._keep.append(texts)
        return np.array([ctypes.addressof(text) for text in texts], np.int64)

    def once(self) -> float:
        spent_ns, status = _timed_run(
            api().address("Run"),
            api().address("ReleaseValue"),
            int(self._session.handle.value or 0),
            self._names_in,
            self._inputs,
            self._names_out,
            self._outputs,
        )
        if status != 0:
            reason = f"{self._session.path} does not run on zeros ({_message(status)[-160:]})"
            left_open = [info for info in self._session.inputs if min(info.shape, default=1) < 1]
            shapes = (
                f"--shape {info.name}={'x'.join(str(d) if d > 0 else '?' for d in info.shape)}" for info in left_open
            )
            raise FullbandError(f"{reason}; what the file leaves open was taken to be 1, give it: {' '.join(shapes)}")
        return float(spent_ns) / 1e6

    def close(self) -> None:
        self._session.free(self._values)
        self._session.close()


def _message(status: int) -> str:
    """What a status of ONNX Runtime says, in its first line; it is released."""
    try:
        text = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(api().address("GetErrorMessage"))(status)
        return (text or b"").decode(errors="replace").splitlines()[0]
    finally:
        api().call("ReleaseStatus", ctypes.c_void_p(status))
