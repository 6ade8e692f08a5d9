"""Intervals from a standard error or from replicates; kernels on entries (..., ).

All are widened by Student's t: for small samples the error itself is uncertain.  Percentile and BCa
read the replicates at Phi(t_nu) where they would otherwise at Phi(z): the expanded percentiles of
Hesterberg (The American Statistician 69 (2015) 371; what was checked: docs/references.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from heatcap.core.arrays import Floats

__all__ = ["LEVELS", "bca_interval", "percentile_interval", "t_interval"]

Interval = Callable[[float], tuple[Floats, Floats]]

ROUNDING = 1e-12  # of the largest replicate: differences that are none

#: Nominal coverage: one standard deviation of a Gaussian, and 95 %.
LEVELS = {"ci68": 0.6827, "ci95": 0.95}


def t_interval(value: Floats, error: Floats, dof: Floats, level: float) -> tuple[Floats, Floats]:
    """value -+ t_dof error."""
    half = np.where(np.isfinite(error), error * _quantile(level, dof), np.nan)
    return value - half, value + half


def percentile_interval(replicates: Floats, dof: Floats, level: float) -> tuple[Floats, Floats]:
    """Quantiles of the replicates (replicate, ...)."""
    high = ndtr(_quantile(level, dof))
    ordered = np.sort(replicates, axis=0)
    return _read(ordered, 1 - high), _read(ordered, high)


def bca_interval(
    replicates: Floats, value: Floats, acceleration: Floats, dof: Floats, level: float
) -> tuple[Floats, Floats]:
    """Quantiles of the replicates, corrected for bias and skewness.

    alpha(z) = Phi(z0 + (z0 + z) / (1 - a (z0 + z))) with z0 the normal score of the share of
    replicates below the value; Efron, J. Am. Stat. Assoc. 82 (1987) 171 (what was checked:
    docs/references.md).
    """
    count = len(replicates)
    # A sum in another order is the same number: such a replicate is neither above nor below.
    same = np.abs(replicates - value) <= ROUNDING * np.abs(replicates).max(axis=0)
    below = ((replicates < value) & ~same).mean(axis=0) + same.mean(axis=0) / 2
    z0 = ndtri(np.clip(below, 1 / (count + 1), count / (count + 1)))
    z = _quantile(level, dof)
    ordered = np.sort(replicates, axis=0)
    low, high = (_read(ordered, _shifted(z0, s * z, acceleration)) for s in (-1, 1))
    return low, high


def _quantile(level: float, dof: Floats) -> Floats:
    return np.asarray(student.ppf(0.5 + level / 2, dof))


def _shifted(z0: Floats, z: Floats, a: Floats) -> Floats:
    s = z0 + z
    stretch = 1 - a * s
    # Beyond the pole of the transformation the replicates have nothing further out to offer.
    moved = np.where(stretch > 0, s / np.where(stretch > 0, stretch, 1.0), np.copysign(np.inf, s))
    return np.asarray(ndtr(z0 + moved))


def _read(ordered: Floats, share: Floats) -> Floats:
    """Quantile of sorted replicates (replicate, ...) at a share for each entry: place (R+1) p."""
    last = len(ordered) - 1
    place = np.clip(share * (last + 2) - 1, 0, last)
    # A share that is NaN belongs to an entry without an error; any place will do.
    below = np.nan_to_num(np.floor(place)).astype(np.intp)
    low = np.take_along_axis(ordered, below[np.newaxis], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(below + 1, last)[np.newaxis], axis=0)[0]
    return np.asarray(low + (place - below) * (high - low))
