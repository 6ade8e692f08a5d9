"""Compilation of kernels by numba: one decorator, one cache folder, and one lock on it.

Every kernel is compiled by :func:`jit`; the first compilation happens under :func:`compiling`.
A kernel contains the functions it calls, but numba's cache depends on the file of the kernel only.
Hence the name of the folder contains a hash of all files with kernels: if one of them changes, all
kernels are compiled anew.  Folders of other hashes stay, since other processes may use them.

A process that compiles gives the same bits as those that load.  Each compiled kernel holds copies
of the functions it calls, and of all copies in a process the first one runs: in a process that
compiles, that of the function itself.  LLVM vectorises each copy for itself, hence in its own order
where sums may be reordered; such functions therefore have no copies, but are inlined.
"""

from __future__ import annotations

import hashlib
import os
import pkgutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import config
from numba.misc.appdirs import AppDirs

__all__ = ["CONTRACT", "FOLDER", "REORDER", "SOURCES", "compile_by", "compiling", "jit"]

F = TypeVar("F", bound=Callable[..., Any])

# Neither "nnan" nor "ninf": absent keys are -inf and defects are found as NaN.
CONTRACT = {"contract"}  # a*b + c in one rounding, nothing reordered
REORDER = {"contract", "reassoc", "nsz"}  # sums may be split over vector lanes

SOURCES = (
    "attention/arithmetic.py",
    "attention/blocks.py",
    "attention/distances.py",
    "attention/kernels.py",
    "core/jit.py",
    "core/quantities.py",  # names and order of the columns
    "divergence/kernel.py",
    "systems/clusters.py",
    "systems/percolation.py",
    "systems/xy.py",
)
"""All files that kernels depend on; searching for them would take 20 ms."""


def _folder() -> str:
    """Folder for compiled kernels; empty if none can be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in SOURCES:
        digest.update(pkgutil.get_data("heatcap", name) or b"")
    of_user: str = cast(Any, AppDirs)("numba", False).user_cache_dir
    package = Path(__file__).parents[1]
    # The places of numba's cache, in its order.
    for place in filter(None, (config.CACHE_DIR, package / "__pycache__", of_user)):  # type: ignore[attr-defined]
        with suppress(OSError):
            folder = os.path.join(place, f"heatcap-{digest.hexdigest()[:16]}")
            os.makedirs(folder, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    return ""


FOLDER = _folder()


def _discard_damage(kernel: Any) -> None:
    """Let a kernel be compiled anew if its cache is damaged, as a power cut can leave it."""
    cache, load = kernel._cache, kernel._cache.load_overload

    def load_overload(*key: Any) -> Any:
        try:
            return load(*key)
        except Exception:  # damaged bytes may raise anything when they are unpickled
            cache.flush()
            return None

    cache.load_overload = load_overload


def jit(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """Compile a kernel by numba.njit, with a type for mypy.

    NumPy's error model: a division that may raise is a branch, and a branch is not vectorised.
    """
    compiled = numba.njit(
        cache=bool(FOLDER),
        nogil=True,
        error_model="numpy",
        fastmath=fastmath or False,
        forceinline=bool(fastmath and "reassoc" in fastmath),
    )

    def kernel(function: F) -> F:
        before, config.CACHE_DIR = config.CACHE_DIR, FOLDER  # type: ignore[attr-defined]
        try:
            made = compiled(function)
        finally:
            config.CACHE_DIR = before  # type: ignore[attr-defined]
        if made is not function:  # as it is where numba is off
            _discard_damage(made)
        return cast(F, made)

    return kernel


@contextmanager
def compiling() -> Iterator[None]:
    """Lock numba's cache while this process may write to it, if it can be locked.

    Processes that compile at the same time can give one number to two kernels, and a third process
    then loads the wrong one.  (Observed: rows with absent keys came out as NaN.)
    """
    with ExitStack() as held:
        # Not POSIX, or a file system without locks: go on.
        with suppress(ImportError, OSError):
            import fcntl

            if FOLDER:
                lock = held.enter_context(open(os.path.join(FOLDER, "lock"), "w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_ready: set[Callable[..., Any]] = set()


def compile_by(kernel: Callable[..., Any], *arguments: Any) -> None:
    """Compile a kernel by its first call, or load it from the cache, one process at a time."""
    if kernel not in _ready:
        with compiling():
            kernel(*arguments)
        _ready.add(kernel)
