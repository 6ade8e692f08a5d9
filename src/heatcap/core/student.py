"""Errors of means over few runs: shrinkage of variances, and Student's factor.

The variance of n runs is itself uncertain, by sqrt(2 / (n - 1)).  `steadied_variances` shrinks
those of all sizes towards their median, `student_factor` widens errors for the uncertainty that
remains, `errors_of_means` does both.  `chi2_tail` is the p-value of a fit.

Functions import scipy where they use it: readers of tables import this module, and a column that is
missing is refused before the half second that scipy takes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heatcap.core.arrays import Floats

__all__ = [
    "ENOUGH",
    "MANY",
    "chi2_tail",
    "counts_of_runs",
    "degrees_behind",
    "errors_of_means",
    "prior_degrees",
    "steadied_variances",
    "student_factor",
]


ENOUGH = 8  # runs from which on the spread at one size is an error by itself
MANY = 1e4  # degrees of freedom that count as infinite


def chi2_tail(chi2: float, dof: float) -> float:
    """Chance of a larger chi^2; NaN without degrees of freedom.

    The same number as scipy.stats.chi2.sf, whose package takes a third of a second to import.
    """
    from scipy.special import chdtrc

    return float(chdtrc(dof, max(chi2, 0.0))) if dof > 0 else float("nan")


def student_factor(runs: ArrayLike) -> Floats:
    """Compute Student's t over the Gaussian quantile, at 95 %, for means over runs.

    An error s / sqrt(n) of n runs is itself uncertain: its interval covers the mean of Gaussian
    runs 95 times in 100 only if it is wider by t_{n-1}(0.975) / 1.96.  Infinite for one run.
    """
    from scipy.special import ndtri, stdtrit

    free = np.asarray(runs, dtype=np.float64) - 1
    wide = stdtrit(np.maximum(free, 1e-300), 0.975) / ndtri(0.975)
    return np.where(free > 0, wide, np.inf)


def degrees_behind(factor: float) -> float:
    """Solve student_factor(d + 1) = factor for the degrees of freedom d, from 1 to MANY."""
    from scipy.optimize import brentq

    def excess(free: float) -> float:
        return float(student_factor(free + 1)) - factor

    if excess(MANY) >= 0:
        return MANY
    return 1.0 if excess(1.0) <= 0 else float(brentq(excess, 1.0, MANY))


def counts_of_runs(
    runs: Floats, count: int, called: Callable[[int], str], used: NDArray[np.intp] | None = None
) -> Floats:
    """Check the number of runs behind each error; one number is repeated for all.

    Parameters
    ----------
    runs : ndarray () or (count,)
    count : int
    called : callable
        Name of an entry in error messages, such as "row 3".
    used : ndarray of int, optional
        Entries that are checked, all by default.

    Raises
    ------
    ValueError
        For another length, and for numbers that are not finite or below 2.
    """
    if runs.shape not in ((), (count,)):
        raise ValueError(f"runs must be one number, or one for each of {count}, got {runs.shape}")
    counts = np.broadcast_to(runs, count)
    rows = np.arange(count) if used is None else np.sort(used)
    wrong = rows[~(np.isfinite(counts) & (counts >= 2))[rows]]
    if wrong.size:
        first = int(wrong[0])
        where = f" in {called(first)}" if runs.ndim else ""
        raise ValueError(
            "runs must be 2 or more and finite for their errors to be known, got "
            f"{counts[first]:g}{where}"
        )
    return counts


def errors_of_means(mean: Floats, variance: Floats, runs: Floats) -> tuple[Floats, Floats]:
    """Compute errors of means over few runs of each size, and Student's factors in them.

    The variances (ddof = 1) of all sizes are shrunk towards their median, relative to the squared
    mean if all means are positive; the interval of 1.96 errors is that of Student's t.
    """
    unit = mean if np.all(mean > 0) else np.ones_like(mean)
    steady, degrees = steadied_variances(variance / unit**2, runs)
    wider = student_factor(degrees + 1)
    return np.sqrt(steady / runs) * unit * wider, wider


def steadied_variances(variance: Floats, runs: Floats) -> tuple[Floats, Floats]:
    """Shrink variances between runs towards their median; also give degrees of freedom.

    v_i -> (d_0 v_0 + d_i v_i) / (d_0 + d_i),    d_i = n_i - 1

    d_0 is the larger the more similar the variances: ln v_i has the variance trigamma(d_i / 2) if
    all are equal, and the excess over it is trigamma(d_0 / 2) (G. K. Smyth, Stat. Appl. Genet. Mol.
    Biol. 3 (2004) 3).  v_0 is their median, so that one outlying run changes no other size.

    Parameters
    ----------
    variance : ndarray (size,)
        Of single runs, relative to the square of their mean if their scatter is in proportion.
    runs : ndarray (size,)
        At least one with two or more.
    """
    degrees = runs - 1.0
    seen = (degrees > 0) & (variance > 0)
    if not seen.any():
        return np.zeros_like(variance), degrees
    from scipy.special import digamma, polygamma

    half = degrees[seen] / 2
    log = np.log(variance[seen]) - digamma(half) + np.log(half)  # without the bias of few runs
    usual, prior = float(np.exp(np.median(log))), 0.0
    if seen.sum() > 1:
        excess = np.var(log, ddof=1) - np.mean(polygamma(1, half))
        prior = min(prior_degrees(float(excess)), float(degrees.sum()))
    # A size of one run has the median variance, whatever the scatter of the others.
    steadied = np.where(
        degrees > 0,
        (prior * usual + degrees * variance) / (prior + degrees + (degrees == 0)),
        usual,
    )
    return steadied, np.where(degrees > 0, prior + degrees, max(prior, 1.0))


def prior_degrees(spread: float) -> float:
    """Solve trigamma(d_0 / 2) = spread for d_0, between 0 and MANY."""
    if spread <= 2 / MANY:
        return MANY
    if spread >= 1e3:
        return 0.0
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return float(2 * brentq(lambda x: float(polygamma(1, x)) - spread, 1e-2, MANY))
