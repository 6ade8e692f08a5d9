"""Arrays of numbers: their types, and numbers as they are given, in arrays of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bools", "Floats", "Ints", "Logits", "numbers"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Logits = NDArray[np.float32] | NDArray[np.float64]

REFUSED = {"b": "truth values", "c": "complex numbers", "m": "times", "M": "times"}


def numbers(given: ArrayLike, name: str) -> NDArray[np.float64]:
    """Values as floats, NaN where they are masked.

    Raises
    ------
    ValueError
        For truth values, complex numbers, times, and what is no number.
    """
    try:
        if isinstance(given, list | tuple):  # it may hold masked arrays, or `masked` itself
            listed = [np.nan if each is np.ma.masked else each for each in given]
            read: NDArray[Any] = np.ma.asarray(listed)
        else:
            read = np.asanyarray(given)
        kind = read.dtype.kind
        values = read.astype(np.float64) if kind not in REFUSED else None
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name} must be real numbers: {problem}") from None
    if values is None:
        raise ValueError(f"{name} must be real numbers, got {REFUSED[kind]}")
    return np.asarray(np.ma.filled(values, np.nan))
