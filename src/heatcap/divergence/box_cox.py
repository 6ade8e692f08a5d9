"""One family for all three growths, h = c + a (L^kappa - 1) / kappa with a > 0: its exponent.

kappa > 0 is a power law, 0 a logarithm, kappa < 0 saturates.  The profile of chi^2 gives the
interval (3.84) and the one-sided upper limit (2.71).
"""

from __future__ import annotations

import numpy as np

from heatcap._vector import Floats
from heatcap.divergence.exponent import Exponent, no_exponent, of_profile
from heatcap.divergence.heights import Heights

__all__ = ["box_cox"]

GRID = np.linspace(-4.0, 4.0, 401)


def box_cox(data: Heights) -> Exponent:
    """Exponent of the one-family fit to the heights."""
    weight = np.asarray(np.linalg.inv(data.covariance), dtype=np.float64)
    chi2, slope = _profile(data, weight, GRID)
    if slope[np.argmin(chi2)] <= 0:
        return no_exponent(GRID, chi2)
    return of_profile(lambda kappa: _profile(data, weight, kappa)[0], GRID, chi2)


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
