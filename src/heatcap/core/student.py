"""Errors of means over a few runs: steadied by those of others, and Student's factor."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, polygamma, stdtrit

__all__ = ["MANY", "prior_degrees", "steadied_variances", "student_factor"]

Floats = NDArray[np.float64]

MANY = 1e4  # degrees of freedom that are as good as infinite


def student_factor(runs: ArrayLike) -> Floats:
    """Student's t over the Gaussian quantile, at 95 %, for the mean of so many runs.

    An error s / sqrt(n) of n runs is itself uncertain: an interval made with it covers 95 in 100
    only if it is wider by t_{n-1}(0.975) / 1.96.  Infinite for one run.
    """
    free = np.asarray(runs, dtype=np.float64) - 1
    wide = stdtrit(np.maximum(free, 1e-300), 0.975) / ndtri(0.975)
    return np.where(free > 0, wide, np.inf)


def steadied_variances(variance: Floats, runs: Floats) -> tuple[Floats, Floats]:
    """Variances between runs, drawn to their mean, with the degrees of freedom of each.

    v_i -> (d_0 v + d_i v_i) / (d_0 + d_i),    d_i = n_i - 1

    d_0 is as large as the variances are alike: ln v_i scatters by trigamma(d_i / 2) where all are
    equal, and what it scatters beyond is trigamma(d_0 / 2) (G. K. Smyth, Stat. Appl. Genet. Mol.
    Biol. 3 (2004) 3; unchecked).

    Parameters
    ----------
    variance : ndarray (size,)
        Of single runs, relative to the square of their mean if their scatter is in proportion.
    runs : ndarray (size,)
        At least one with two or more.
    """
    own = runs - 1.0
    seen = (own > 0) & (variance > 0)
    mean = float(np.sum(own * variance) / np.sum(own))
    prior = 0.0
    if seen.sum() > 1:
        off = np.log(variance[seen]) - np.average(np.log(variance[seen]), weights=own[seen])
        left = 1 - 1 / seen.sum()
        excess = np.mean(off**2) / left - np.mean(polygamma(1, own[seen] / 2))
        prior = min(prior_degrees(float(excess)), float(own.sum()))
    degrees = prior + own
    if not prior:  # what one run scatters by nothing tells but the others
        degrees = np.where(own > 0, own, 1.0)
    steadied = np.where(own > 0, (prior * mean + own * variance) / np.maximum(prior + own, 1), mean)
    return steadied, degrees


def prior_degrees(spread: float) -> float:
    """d_0 with trigamma(d_0 / 2) = spread; the more alike the true variances, the more."""
    if spread <= 2 / MANY:
        return MANY
    if spread >= 1e3:
        return 0.0
    return float(2 * brentq(lambda x: float(polygamma(1, x)) - spread, 1e-2, MANY))
