"""The data plane: everything in this package is compiled and runs without the interpreter.

What may stand in a function here: arithmetic, loops, reads and writes of preallocated memory, atomics, the
calls in :mod:`.memory` and :mod:`.system`, and ONNX Runtime's ``Run``. What may not: array creation,
exceptions, printing, locks, Python objects. ``tests/realtime/test_data_plane.py`` reads the generated code
and fails on any of them.

Functions are compiled once per machine and kept on disk. numba notices a change in a function's own file
but not in the functions it calls, so the folder is named by a digest of the whole package.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numba
from numba.np import linalg


def _load_without_scipy() -> None:
    """Let numba load its part that looks for SciPy's BLAS, which takes a quarter of a second, and find none.

    Nothing here multiplies matrices; what does so elsewhere asks for it by itself.
    """
    asked = linalg.ensure_blas
    linalg.ensure_blas = _refuse
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = asked


def _refuse() -> None:
    raise ImportError


_load_without_scipy()


def _digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


#: Where compiled code is kept from run to run.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fullband" / f"native-{_digest()}"

#: False on the first run on this machine, and after an update: the code is then compiled, for some ten seconds.
IS_CACHED = CACHE.is_dir() or "NUMBA_CACHE_DIR" in os.environ


def _folder() -> str:
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=CACHE).close()
    except OSError:
        # numba must have a folder. This one is new, as code in a folder that others could fill would be run.
        folder = tempfile.mkdtemp(prefix="fullband-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder
    return str(CACHE)


numba.config.CACHE_DIR = os.environ.get("NUMBA_CACHE_DIR") or _folder()

#: How every function of the data plane is compiled. The numpy error model makes division by zero give inf
#: instead of raising, which would need the GIL.
COMPILE: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "cache": True}

#: For inner products: sums may be reordered, so that they are vectorised. Not where NaN must be seen.
COMPILE_SUMS: dict[str, Any] = {**COMPILE, "fastmath": {"contract", "reassoc", "nsz"}}

#: The same for functions that Python calls: they let go of the GIL.
COMPILE_NOGIL: dict[str, Any] = {**COMPILE, "nogil": True}
