"""The operating system: threads, semaphores, clocks, priority. All that is particular to one is here.

Linux with glibc or musl is what fullband runs on. A port supplies the same names: macOS lacks unnamed
semaphores and clock_nanosleep (dispatch semaphores and mach_wait_until serve), Windows needs its own of each.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..errors import FullbandError
from .memory import aligned_zeros

SUPPORTED = sys.platform == "linux"
_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1
_SEMAPHORE_BYTES = 64  # sem_t has 32 bytes on 64-bit glibc and 16 on musl

_i32 = ir.IntType(32)
_i64 = ir.IntType(64)
_TIMESPEC = ir.LiteralStructType([_i64, _i64])

_libc = ctypes.CDLL(None, use_errno=True) if SUPPORTED else None


def _declare(builder: Any, name: str, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(_i32, arguments), name)


@intrinsic
def now_ns(typingctx: Any) -> Any:
    """CLOCK_MONOTONIC in nanoseconds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        slot = cgutils.alloca_once(builder, _TIMESPEC)
        clock_gettime = _declare(builder, "clock_gettime", [_i32, _TIMESPEC.as_pointer()])
        builder.call(clock_gettime, [ir.Constant(_i32, _CLOCK_MONOTONIC), slot])
        time = builder.load(slot)
        seconds = builder.extract_value(time, 0)
        return builder.add(builder.mul(seconds, ir.Constant(_i64, 1_000_000_000)), builder.extract_value(time, 1))

    return types.int64(), codegen


@intrinsic
def sleep_until_ns(typingctx: Any, deadline_ns: Any) -> Any:
    """Sleep until CLOCK_MONOTONIC reaches *deadline_ns*; gives clock_nanosleep's status."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        slot = cgutils.alloca_once(builder, _TIMESPEC)
        billion = ir.Constant(_i64, 1_000_000_000)
        time = builder.insert_value(ir.Constant(_TIMESPEC, ir.Undefined), builder.sdiv(args[0], billion), 0)
        builder.store(builder.insert_value(time, builder.srem(args[0], billion), 1), slot)
        pointer = _TIMESPEC.as_pointer()
        nanosleep = _declare(builder, "clock_nanosleep", [_i32, _i32, pointer, pointer])
        constants = [ir.Constant(_i32, _CLOCK_MONOTONIC), ir.Constant(_i32, _TIMER_ABSTIME)]
        return builder.call(nanosleep, [*constants, slot, ir.Constant(pointer, None)])

    return types.int32(types.int64), codegen


def _semaphore_call(function: str) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        return builder.call(_declare(builder, function, [pointer]), [builder.inttoptr(args[0], pointer)])

    def typing(typingctx: Any, address: Any) -> Any:
        return types.int32(types.int64), codegen

    typing.__name__ = typing.__qualname__ = function
    return intrinsic(typing)


#: Raise the semaphore at an address. Never blocks; a system call only when somebody waits.
semaphore_post = _semaphore_call("sem_post")
#: Wait on the semaphore at an address. May return early (-1) when a signal arrives.
semaphore_wait = _semaphore_call("sem_wait")


def _require_support() -> Any:
    if _libc is None:
        raise FullbandError(
            f"the native threads are written for Linux only so far, not for {sys.platform}: "
            "realtime/native/system.py is the one module to extend"
        )
    return _libc


class Semaphore:
    """A process-private counting semaphore that compiled code reaches by its *address*."""

    def __init__(self) -> None:
        self._memory = aligned_zeros(_SEMAPHORE_BYTES, np.uint8)
        self.address = int(self._memory.ctypes.data)
        _require_support().sem_init(ctypes.c_void_p(self.address), 0, 0)

    def post(self) -> None:
        _require_support().sem_post(ctypes.c_void_p(self.address))


class NativeThread:
    """A thread of the operating system that runs a compiled ``int64 f(int64 argument)`` and no Python.

    *realtime_priority* asks for SCHED_FIFO at that priority; where it is refused the thread runs at the
    normal one and :attr:`realtime` stays false.
    """

    def __init__(self, function_address: int, argument: int, realtime_priority: int = 0) -> None:
        libc = _require_support()
        self._handle = ctypes.c_ulong()
        status = libc.pthread_create(
            ctypes.byref(self._handle), None, ctypes.c_void_p(function_address), ctypes.c_void_p(argument)
        )
        if status:
            raise FullbandError(f"cannot start a thread: {os.strerror(status)}; close other programs and try again")
        self.realtime = False
        if realtime_priority > 0:
            parameter = ctypes.c_int(realtime_priority)
            self.realtime = libc.pthread_setschedparam(self._handle, os.SCHED_FIFO, ctypes.byref(parameter)) == 0
        self._joined = False

    def join(self) -> None:
        """Wait until the function has returned. The caller has told it to, by its own flag."""
        if not self._joined:
            _require_support().pthread_join(self._handle, None)
            self._joined = True
