"""Blocks of attention rows: checks of the logits, and the layout of a block in memory.

Rows sit in the lanes of the vector unit and keys follow one another, which suits 3 keys as well as
300: a block of rows is transposed into the L1 cache first.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Logits
from heatcap.core.jit import jit

__all__ = [
    "KEYS",
    "ROWS",
    "as_logits",
    "check_beta",
    "check_rows",
    "extremes",
    "gather",
    "tile_for",
]

ROWS = 64  # rows of a block: eight 512-bit vectors of doubles
KEYS = 128  # keys of a block: the transposed block is 32 KiB of float32
_1, _2, _3 = np.uintp(1), np.uintp(2), np.uintp(3)  # numba wraps signed indices


@jit()
def _square(a: Logits, b: Logits, c: Logits, d: Logits, key: int, tile: Logits, at: int) -> None:
    """tile[at + j * ROWS + i] = key + j of row i, for i, j < 4."""
    j0, j1, j2, j3 = np.uintp(key), np.uintp(key + 1), np.uintp(key + 2), np.uintp(key + 3)
    # All values are read before one is written, since the arrays might share memory: LLVM then
    # emits vectors and shuffles.  Plain loops become scatters, which take three times as long.
    a0, a1, a2, a3 = a[j0], a[j1], a[j2], a[j3]
    b0, b1, b2, b3 = b[j0], b[j1], b[j2], b[j3]
    c0, c1, c2, c3 = c[j0], c[j1], c[j2], c[j3]
    d0, d1, d2, d3 = d[j0], d[j1], d[j2], d[j3]
    _lanes(a0, b0, c0, d0, tile, at)
    _lanes(a1, b1, c1, d1, tile, at + ROWS)
    _lanes(a2, b2, c2, d2, tile, at + 2 * ROWS)
    _lanes(a3, b3, c3, d3, tile, at + 3 * ROWS)


@jit()
def _lanes(a: float, b: float, c: float, d: float, tile: Logits, at: int) -> None:
    """Write one key of four rows."""
    i = np.uintp(at)
    tile[i], tile[i + _1], tile[i + _2], tile[i + _3] = a, b, c, d


@jit()
def gather(
    table: Logits,
    order: NDArray[np.int64],
    first: int,
    count: int,
    key: int,
    keys: int,
    tile: Logits,
) -> None:
    """Transpose rows order[first : first + count], keys key : key + keys, into tile[j * ROWS + r].

    Four by four; the last row and the last keys are copied again to fill the square.
    """
    last = first + count - 1
    for r in range(0, count, 4):
        i = first + r
        a, b = table[order[i]], table[order[min(i + 1, last)]]
        c, d = table[order[min(i + 2, last)]], table[order[min(i + 3, last)]]
        if keys < 4:
            for j in range(keys):
                k = np.uintp(key + j)
                _lanes(a[k], b[k], c[k], d[k], tile, j * ROWS + r)
        else:
            for j in range(0, keys, 4):
                j = min(j, keys - 4)
                _square(a, b, c, d, key + j, tile, j * ROWS + r)


@jit()
def extremes(tile: Logits, keys: int, count: int, top: Logits, bottom: Logits) -> None:
    """Update the largest and smallest logit of each row; a NaN is neither, it shows in the sums."""
    for j in range(keys):
        base = np.uintp(j * ROWS)
        for i in range(count):
            s = tile[base + np.uintp(i)]
            top[i] = s if s > top[i] else top[i]
            bottom[i] = s if s < bottom[i] else bottom[i]


def check_beta(beta: ArrayLike) -> None:
    """Raise unless every `beta` is positive and finite."""
    values = np.asarray(beta, dtype=np.float64)
    if not np.all((values > 0) & np.isfinite(values)):
        raise ValueError(f"beta must be positive and finite, got a minimum of {np.min(values)}")


def check_rows(bad: int, total: int) -> None:
    """Raise ValueError if `bad` of `total` rows have no finite ln Z."""
    if bad:
        raise ValueError(
            f"{bad} of {total} rows are NaN, +inf or fully masked: ln Z is not finite; "
            "an absent key is -inf and every row needs a visible one"
        )


def as_logits(logits: ArrayLike, ndim: int) -> Logits:
    """Convert to C-contiguous, writeable float32 or float64 (float16 becomes float32).

    Raises
    ------
    ValueError
        If `logits` do not have `ndim` dimensions, or no key.
    """
    values = np.asarray(logits)
    if values.ndim != ndim or values.shape[-1] == 0:
        raise ValueError(f"logits must have {ndim} dimensions, the last not empty: {values.shape}")
    dtype = np.float32 if values.dtype in (np.float16, np.float32) else np.float64
    # Read-only arrays are another type to numba: it would compile all kernels once more.
    return cast(Logits, np.require(values, dtype, ("C_CONTIGUOUS", "WRITEABLE")))


def tile_for(logits: Logits) -> Logits:
    """Allocate a transposed block (key, row) of the type of `logits`."""
    return np.empty(KEYS * ROWS, logits.dtype)
