"""Exponent of a peak along the control, if it is a power law that is cut off out of sight.

    A = s + c x + a [(|t|^m + delta^m)^(-alpha/m) - ...] / alpha,    delta <= reach / decade

alpha > 0 is a power law, 0 a logarithm, alpha < 0 a cusp.  chi^2 is lowest over position, cut-off,
its sharpness, asymmetry and background; its profile gives the interval (3.84) and the upper limit
(2.71).
"""

from __future__ import annotations

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.divergence.exponent import Exponent, no_exponent, of_profile
from heatcap.divergence.kernel import every, normal
from heatcap.divergence.margins import FLAT, POWER
from heatcap.divergence.peak_fit import PeakFits
from heatcap.divergence.peak_position import about
from heatcap.divergence.peak_shapes import CUSP, STEEPEST, Family, cut_off, stacked
from heatcap.divergence.testing import HOPELESS

__all__ = ["alpha"]

GRID = np.linspace(CUSP, STEEPEST, 41)
PLACES = 200  # positions and cut-offs that the profile is made over, for each family
SHARP = ("cut-off power", "cut-off logarithm", "cusp")


def alpha(fits: PeakFits) -> Exponent:
    """Exponent of the cut-off power laws; NaN if none comes near the best fit, or that is flat."""
    places = _places(fits)
    chi2 = _profile(fits, places, GRID)
    best = int(np.argmin(fits.chi2))
    if fits.problem.kind[best] == FLAT or chi2.min() > fits.chi2[best] + HOPELESS:
        return no_exponent(GRID, chi2)
    return of_profile(lambda exponents: _profile(fits, places, exponents), GRID, chi2)


def _places(fits: PeakFits) -> Floats:
    """Position, cut-off and its sharpness (that of squares for a cusp) of sharp shapes."""
    names = np.array([family.name for family, _ in fits.problem.rows])
    kept = []
    for name in SHARP:
        # As drawn, and not the best of them: those lie about one exponent.
        theta = about(fits, np.flatnonzero(names == name))[0][:PLACES]
        kept += [np.append(each, 1.0)[[0, 1, 3]] for each in theta]
    return np.array(kept)


def _profile(fits: PeakFits, places: Floats, exponents: Floats) -> Floats:
    """Lowest chi^2 for every exponent."""
    own = fits.problem
    x_c, delta, log2_m = np.repeat(places, len(exponents), axis=0).T
    theta = np.column_stack([x_c, delta, np.tile(exponents, len(places)), log2_m])
    family = Family("cut-off power", POWER, {}, cut_off, (0.0, np.inf))
    shapes = stacked(own.curve.x, [(family, theta)], own.margins.skew)
    y, parts = own.curve.values, normal(shapes, own.sloped)
    chi2 = every(shapes, parts, y, own.sloped, float(y.max()))[0]
    return np.asarray(chi2.reshape(len(places), len(exponents)).min(axis=0))
