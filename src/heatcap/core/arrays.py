"""Types of arrays, checks of what is given, and conversion of real numbers to float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bools", "Floats", "Ints", "Logits", "numbers", "require"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Logits = NDArray[np.float32] | NDArray[np.float64]

REFUSED = {"b": "truth values", "c": "complex numbers", "m": "times", "M": "times"}


def numbers(given: ArrayLike, name: str) -> NDArray[np.float64]:
    """Convert to float64, with NaN for masked values.

    Raises
    ------
    ValueError
        For truth values, complex numbers, times, and anything that is not a number.
    """
    try:
        if isinstance(given, list | tuple):  # it may hold masked arrays, or `masked` itself
            listed = [np.nan if entry is np.ma.masked else entry for entry in given]
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


def require(given: object, name: str, *kinds: type) -> None:
    """Raise TypeError unless an argument is of one of these kinds."""
    if not isinstance(given, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be a {wanted}, got {type(given).__name__}")
