"""Errors that come from a few runs each: what neighbours say of them, and Student's factor.

With n runs a point, the variance s^2 of a mean is uncertain by sqrt(2 / (n - 1)), and a fit with
weights 1 / s^2 hangs on the points whose runs agree by chance.  Variances of neighbours along the
control are alike, so that each is drawn to the mean of its neighbours by as much as the scatter of
all of them about such means says (an inverse-gamma prior with d_0 degrees of freedom: G. K. Smyth,
Stat. Appl. Genet. Mol. Biol. 3 (2004) 3).
"""

from __future__ import annotations

import numpy as np
from scipy.special import polygamma

from heatcap.core.arrays import Floats
from heatcap.core.student import prior_degrees, student_factor

__all__ = ["steadied"]


REACH = 3.0  # points of a size along the control: standard deviation of the kernel


def steadied(size: Floats, control: Floats, error: Floats, runs: Floats) -> tuple[Floats, float]:
    """Errors with what their neighbours say, and the factor by which Student's t is wider.

    Parameters
    ----------
    size, control, error, runs : ndarray (point)
        Errors are standard deviations of means over so many `runs`, two or more.
    """
    own = runs - 1
    mean, excess, pooled = error**2, [], np.empty(error.size)
    for one in np.unique(size):
        rows = np.flatnonzero(size == one)
        rows = rows[np.argsort(control[rows])]
        kernel = _kernel(rows.size)
        weighted = kernel * own[rows]
        mean[rows] = weighted @ error[rows] ** 2 / weighted.sum(axis=1)
        pooled[rows] = own[rows].mean() / (kernel**2).sum(axis=1)
        off = np.log(error[rows] ** 2)
        off -= kernel @ off
        left = 1 - 2 * np.diag(kernel) + (kernel**2).sum(axis=1)
        excess += (off[left > 0.1] ** 2 / left[left > 0.1]).tolist()
    # The logarithm of a variance with d degrees of freedom scatters by trigamma(d / 2).
    spread = float(np.mean(excess)) - float(np.mean(polygamma(1, own / 2))) if excess else np.inf
    prior = np.minimum(prior_degrees(spread), pooled)
    variance = (prior * mean + own * error**2) / (prior + own)
    free = np.where(prior < pooled, prior + own, pooled)
    return np.sqrt(variance), float(np.max(student_factor(free + 1)))


def _kernel(count: int) -> Floats:
    apart = np.arange(count)[:, None] - np.arange(count)
    weight = np.exp(-0.5 * (apart / REACH) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
