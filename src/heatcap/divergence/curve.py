"""A curve along the control, checked: the points of a window with their covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats, numbers
from heatcap.divergence.heights import covariance_of

__all__ = ["LEAST_POINTS", "Curve", "read_curve"]

LEAST_POINTS = 12  # level, slope, change, asymmetry, position, width, exponent, and some to test


@dataclass(frozen=True, eq=False)
class Curve:
    """Values in rising order of the control.

    Attributes
    ----------
    control, values : ndarray (point,)
    covariance : ndarray (point, point)
    logarithmic : bool
        Whether forms are functions of ln control.
    known : bool
        Whether the size of the errors is known; else only their ratios are.
    notes : tuple of str
    """

    control: Floats
    values: Floats
    covariance: Floats
    logarithmic: bool = False
    known: bool = True
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> Floats:
        return np.sqrt(np.diag(self.covariance))

    @property
    def ends(self) -> tuple[float, float]:
        """First and last control, or their logarithms."""
        first, last = self.control[0], self.control[-1]
        return (np.log(first), np.log(last)) if self.logarithmic else (first, last)

    @cached_property
    def x(self) -> Floats:
        """The control, or its logarithm, in units of the window: 0 to 1."""
        low, high = self.ends
        each = np.log(self.control) if self.logarithmic else self.control
        return np.asarray((each - low) / (high - low))

    @cached_property
    def centre(self) -> float:
        """Mean of x with the weights of the values, so that a slope about it moves no level."""
        w = np.linalg.solve(self.covariance, np.ones(len(self.control)))
        return float(w @ self.x / w.sum())

    def at(self, x: Floats) -> Floats:
        """The control at `x`."""
        low, high = self.ends
        inside = low + (high - low) * x
        return np.asarray(np.exp(inside) if self.logarithmic else inside)

    def scaled(self, factor: float) -> Curve:
        """The same with errors multiplied by a factor."""
        return replace(self, covariance=self.covariance * factor**2)


def read_curve(
    control: ArrayLike,
    values: ArrayLike,
    errors: ArrayLike | None = None,
    *,
    covariance: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    logarithmic: bool = False,
) -> Curve:
    """Points within the window, sorted by control.

    Raises
    ------
    ValueError
        For what is no real number, of another length or given twice, for values in the window that
        are not finite or errors there that are not positive, and for fewer than 12 points in it.
    """
    x, y = numbers(control, "control"), numbers(values, "values")
    if x.ndim != 1 or y.shape != x.shape:
        raise ValueError(f"expected one value per point, got shapes {x.shape} and {y.shape}")
    if errors is not None and covariance is not None:
        raise ValueError("give only one of errors and covariance")
    # What has no control cannot be told to be outside.
    _refuse_infinite("control", x)
    order = _within(x, window)
    count = x.size
    x, y, inside = x[order], y[order], np.ix_(order, order)
    _refuse_infinite("values", y)
    if x.size < LEAST_POINTS:
        raise ValueError(f"expected at least {LEAST_POINTS} points in the window, got {x.size}")
    if np.any(twice := np.diff(x) == 0):
        raise ValueError(
            f"every control must occur once, got {x[1:][twice][0]:g} again: "
            "of several curves take one (--size and --at of the command)"
        )
    if logarithmic and x[0] <= 0:
        raise ValueError(f"the logarithm needs a positive control, got {x[0]:g}")
    if not y.max() > 0:
        raise ValueError(f"the largest value must be positive, got {y.max():g}")
    matrix = covariance_of(
        y,
        None if errors is None else _of_points("errors", errors, 1, count)[order],
        None if covariance is None else _of_points("covariance", covariance, 2, count)[inside],
    )
    known = errors is not None or covariance is not None
    return Curve(x, y, matrix, logarithmic, known)


def _within(x: Floats, window: tuple[float, float] | None) -> NDArray[np.int64]:
    """Points of the window in rising order."""
    low, high = -np.inf, np.inf
    if window is not None:
        try:
            low, high = map(float, window)
        except (TypeError, ValueError):
            said = f"the window must be two numbers, lowest and highest, got {window!r}"
            raise ValueError(said) from None
    if not low < high:
        raise ValueError(f"the window must rise, got {low:g} to {high:g}")
    inside = np.flatnonzero((x >= low) & (x <= high))
    return np.asarray(inside[np.argsort(x[inside], kind="stable")], dtype=np.int64)


def _refuse_infinite(name: str, each: Floats) -> None:
    if not np.all(np.isfinite(each)):
        raise ValueError(f"{name} must be finite, got {each[~np.isfinite(each)][0]}")


def _of_points(name: str, given: ArrayLike, axes: int, count: int) -> Floats:
    each = numbers(given, name)
    if each.shape != (count,) * axes:
        raise ValueError(f"expected {name} of shape {(count,) * axes}, got {each.shape}")
    return each
