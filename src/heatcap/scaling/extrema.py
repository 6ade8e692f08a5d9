"""Peaks against size: position and height of the maximum of every size, with their covariance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap._json import plain
from heatcap.scaling._curves import Curve, curves
from heatcap.scaling.points import Points

__all__ = ["Extrema", "extrema"]

Floats = NDArray[np.float64]

GRID = 2001


@dataclass(frozen=True, eq=False)
class Extrema:
    """The maximum of every size.

    Attributes
    ----------
    size, x, x_error, height, height_error : ndarray (size)
        NaN for sizes whose curve is highest at an end of its data.  Heights have the upward bias of
        a noisy maximum taken off (`bias`).
    height_covariance : ndarray (size, size)
        Diagonal unless sizes share replicates.
    message : str
    """

    size: Floats
    x: Floats
    x_error: Floats
    height: Floats
    height_error: Floats
    bias: Floats
    height_covariance: Floats
    message: str = ""
    draws: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("size", "x", "x_error", "height", "height_error", "bias", "height_covariance")
        return dict(plain({name: getattr(self, name) for name in (*names, "message")}))


def extrema(points: Points, *, draws: int = 500, rng: int | np.random.Generator) -> Extrema:
    """Position and height of the maximum of A(x) at every size.

    A spline is fitted to every size, and its maximum found on draws of the curve: their spread is
    the error, their mean over the fit's own maximum the bias of a noisy maximum.

    Parameters
    ----------
    points : Points
    draws : int
    rng : int or Generator

    Returns
    -------
    Extrema

    Raises
    ------
    ValueError
        If a size has fewer than 5 points.
    """
    lines = curves(points, draws=draws, rng=np.random.default_rng(rng))
    found = [_maximum(line) for line in lines]
    x, height, x_error, bias = (np.array([f[k] for f in found]) for k in range(4))
    drawn = np.array([f[4] for f in found])
    inside = np.isfinite(x)
    covariance = np.atleast_2d(np.cov(drawn))
    if points.replicates is None:  # independent sizes: what is off the diagonal is chance
        covariance = np.diag(np.diag(covariance))
    error = np.where(inside, np.sqrt(np.diag(covariance)), np.nan)
    at_end = [f"{line.size:g}" for line, ok in zip(lines, inside, strict=True) if not ok]
    message = f"highest at an end of the data: sizes {', '.join(at_end)}" if at_end else ""
    sizes = np.array([line.size for line in lines])
    return Extrema(sizes, x, x_error, height, error, bias, covariance, message, drawn)


def _maximum(line: Curve) -> tuple[float, float, float, float, Floats]:
    x = np.linspace(*line.range, GRID)
    y, drawn = line(x), line.drawn(x)
    at, top = int(y.argmax()), drawn.max(axis=1)
    if at in (0, GRID - 1):
        nan = float("nan")
        return nan, nan, nan, nan, top
    bias = float(top.mean() - y[at])
    return float(x[at]), float(y[at] - bias), float(x[drawn.argmax(axis=1)].std()), bias, top
