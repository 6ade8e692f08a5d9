"""One curve along the control: the points of a window with their covariance.

The control is the tuning parameter: a temperature, a coupling, the training step.  Forms are
functions of it or of its logarithm, in units of the window (`Curve.x` runs from 0 to 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats, numbers
from heatcap.divergence.heights import covariance_of

__all__ = ["LEAST_POINTS", "Curve", "read_curve"]

LEAST_POINTS = 12  # level, slope, change, asymmetry, position, width, exponent; the rest for chi^2


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
        Warnings about the errors.
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
        """Smallest and largest control, or their logarithms."""
        first, last = self.control[0], self.control[-1]
        return (np.log(first), np.log(last)) if self.logarithmic else (first, last)

    @cached_property
    def x(self) -> Floats:
        """Control, or its logarithm, in units of the window: 0 to 1."""
        low, high = self.ends
        coordinate = np.log(self.control) if self.logarithmic else self.control
        return np.asarray((coordinate - low) / (high - low))

    @cached_property
    def centre(self) -> float:
        """Weighted mean of x, about which a slope does not change the level."""
        w = np.linalg.solve(self.covariance, np.ones(len(self.control)))
        return float(w @ self.x / w.sum())

    def at(self, x: Floats) -> Floats:
        """Convert `x` to the control."""
        low, high = self.ends
        inside = low + (high - low) * x
        return np.asarray(np.exp(inside) if self.logarithmic else inside)

    def scaled(self, factor: float) -> Curve:
        """Multiply the errors by a factor."""
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
    """Read the points within the window, sorted by control.

    Raises
    ------
    ValueError
        If an argument is not real, has another length or is given twice, if a value in the window
        is not finite or an error there not positive, or if fewer than 12 points are in it.
    """
    x, y = numbers(control, "control"), numbers(values, "values")
    if x.ndim != 1 or y.shape != x.shape:
        raise ValueError(f"expected one value per point, got shapes {x.shape} and {y.shape}")
    if errors is not None and covariance is not None:
        raise ValueError("give only one of errors and covariance")
    # A point without a finite control is neither inside nor outside the window.
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
    has_errors = errors is not None or covariance is not None
    return Curve(x, y, matrix, logarithmic, has_errors)


def _within(x: Floats, window: tuple[float, float] | None) -> NDArray[np.int64]:
    """Indices of the points in the window, in rising order."""
    low, high = -np.inf, np.inf
    if window is not None:
        try:
            low, high = map(float, window)
        except (TypeError, ValueError):
            message = f"the window must be two numbers, lowest and highest, got {window!r}"
            raise ValueError(message) from None
    if not low < high:
        raise ValueError(f"the window must rise, got {low:g} to {high:g}")
    inside = np.flatnonzero((x >= low) & (x <= high))
    return np.asarray(inside[np.argsort(x[inside], kind="stable")], dtype=np.int64)


def _refuse_infinite(name: str, values: Floats) -> None:
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be finite, got {values[~np.isfinite(values)][0]}")


def _of_points(name: str, errors: ArrayLike, axes: int, count: int) -> Floats:
    array = numbers(errors, name)
    if array.shape != (count,) * axes:
        raise ValueError(f"expected {name} of shape {(count,) * axes}, got {array.shape}")
    return array
