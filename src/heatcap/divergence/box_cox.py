"""One family for all three growths, h = c + a (L^kappa - 1) / kappa with a > 0: its exponent.

kappa > 0 is a power law, 0 a logarithm, kappa < 0 saturates.  The profile of chi^2 gives the
interval (3.84) and the one-sided upper limit (2.71).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatcap._json import plain
from heatcap._vector import Floats
from heatcap.divergence.heights import Heights

__all__ = ["Exponent", "box_cox"]

GRID = np.linspace(-4.0, 4.0, 401)
TWO_SIDED, ONE_SIDED = 3.841459, 2.705543  # chi^2 of one degree of freedom at 95 and 90 %


@dataclass(frozen=True, eq=False)
class Exponent:
    """kappa and its 95 % interval: NaN if heights do not grow, infinite if nothing limits it.

    Attributes
    ----------
    value : float
    ci95 : tuple of float
    upper_limit95 : float
        One-sided.
    kappa, chi2 : ndarray
        The profile, where it is within twice 3.84 of its minimum.
    """

    value: float
    ci95: tuple[float, float]
    upper_limit95: float
    kappa: Floats = field(repr=False)
    chi2: Floats = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain({"value": self.value, "ci95": list(self.ci95)}))


def box_cox(data: Heights) -> Exponent:
    """Exponent of the one-family fit to the heights."""
    weight = np.asarray(np.linalg.inv(data.covariance), dtype=np.float64)
    chi2, slope = _profile(data, weight, GRID)
    if slope[np.argmin(chi2)] <= 0:
        nan = float("nan")
        return Exponent(nan, (-np.inf, np.inf), np.inf, GRID, chi2)
    # Precise heights have an interval narrower than a step: look again where it lies.
    near = np.flatnonzero(chi2 <= chi2.min() + 2 * TWO_SIDED)
    low, high = GRID[max(near[0] - 1, 0)], GRID[min(near[-1] + 1, len(GRID) - 1)]
    kappa = np.linspace(low, high, len(GRID))
    chi2, _ = _profile(data, weight, kappa)
    i = int(np.argmin(chi2))
    ci95 = _ends(kappa, chi2, i, TWO_SIDED)
    return Exponent(_vertex(kappa, chi2, i), ci95, _ends(kappa, chi2, i, ONE_SIDED)[1], kappa, chi2)


def _profile(data: Heights, weight: Floats, kappa: Floats) -> tuple[Floats, Floats]:
    """Lowest chi^2 over c and a >= 0 for every exponent, and the sign of the free a."""
    log = np.log(data.sizes / data.sizes.min())
    g = np.array([np.expm1(k * log) / k if abs(k) > 1e-9 else log for k in kappa])
    g /= np.ptp(g, axis=1)[:, np.newaxis]
    w1 = weight.sum(axis=1)
    rest = data.heights - data.heights @ w1 / w1.sum()
    g = g - (g @ w1 / w1.sum())[:, np.newaxis]
    product, norm = g @ weight @ rest, np.einsum("ij,jk,ik->i", g, weight, g)
    chi2 = float(rest @ weight @ rest) - np.maximum(product, 0.0) ** 2 / norm
    return np.asarray(chi2, dtype=np.float64), np.asarray(product, dtype=np.float64)


def _vertex(kappa: Floats, chi2: Floats, i: int) -> float:
    """Minimum of the parabola through the lowest point and its neighbours."""
    if not 0 < i < len(chi2) - 1:
        return float(kappa[i])
    left, mid, right = chi2[i - 1 : i + 2]
    curvature = left - 2 * mid + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    return float(kappa[i] + shift * (kappa[1] - kappa[0]))


def _ends(kappa: Floats, chi2: Floats, i: int, rise: float) -> tuple[float, float]:
    """Outermost exponents within `rise` of the minimum; infinite at an end of the grid."""
    target = chi2[i] + rise
    inside = np.flatnonzero(chi2 <= target)
    first, last = inside[0], inside[-1]
    low = -np.inf if first == 0 else _cut(kappa, chi2, first - 1, first, target)
    high = np.inf if last == len(chi2) - 1 else _cut(kappa, chi2, last + 1, last, target)
    return low, high


def _cut(kappa: Floats, chi2: Floats, outside: int, inside: int, target: float) -> float:
    share = (chi2[outside] - target) / (chi2[outside] - chi2[inside])
    return float(kappa[outside] + share * (kappa[inside] - kappa[outside]))
