"""One model file loaded into ONNX Runtime: what it declares, and tensors bound to memory of ours."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FullbandError
from .runtime import OnnxRuntimeError, api

_FLOAT32 = 1  # ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT

#: ONNXTensorElementDataType of what tensors of ours may hold.
ELEMENT_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}
_ALL_OPTIMISATIONS = 99


@dataclass(frozen=True)
class TensorInfo:
    """A declared input or output. Dimensions that the file leaves open are -1; *element* is a number of ONNX's."""

    name: str
    shape: tuple[int, ...]
    element: int

    @property
    def is_float32(self) -> bool:
        return self.element == _FLOAT32


@dataclass(frozen=True)
class SessionOptions:
    """How ONNX Runtime runs a model. One thread and no spinning: a hop is too short to share out."""

    intra_op_threads: int = 1
    allow_spinning: bool = False
    memory_arena: bool = True
    optimisation_level: int = _ALL_OPTIMISATIONS
    profile_prefix: str | None = None


class Session:
    """A loaded model. Raises :class:`FullbandError` for a file that ONNX Runtime cannot read."""

    def __init__(self, path: Path, options: SessionOptions | None = None) -> None:
        options = options or SessionOptions()
        self.path = path
        if not path.is_file():
            raise FullbandError(f"no model file {path}: give the path of an .onnx file")
        self._api = api()
        self.handle = ctypes.c_void_p()
        settings = self._settings(options)
        try:
            self._api.call(
                "CreateSession", self._api.environment, str(path).encode(), settings, ctypes.byref(self.handle)
            )
        except OnnxRuntimeError as error:
            raise FullbandError(f"{path} is not a model that ONNX Runtime can load: {error}") from None
        finally:
            self._api.call("ReleaseSessionOptions", settings)
        self.inputs = self._describe("Input")
        self.outputs = self._describe("Output")

    def _settings(self, options: SessionOptions) -> ctypes.c_void_p:
        call = self._api.call
        settings = ctypes.c_void_p()
        call("CreateSessionOptions", ctypes.byref(settings))
        call("SetSessionGraphOptimizationLevel", settings, ctypes.c_int(options.optimisation_level))
        call("SetIntraOpNumThreads", settings, ctypes.c_int(options.intra_op_threads))
        call("SetInterOpNumThreads", settings, ctypes.c_int(1))
        spinning = b"1" if options.allow_spinning else b"0"
        call("AddSessionConfigEntry", settings, b"session.intra_op.allow_spinning", spinning)
        call("AddSessionConfigEntry", settings, b"session.set_denormal_as_zero", b"1")
        if not options.memory_arena:
            call("DisableCpuMemArena", settings)
            call("DisableMemPattern", settings)
        if options.profile_prefix:
            call("EnableProfiling", settings, options.profile_prefix.encode())
        return settings

    def _describe(self, side: str) -> tuple[TensorInfo, ...]:
        call = self._api.call
        count = ctypes.c_size_t()
        call(f"SessionGet{side}Count", self.handle, ctypes.byref(count))
        return tuple(self._tensor_info(side, index) for index in range(count.value))

    def _tensor_info(self, side: str, index: int) -> TensorInfo:
        call = self._api.call
        allocator, text, kind, tensor = (ctypes.c_void_p() for _ in range(4))
        call("GetAllocatorWithDefaultOptions", ctypes.byref(allocator))
        call(f"SessionGet{side}Name", self.handle, ctypes.c_size_t(index), allocator, ctypes.byref(text))
        name = ctypes.string_at(text.value or 0).decode()
        call("AllocatorFree", allocator, text)
        call(f"SessionGet{side}TypeInfo", self.handle, ctypes.c_size_t(index), ctypes.byref(kind))
        call("CastTypeInfoToTensorInfo", kind, ctypes.byref(tensor))
        element, rank = ctypes.c_int(0), ctypes.c_size_t(0)
        shape: tuple[int, ...] = ()
        if tensor.value:
            call("GetTensorElementType", tensor, ctypes.byref(element))
            call("GetDimensionsCount", tensor, ctypes.byref(rank))
            dimensions = (ctypes.c_int64 * rank.value)()
            call("GetDimensions", tensor, dimensions, rank)
            shape = tuple(int(d) for d in dimensions)
        call("ReleaseTypeInfo", kind)
        return TensorInfo(name, shape, element.value)

    def metadata(self, key: str) -> str | None:
        """The value of *key* in the file's ``metadata_props``; None when it has none."""
        call = self._api.call
        record, allocator, text = (ctypes.c_void_p() for _ in range(3))
        call("SessionGetModelMetadata", self.handle, ctypes.byref(record))
        call("GetAllocatorWithDefaultOptions", ctypes.byref(allocator))
        call("ModelMetadataLookupCustomMetadataMap", record, allocator, key.encode(), ctypes.byref(text))
        value = None
        if text.value:
            value = ctypes.string_at(text.value).decode(errors="replace")
            call("AllocatorFree", allocator, text)
        call("ReleaseModelMetadata", record)
        return value

    def tensor(self, memory: NDArray[Any], element: int = _FLOAT32) -> int:
        """An OrtValue over *memory*, which must outlive it; freed by :meth:`free`."""
        value = ctypes.c_void_p()
        shape = (ctypes.c_int64 * memory.ndim)(*memory.shape)
        self._api.call(
            "CreateTensorWithDataAsOrtValue",
            self._api.cpu_memory,
            ctypes.c_void_p(memory.ctypes.data),
            ctypes.c_size_t(memory.nbytes),
            shape,
            ctypes.c_size_t(memory.ndim),
            ctypes.c_int(element),
            ctypes.byref(value),
        )
        return int(value.value or 0)

    def free(self, values: list[int]) -> None:
        """Release tensors."""
        for value in values:
            self._api.call("ReleaseValue", ctypes.c_void_p(value))

    def close(self) -> None:
        """Release the model. No thread may be running it."""
        if self.handle.value:
            self._api.call("ReleaseSession", self.handle)
            self.handle = ctypes.c_void_p()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
