"""Compiled functions: one way to compile, and one lock on what is kept of it.

Every kernel is compiled by :func:`jit`; the first compilation happens under :func:`compiling`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar, cast

import numba

__all__ = ["CONTRACT", "REORDER", "compiling", "jit"]

F = TypeVar("F", bound=Callable[..., Any])

# Neither "nnan" nor "ninf": absent keys are -inf and defects are found as NaN.
CONTRACT = {"contract"}  # a*b + c in one rounding, nothing reordered
REORDER = {"contract", "reassoc", "nsz"}  # sums may be split over vector lanes


def jit(fastmath: set[str] | None = None) -> Callable[[F], F]:
    """numba.njit as every kernel uses it, with a type that mypy can follow.

    NumPy's error model: a division that may raise is a branch, and a branch is not vectorised.
    """
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fastmath or False)
    return cast(Callable[[F], F], compiled)


@jit()
def _probe() -> int:
    """Never called: it knows where numba keeps what it compiled."""
    return 0


@contextmanager
def compiling() -> Iterator[None]:
    """Held while this process may write to numba's cache; nothing where that cannot be locked.

    Processes that compile at once can give one number to two kernels, and a third process then
    loads the wrong one.  (Seen: rows with absent keys came out as NaN.)
    """
    with ExitStack() as held:
        # Not POSIX, a folder that nobody writes to, a file system without locks, or
        # NUMBA_DISABLE_JIT, by which kernels are plain functions: go on.
        with suppress(ImportError, OSError, AttributeError):
            import fcntl

            folder = cast(Any, _probe).stats.cache_path
            os.makedirs(folder, exist_ok=True)
            lock = held.enter_context(open(os.path.join(folder, "heatcap.lock"), "w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
