"""Records along training: which rows count, and what is refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from heatcap.core.arrays import Bools, Floats

__all__ = ["not_negative", "positive", "record", "usable"]


def usable(step: ArrayLike, values: ArrayLike) -> Bools:
    """Rows with a value at a step after step 0."""
    step, values = np.asarray(step, dtype=np.float64), np.asarray(values, dtype=np.float64)
    ok: Bools = np.isfinite(step) & (step > 0) & np.isfinite(values)
    return ok


def record(step: ArrayLike, values: ArrayLike, name: str) -> tuple[Floats, Floats]:
    """ln step and values of the usable rows."""
    if np.ndim(step) != 1 or np.shape(step) != np.shape(values):
        raise ValueError(
            f"step and {name} must be 1-D and of one length,"
            f" got {np.shape(step)} and {np.shape(values)}"
        )
    every = np.asarray(step, dtype=np.float64)
    known = every[np.isfinite(every)]
    if known.size and np.any(np.diff(known) <= 0):
        at = int(np.argmax(np.diff(known) <= 0))
        raise ValueError(f"step must increase, got {known[at]:g} followed by {known[at + 1]:g}")
    ok = usable(step, values)
    return np.log(every[ok]), np.asarray(values, dtype=np.float64)[ok]


def not_negative(**values: float) -> None:
    """Refuse options below 0, by name."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def positive(**values: float) -> None:
    """Refuse options that are not above 0, by name."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
