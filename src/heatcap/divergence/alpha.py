"""Exponent of a peak along the control, if it is a power law that is cut off out of sight.

    A = s + c x + a [(t^2 + delta^2)^(-alpha/2) - ...] / alpha,    delta <= reach / decade

alpha > 0 is a power law, 0 a logarithm, alpha < 0 a cusp.  chi^2 is lowest over position, cut-off,
asymmetry and background; its profile gives the interval (3.84) and the upper limit (2.71).
"""

from __future__ import annotations

import numpy as np

from heatcap._vector import Floats
from heatcap.divergence._kernel import every, normal
from heatcap.divergence._peak_fit import PeakFits
from heatcap.divergence.exponent import Exponent, no_exponent, of_profile
from heatcap.divergence.margins import FLAT, POWER
from heatcap.divergence.peak_shapes import CUSP, STEEPEST, Family, cut_off, stacked
from heatcap.divergence.plausible import HOPELESS

__all__ = ["alpha"]

GRID = np.linspace(CUSP, STEEPEST, 41)
PLACES = 60  # positions and cut-offs that the profile is made over, for each family
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
    """Position and cut-off of the sharp shapes that fit best."""
    rows = fits.problem.rows
    kept = []
    for name in SHARP:
        index = np.array([i for i, (family, _) in enumerate(rows) if family.name == name])
        best = index[np.argsort(fits.chi2[index], kind="stable")]
        every_place = np.unique(
            [rows[i][1][:2] for i in best[: 4 * PLACES]], axis=0, return_index=True
        )
        first = np.sort(every_place[1])[:PLACES]
        kept += [rows[best[i]][1][:2] for i in first]
    return np.unique(kept, axis=0)


def _profile(fits: PeakFits, places: Floats, exponents: Floats) -> Floats:
    """Lowest chi^2 for every exponent."""
    own = fits.problem
    theta = np.column_stack(
        [np.repeat(places, len(exponents), axis=0), np.tile(exponents, len(places))]
    )
    family = Family("cut-off power", POWER, {}, cut_off, (0.0, np.inf))
    shapes = stacked(own.curve.x, [(family, theta)], own.margins.skew)
    y, parts = own.curve.values, normal(shapes, own.sloped)
    chi2 = every(shapes, parts, y, own.sloped, float(y.max()))[0]
    return np.asarray(chi2.reshape(len(places), len(exponents)).min(axis=0))
