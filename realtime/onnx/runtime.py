"""ONNX Runtime's C interface, from the shared library inside the ``onnxruntime`` wheel.

The Python binding cannot be called without the GIL; the C interface can. OrtApi is a table of function
pointers to which versions only ever append, so a position once published stays (onnxruntime_c_api.h).
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import FullbandError

_API_VERSION = 17  # ONNX Runtime 1.17, far older than what we ask for
_TABLE_LENGTH = 160

#: Positions in OrtApi.
_SLOTS = {
    "GetErrorMessage": 2,
    "CreateEnv": 3,
    "CreateSession": 7,
    "Run": 9,
    "CreateSessionOptions": 10,
    "EnableProfiling": 14,
    "DisableMemPattern": 17,
    "DisableCpuMemArena": 19,
    "SetSessionGraphOptimizationLevel": 23,
    "SetIntraOpNumThreads": 24,
    "SetInterOpNumThreads": 25,
    "SessionGetInputCount": 30,
    "SessionGetOutputCount": 31,
    "SessionGetInputTypeInfo": 33,
    "SessionGetOutputTypeInfo": 34,
    "SessionGetInputName": 36,
    "SessionGetOutputName": 37,
    "CreateTensorWithDataAsOrtValue": 49,
    "CastTypeInfoToTensorInfo": 55,
    "GetTensorElementType": 60,
    "GetDimensionsCount": 61,
    "GetDimensions": 62,
    "CreateCpuMemoryInfo": 69,
    "AllocatorFree": 76,
    "GetAllocatorWithDefaultOptions": 78,
    "ReleaseStatus": 93,
    "ReleaseSession": 95,
    "ReleaseValue": 96,
    "ReleaseTypeInfo": 98,
    "ReleaseSessionOptions": 100,
    "SessionGetModelMetadata": 111,
    "ModelMetadataLookupCustomMetadataMap": 116,
    "ReleaseModelMetadata": 118,
    "AddSessionConfigEntry": 130,
}


class OnnxRuntimeError(FullbandError):
    """ONNX Runtime refused; the text is its own."""


def library_path() -> Path:
    """The shared library of the installed wheel, found without importing the (slow) Python package."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "capi"
        for pattern in ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll"):
            found = sorted(folder.glob(pattern))
            if found:
                return found[-1]
    raise FullbandError("ONNX Runtime's shared library was not found: pip install 'onnxruntime>=1.20'")


class Api:
    """The functions of OrtApi, each raising :class:`OnnxRuntimeError` on a status."""

    def __init__(self) -> None:
        class Base(ctypes.Structure):
            _fields_ = (
                ("GetApi", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)),
                ("GetVersionString", ctypes.CFUNCTYPE(ctypes.c_char_p)),
            )

        self.path = library_path()
        self._library = ctypes.CDLL(str(self.path))
        self._library.OrtGetApiBase.restype = ctypes.POINTER(Base)
        base = self._library.OrtGetApiBase().contents
        self.version: str = base.GetVersionString().decode()
        table = base.GetApi(_API_VERSION)
        if not table:
            raise FullbandError(f"ONNX Runtime {self.version} is too old: pip install 'onnxruntime>=1.20'")
        self._table = (ctypes.c_void_p * _TABLE_LENGTH).from_address(table)
        self.environment = ctypes.c_void_p()
        error_level = 3  # warnings of the optimiser are not for the listener
        self.call("CreateEnv", ctypes.c_int(error_level), b"fullband", ctypes.byref(self.environment))
        self.cpu_memory = ctypes.c_void_p()
        self.call("CreateCpuMemoryInfo", ctypes.c_int(1), ctypes.c_int(0), ctypes.byref(self.cpu_memory))

    def address(self, name: str) -> int:
        """Address of a function, for compiled code."""
        return int(self._table[_SLOTS[name]] or 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status; pointers are passed as ctypes objects or c_void_p."""
        function = ctypes.CFUNCTYPE(ctypes.c_void_p)(self.address(name))
        status = function(*arguments)
        if status and not name.startswith("Release"):
            text = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(self.address("GetErrorMessage"))(status)
            message = (text or b"").decode(errors="replace").splitlines()
            self.call("ReleaseStatus", ctypes.c_void_p(status))
            raise OnnxRuntimeError(message[0] if message else f"ONNX Runtime: {name} failed")


@cache
def api() -> Api:
    """The one instance of this process."""
    return Api()
