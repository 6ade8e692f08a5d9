"""An exponent with its interval: of growth with the size, or read off a profile of chi^2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import plain
from heatcap.divergence.heights import Heights
from heatcap.scaling.powers import EXPONENT, Form, average, fit_forms, heaviest

__all__ = ["TWO_SIDED", "Exponent", "growth_exponent", "no_exponent", "of_profile"]

TWO_SIDED, ONE_SIDED = 3.841459, 2.705543  # chi^2 of one degree of freedom at 95 and 90 %
UPPER = 1.644854  # errors above a value below which it lies 95 times in 100
GROWTH = (-4.0, 7.0)  # bounds of kappa
OMEGAS = (1.0, 2.0)


@dataclass(frozen=True, eq=False)
class Exponent:
    """Exponent and its 95 % interval: NaN if there is none, infinite if nothing limits it.

    Attributes
    ----------
    value : float
    ci95 : tuple of float
    upper_limit95 : float
        One-sided.
    grid, chi2 : ndarray
        The profile: exponents about the minimum, all of them where there is no exponent, with the
        lowest chi^2 of each.
    """

    value: float
    ci95: tuple[float, float]
    upper_limit95: float
    grid: Floats = field(repr=False)
    chi2: Floats = field(repr=False)

    def said(self) -> str:
        """Value, interval and upper limit in words."""
        low, high, upper = map(_limit, (*self.ci95, self.upper_limit95))
        return f"{self.value:.2f}, 95 % interval {low} to {high}, one-sided upper limit {upper}"

    def only_if(self, sound: bool) -> Exponent:
        """The same, or none where the data do not determine it."""
        return self if sound else no_exponent(self.grid, self.chi2)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain({"value": self.value, "ci95": list(self.ci95)}))


def _limit(x: float) -> str:
    return f"{x:.2f}" if np.isfinite(x) else "no limit"


def no_exponent(grid: Floats, chi2: Floats) -> Exponent:
    """Where no power law comes near the data, or none is determined."""
    return Exponent(float("nan"), (-np.inf, np.inf), np.inf, grid, chi2)


def growth_exponent(data: Heights) -> Exponent:
    """kappa of c + a [(L^kappa - 1) / kappa + b L^(kappa - omega)], a > 0, omega = 1 and 2.

    Averaged over the corrections to scaling (:mod:`heatcap.scaling.powers`).  Given that heights
    grow so: a crossover inside or beyond the sizes is not in it.
    """
    forms = [_growing(omega) for omega in OMEGAS]
    fits = fit_forms(data.sizes, data.heights, data.covariance, forms, whole=True)
    best = heaviest(fits)
    grid, share, coefficients, _ = best.scan
    chi2 = best.chi2 - 2 * np.log(np.maximum(share / share.max(), 1e-300))
    i = int(np.argmax(share))
    if coefficients[i, 1] <= 0:
        return no_exponent(grid, chi2)
    if not best.determined:
        return Exponent(float(grid[i]), (-np.inf, np.inf), np.inf, grid, chi2)
    found = average(fits, EXPONENT)
    upper = found.value + UPPER * found.error
    return Exponent(found.value, found.ci95, upper, grid, chi2)


def _growing(omega: float) -> Form:
    def columns(u: Floats, kappa: float) -> Floats:
        grown = np.log(u) if abs(kappa) < 1e-9 else np.expm1(kappa * np.log(u)) / kappa
        return np.column_stack([np.ones_like(u), grown, u ** (kappa - omega)])

    def leading(u: Floats, kappa: float) -> Floats:
        # The growth that is seen, or the power alone: a correction to L^2 starts from a small one.
        seen = np.abs(columns(u, kappa)[:, 1])
        return np.minimum(seen, u**kappa / max(abs(kappa), 1e-9))

    name = f"c + a (L^kappa - 1)/kappa, L^-{omega:g}"
    return Form(name, columns, GROWTH, correction=(1, 2), leading=leading)


def of_profile(profile: Callable[[Floats], Floats], grid: Floats, chi2: Floats) -> Exponent:
    """The exponent at the minimum of chi^2, with its interval (3.84) and upper limit (2.71).

    Parameters
    ----------
    profile : callable
        chi^2 of exponents (exponent,).
    grid, chi2 : ndarray (exponent,)
        Equally spaced exponents, and the profile there.
    """
    # Precise data have an interval narrower than a step: look again where it lies.
    near = np.flatnonzero(chi2 <= chi2.min() + 2 * TWO_SIDED)
    low, high = grid[max(near[0] - 1, 0)], grid[min(near[-1] + 1, len(grid) - 1)]
    finer = np.linspace(low, high, len(grid))
    chi2 = profile(finer)
    i = int(np.argmin(chi2))
    upper = _ends(finer, chi2, i, ONE_SIDED)[1]
    return Exponent(_vertex(finer, chi2, i), _ends(finer, chi2, i, TWO_SIDED), upper, finer, chi2)


def _vertex(grid: Floats, chi2: Floats, i: int) -> float:
    """Minimum of the parabola through the lowest point and its neighbours."""
    if not 0 < i < len(chi2) - 1:
        return float(grid[i])
    left, mid, right = chi2[i - 1 : i + 2]
    curvature = left - 2 * mid + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return float(grid[i] + shift * (grid[1] - grid[0]))


def _ends(grid: Floats, chi2: Floats, i: int, rise: float) -> tuple[float, float]:
    """Outermost exponents within `rise` of the minimum; infinite at an end of the grid."""
    target = chi2[i] + rise
    inside = np.flatnonzero(chi2 <= target)
    first, last = inside[0], inside[-1]
    low = -np.inf if first == 0 else _cut(grid, chi2, first - 1, first, target)
    high = np.inf if last == len(chi2) - 1 else _cut(grid, chi2, last + 1, last, target)
    return low, high


def _cut(grid: Floats, chi2: Floats, outside: int, inside: int, target: float) -> float:
    share = (chi2[outside] - target) / (chi2[outside] - chi2[inside])
    return float(grid[outside] + share * (grid[inside] - grid[outside]))
