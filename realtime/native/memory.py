"""Addresses, atomics, foreign calls and shared blocks of memory for compiled code."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable
from numpy.typing import DTypeLike, NDArray

CACHE_LINE_BYTES = 64

_i8 = ir.IntType(8)
_i32 = ir.IntType(32)
_i64 = ir.IntType(64)


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A zeroed array that starts on a cache line, so that neighbours never share one."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(count + CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE_BYTES
    return raw[start : start + count].view(dtype).reshape(shape)


def offset_of(dtype: np.dtype[Any], field: str) -> int:
    """Byte offset of *field* in a record, for atomic access to it."""
    fields = dtype.fields
    assert fields is not None
    return int(fields[field][1])


@intrinsic
def as_pointer(typingctx: Any, address: Any) -> Any:
    """void* from an integer address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], _i8.as_pointer())

    return types.voidptr(types.int64), codegen


@intrinsic
def float_pointer(typingctx: Any, address: Any) -> Any:
    """float* from an integer address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.FloatType().as_pointer())

    return types.CPointer(types.float32)(types.int64), codegen


@intrinsic
def load_acquire(typingctx: Any, address: Any) -> Any:
    """Read the int64 at *address*; what its writer wrote before is then visible."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], _i64.as_pointer()), "acquire", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store_release(typingctx: Any, address: Any, value: Any) -> Any:
    """Write an int64 to *address*, after everything written before it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], builder.inttoptr(args[0], _i64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _foreign_call(name: str, result: Any, arguments: list[Any], *, numba_result: Any, numba_args: list[Any]) -> Any:
    """An intrinsic that calls the C function at an address given as its first argument."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = builder.inttoptr(args[0], ir.FunctionType(result, arguments).as_pointer())
        return builder.call(target, args[1:])

    signature = numba_result(types.int64, *numba_args)
    names = ", ".join(f"a{i}" for i in range(len(numba_args) + 1))
    scope: dict[str, Any] = {"signature": signature, "codegen": codegen}
    exec(f"def {name}(typingctx, {names}):\n    return signature, codegen\n", scope)  # intrinsics need a fixed arity
    return intrinsic(scope[name])


#: OrtApi.Run(session, run_options, input_names, inputs, count, output_names, count, outputs) -> OrtStatus*
call_run = _foreign_call("call_run", _i64, [_i64] * 8, numba_result=types.int64, numba_args=[types.int64] * 8)

#: OrtApi.ReleaseStatus(status)
call_release = _foreign_call("call_release", _i64, [_i64], numba_result=types.int64, numba_args=[types.int64])

#: PaStreamCallback(input, output, frames, time_info, status_flags, user_data) -> int
call_stream_callback = _foreign_call(
    "call_stream_callback",
    _i32,
    [_i64, _i64, _i64, _i64, _i64, _i64],
    numba_result=types.int32,
    numba_args=[types.int64] * 6,
)


#: A stage's step(state, source, target, frames) -> status
call_stage = _foreign_call("call_stage", _i64, [_i64] * 4, numba_result=types.int64, numba_args=[types.int64] * 4)

#: LADSPA_Descriptor.run(handle, frames)
call_ladspa_run = _foreign_call(
    "call_ladspa_run", _i64, [_i64] * 2, numba_result=types.int64, numba_args=[types.int64] * 2
)


@intrinsic
def flush_denormals(typingctx: Any) -> Any:
    """Make the calling thread treat denormal numbers as zero; they cost a hundred times a normal one.

    x86: flush-to-zero and denormals-are-zero in MXCSR, all exceptions masked. 64-bit Arm: FZ in FPCR.
    Other processors: nothing.
    """
    machine = platform.machine().lower()

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if machine in ("x86_64", "amd64"):
            slot = builder.alloca(_i32)
            builder.store(ir.Constant(_i32, 0x9FC0), slot)
            kind = ir.FunctionType(ir.VoidType(), [_i8.as_pointer()])
            load = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")
            builder.call(load, [builder.bitcast(slot, _i8.as_pointer())])
        elif machine in ("aarch64", "arm64"):
            kind = ir.FunctionType(ir.VoidType(), [_i64])
            load = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.set.fpcr")
            builder.call(load, [ir.Constant(_i64, 1 << 24)])
        return context.get_dummy_value()

    return types.void(), codegen


@register_jitable
def record_at(address: int, dtype: Any) -> Any:
    """The record of *dtype* (a global numpy dtype) that lies at *address*."""
    return carray(as_pointer(address), 1, dtype)[0]


@register_jitable
def floats_at(address: int, shape: Any) -> Any:
    """The float32 array of *shape* at *address*."""
    return carray(as_pointer(address), shape, np.float32)


@register_jitable
def doubles_at(address: int, shape: Any) -> Any:
    """The float64 array of *shape* at *address*."""
    return carray(as_pointer(address), shape, np.float64)


@register_jitable
def ints_at(address: int, shape: Any) -> Any:
    """The int64 array of *shape* at *address*."""
    return carray(as_pointer(address), shape, np.int64)
