"""Errors that are not given: from the scatter about neighbours, or steadied from few runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.student import prior_degrees, student_factor

__all__ = ["FEWEST", "local_scatter", "steadied"]

REACH = 3.0  # points of a size along the control: standard deviation of the kernel
FEWEST = 7  # points of a size, for their scatter
STRAY = 5.0  # standard deviations of its surroundings from which on a distance is cut off
MEDIAN = 0.4549  # of chi^2 with one degree of freedom
LEAST = 1e-6  # of the usual variance, at least
LOCAL = 6.0  # degrees of freedom of a local estimate: 10 neighbours, whose distances overlap
REGIONS = 60  # of the control of a size, in each of which noise is alike
HALVES = (2, 3, 1)  # neighbours on either side: cubic, quintic, line


def local_scatter(size: Floats, control: Floats, value: Floats) -> Floats:
    """Estimate one error per point from the distances to smooth curves through its neighbours.

    A distance from the polynomial through the neighbours, over the root of what the noise of all of
    them contributes, has the variance of the point.  Squares are averaged along the control with a
    kernel of REACH points: noise may grow where the system is critical.  Each size takes the order
    of polynomials with the smallest median distance, for what noise does not explain is curvature.
    At least the error of rounding, where the points lie on a polynomial.

    Raises
    ------
    ValueError
        If a size has fewer than 7 points.
    """
    out = np.full(size.size, np.nan)
    highest = float(np.max(np.abs(value), initial=0.0, where=~np.isnan(value)))
    rounding = np.finfo(np.float64).eps * (highest or 1.0)
    whole = np.isfinite(size) & np.isfinite(control) & np.isfinite(value)
    for one in np.unique(size[whole]):
        rows = np.flatnonzero(whole & (size == one))
        rows = rows[np.argsort(control[rows], kind="stable")]
        if rows.size < FEWEST:
            raise ValueError(
                f"no errors given, and size {one:g} has {rows.size} points: {FEWEST} are needed to"
                " estimate them from their scatter"
            )
        out[rows] = np.maximum(_scatter_of(control[rows], value[rows]), rounding)
    return out


def _scatter_of(x: Floats, y: Floats) -> Floats:
    """Standard deviation at every point of one size."""
    from scipy.ndimage import gaussian_filter1d  # here as in heatcap.core.student
    from scipy.special import polygamma

    tried = [_off_neighbours(x, y, half) for half in HALVES if x.size >= 2 * half + 3]
    at, off = min(tried, key=lambda pair: float(np.median(np.abs(pair[1]))))
    square = off**2
    reach = int(np.ceil(4 * REACH))
    nearest = np.searchsorted(at, np.arange(x.size)).clip(0, at.size - 1)
    place = nearest[:, None] + np.arange(-reach, reach + 1)
    inside = (place >= 0) & (place < at.size)
    place = place.clip(0, at.size - 1)
    weight = np.exp(-0.5 * ((at[place] - np.arange(x.size)[:, None]) / REACH) ** 2) * inside
    near = square[place]
    order = np.argsort(near, axis=1)
    total = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    half = (total >= total[:, -1:] / 2).argmax(axis=1)[:, None]
    middle = np.take_along_axis(np.take_along_axis(near, order, axis=1), half, axis=1) / MEDIAN
    variance = (weight * np.minimum(near, STRAY**2 * middle)).sum(axis=1) / weight.sum(axis=1)
    usual = float(np.median(square)) / MEDIAN
    degrees = LOCAL
    if x.size > REGIONS * REACH:  # many points resolve the noise more finely than it varies
        variance = gaussian_filter1d(variance, x.size / REGIONS, mode="nearest")
        degrees *= x.size / (REGIONS * REACH)
    # Where the noise is the same everywhere, local estimates scatter by chance alone.
    off = np.log(np.maximum(variance, LEAST * usual) / usual) if usual else np.zeros(x.size)
    prior = prior_degrees(float(np.var(off)) - float(polygamma(1, degrees / 2)))
    share = 1.0 if np.isinf(prior) else prior / (prior + degrees)
    return np.asarray(np.sqrt(np.maximum(share * usual + (1 - share) * variance, LEAST * usual)))


def _off_neighbours(x: Floats, y: Floats, half: int) -> tuple[NDArray[np.intp], Floats]:
    """Distance of inner values from the polynomial through their neighbours, in units of error."""
    at = np.arange(half, x.size - half)
    steps = np.array([*range(-half, 0), *range(1, half + 1)])
    near = x[at[:, None] + steps]
    weights = np.ones_like(near)
    for j in range(steps.size):
        for k in range(steps.size):
            if k != j:
                weights[:, j] *= (x[at] - near[:, k]) / (near[:, j] - near[:, k])
    off = y[at] - (weights * y[at[:, None] + steps]).sum(axis=1)
    return at, off / np.sqrt(1 + (weights**2).sum(axis=1))


# ---- errors that come from few runs ------------------------------------------------------
#
# With n runs a point, the variance s^2 of a mean is uncertain by sqrt(2 / (n - 1)), and a fit with
# weights 1 / s^2 is dominated by points whose runs agree by chance.  Variances of neighbours along
# the control are similar: each is shrunk towards the mean of its neighbours, by an amount that the
# scatter of all variances about such means determines (an inverse-gamma prior with d_0 degrees of
# freedom: G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004) 3).


def steadied(size: Floats, control: Floats, error: Floats, runs: Floats) -> tuple[Floats, float]:
    """Shrink errors towards those of their neighbours, and give Student's factor.

    Parameters
    ----------
    size, control, error, runs : ndarray (point)
        Errors are standard deviations of means over `runs` runs, two or more.

    Returns
    -------
    error : ndarray (point)
    wider : float
        Student's factor at the fewest degrees of freedom.
    """
    from scipy.special import polygamma

    degrees = runs - 1
    mean, excess, pooled = error**2, [], np.empty(error.size)
    for one in np.unique(size):
        rows = np.flatnonzero(size == one)
        rows = rows[np.argsort(control[rows])]
        apart = np.arange(rows.size)[:, None] - np.arange(rows.size)
        kernel = np.exp(-0.5 * (apart / REACH) ** 2)
        kernel /= kernel.sum(axis=1, keepdims=True)
        weighted = kernel * degrees[rows]
        mean[rows] = weighted @ error[rows] ** 2 / weighted.sum(axis=1)
        pooled[rows] = degrees[rows].mean() / (kernel**2).sum(axis=1)
        off = np.log(error[rows] ** 2)
        off -= kernel @ off
        left = 1 - 2 * np.diag(kernel) + (kernel**2).sum(axis=1)
        excess += (off[left > 0.1] ** 2 / left[left > 0.1]).tolist()
    # The logarithm of a variance with d degrees of freedom scatters by trigamma(d / 2).
    expected = float(np.mean(polygamma(1, degrees / 2)))
    spread = float(np.mean(excess)) - expected if excess else np.inf
    prior = np.minimum(prior_degrees(spread), pooled)
    variance = (prior * mean + degrees * error**2) / (prior + degrees)
    free = np.where(prior < pooled, prior + degrees, pooled)
    return np.sqrt(variance), float(np.max(student_factor(free + 1)))
