"""A smooth curve through the points of each size, and draws of it from its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from heatcap.scaling.points import Points

__all__ = ["Curve", "curves"]

Floats = NDArray[np.float64]

INTERVALS = (1, 2, 3, 4, 6, 8, 11, 15, 20)
FEWEST = 5  # points of a size


@dataclass(frozen=True, eq=False)
class Curve:
    """Cubic spline of one size; `draws` (draw, coefficient) have the scatter of its errors."""

    size: float
    knots: Floats
    coefficients: Floats
    draws: Floats
    chi2: float
    dof: int

    @property
    def range(self) -> tuple[float, float]:
        """Where there are data."""
        return float(self.knots[0]), float(self.knots[-1])

    def __call__(self, x: Floats) -> Floats:
        """The curve on a grid."""
        return np.asarray(BSpline(self.knots, self.coefficients, 3)(x))

    def drawn(self, x: Floats) -> Floats:
        """All draws on a grid: (draw, x)."""
        basis = BSpline.design_matrix(x, self.knots, 3).toarray()
        return np.asarray(self.draws @ basis.T)


def curves(points: Points, *, draws: int, rng: np.random.Generator) -> list[Curve]:
    """Weighted least squares for every size, the number of intervals by Akaike's criterion.

    Replicates, where there are any, are fitted one by one with the same weights and bootstrapped,
    jointly for all sizes: what sizes share stays shared.

    Raises
    ------
    ValueError
        If a size has fewer than 5 points.
    """
    picked = None
    if points.replicates is not None:
        n = points.replicates.shape[0]
        picked = rng.integers(n, size=(draws, n - 1))
    return [_curve(points, float(s), draws, picked, rng) for s in np.unique(points.size)]


def _curve(
    points: Points,
    size: float,
    draws: int,
    picked: NDArray[np.int64] | None,
    rng: np.random.Generator,
) -> Curve:
    rows = np.flatnonzero(points.size == size)
    part = points.take(rows)
    if len(part) < FEWEST:
        raise ValueError(f"size {size:g} has {len(part)} points, at least {FEWEST} are needed")
    fits = [_fit(part, k) for k in INTERVALS if k + 3 < max(len(part) - 1, 5)]
    knots, solve, chi2 = min(fits, key=lambda fit: fit[2] + 2 * (fit[0].size - 4))
    coefficients = solve @ part.value
    if picked is not None and part.replicates is not None:
        values = part.replicates[picked].mean(axis=1)
    elif part.covariance is not None:
        values = rng.multivariate_normal(part.value, part.covariance, size=draws)
    else:
        values = part.value + part.error * rng.standard_normal((draws, len(part)))
    width = knots.size - 4
    return Curve(size, knots, coefficients, values @ solve.T, chi2, len(part) - width)


def _fit(part: Points, intervals: int) -> tuple[Floats, Floats, float]:
    """Knots, the matrix values -> coefficients, and chi^2."""
    x = part.control
    inner = np.quantile(x, np.linspace(0, 1, intervals + 1))
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    basis = BSpline.design_matrix(x, knots, 3).toarray()
    solve = np.linalg.pinv(basis / part.error[:, None], rcond=1e-10) / part.error
    off = (part.value - basis @ (solve @ part.value)) / part.error
    return knots, np.asarray(solve), float(off @ off)
