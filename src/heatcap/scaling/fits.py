"""Least squares, and the average over fits with weights exp(-score / 2).

score = chi^2 + 2 k + 2 n_cut: k parameters, n_cut points left out (W. I. Jay and E. T. Neil, Phys.
Rev. D 103 (2021) 114502; what was checked: docs/references.md).  Each kind of fit documents which
parameters k counts.  `minimum` is the descent of all fits, `average` their combination: the
statistical error is the average one, the systematic error the spread between fits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, SkewParameter

__all__ = [
    "STEEPEST", "Scored", "Settling", "Tested", "average", "inverse_normal", "minimum", "mixture",
    "moments", "unsettled", "weights_of",
]  # fmt: skip

STEEPEST = 20.0  # exponent that may be given; powers of sizes overflow beyond
MOST = 200  # evaluations of a descent; in narrow valleys 60 were too few
OPEN = 0.01  # weight of the fits without an end, from which on it is noted
SETTLED = 1e-7  # relative change of chi^2: at a thousand points a hundredth of a standard error


class Scored(Protocol):
    """A fit with a score."""

    @property
    def score(self) -> float: ...


class Settling(Scored, Protocol):
    """A fit with a score, whose descent may have been cut off."""

    @property
    def settled(self) -> bool: ...


class Tested:
    """A fit with a chi^2, its degrees of freedom and p-value."""

    chi2: float
    dof: int
    p_value: float

    @property
    def goodness_of_fit(self) -> dict[str, Any]:
        """chi2, dof and p_value, for JSON."""
        return {"chi2": self.chi2, "dof": self.dof, "p_value": self.p_value}


def minimum(
    rows: Callable[[Floats], tuple[Floats, Floats]], start: Floats, low: Floats, high: Floats
) -> tuple[Floats, bool]:
    """Minimise a sum of squares from a start, within finite bounds; also whether it settled.

    `rows` gives the residuals and their derivatives (row, parameter): together they cost little
    more than residuals alone.  A start with infinite residuals is returned unchanged.

    Parameters are counted from their lower bounds, in units of the distance to the upper ones:
    scipy moves a start off its bounds by 1e-10 in whatever unit, and ends at a step that is small
    beside the norm of all parameters, so that a control of 10^4 with a range of 1 would end the
    descent of the exponents.
    """
    start, width = start.clip(low, high), high - low
    if not start.size or not np.isfinite(rows(start)[0]).all():
        return start, not start.size
    # A power of two, so that changing the unit rounds nothing.
    unit = np.exp2(np.rint(np.log2(np.where(width > 0, width, 1.0))))

    def unscaled(share: Floats) -> Floats:
        return np.asarray((low + share * unit).clip(low, high))

    @functools.lru_cache(maxsize=1)  # scipy asks for derivatives where residuals were just computed
    def last(share: bytes) -> tuple[Floats, Floats]:
        return rows(unscaled(np.frombuffer(share)))

    def residuals(share: Floats) -> Floats:
        return last(share.tobytes())[0]

    def slopes(share: Floats) -> Floats:
        return last(share.tobytes())[1] * unit

    box = np.zeros_like(start), width / unit
    at = ((start - low) / unit).clip(*box)
    from scipy.optimize import least_squares  # see core/student.py

    result = least_squares(residuals, at, slopes, box, x_scale="jac", ftol=SETTLED, max_nfev=MOST)
    return unscaled(result.x), result.status > 0


def inverse_normal(jacobian: Floats, least: float) -> Floats:
    """Covariance (J^T J)^-1 of the parameters; very large along undetermined directions.

    `least` bounds the eigenvalues of the normal matrix, scaled to 1 on its diagonal, from below.
    The variance of a parameter without any influence is infinite.
    """
    normal = jacobian.T @ jacobian
    diagonal = np.diag(normal)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(normal / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, least)) @ vectors.T / np.outer(scale, scale)
    np.fill_diagonal(inverse, np.where(diagonal > 0, np.diag(inverse), np.inf))
    return np.asarray(inverse)


def weights_of(fits: Sequence[Scored]) -> Floats:
    """Weights exp(-score / 2) of the fits, normalised to 1."""
    score = np.array([fit.score for fit in fits])
    weights = np.exp(-0.5 * (score - score.min()))
    return np.asarray(weights / weights.sum())


def unsettled(fits: Sequence[Settling]) -> str:
    """Note on fits that ended before a minimum; empty if they hardly count."""
    share = float(weights_of(fits) @ [not fit.settled for fit in fits])
    if share < OPEN:
        return ""
    return f"fits with {share:.0%} of the weight were at no minimum after {MOST} evaluations"


def moments(weights: Floats, values: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over fits (fit, ...), its statistical error, and the spread between fits."""
    # Relative to the first: equal values then have exactly no spread.
    off = values - values[0]
    mean = weights @ off
    counted = weights > 0  # a variance may be infinite
    statistical = np.sqrt(weights[counted] @ variances[counted])
    return values[0] + mean, statistical, np.sqrt(weights @ (off - mean) ** 2)


def average(fits: Sequence[Scored], pairs: Iterable[tuple[float, float]]) -> Parameter:
    """Average (value, variance) pairs of fits; `systematic` is the spread between fits."""
    values, variances = (np.array(column) for column in zip(*pairs, strict=True))
    return Parameter(*map(float, moments(weights_of(fits), values, variances)))


def mixture(
    fits: Sequence[Scored], pairs: Iterable[tuple[float, float]], *, logarithm: bool = False
) -> SkewParameter:
    """Median and intervals of a mixture of normal distributions, (mean, variance) of every fit.

    Fits of slow corrections have long tails, with which one standard deviation holds more than
    68 %: the error is half the interval of 68 %, in the proportions of :func:`average`.  With
    `logarithm` the pairs are those of the logarithm of a positive parameter.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    means, variances = (np.array(column) for column in zip(*pairs, strict=True))
    weights, spread = weights_of(fits), np.sqrt(variances)
    whole = average(fits, zip(means, variances, strict=True))
    if not whole.error:
        value = float(np.exp(whole.value) if logarithm else whole.value)
        return SkewParameter(value, 0.0, 0.0, (value, value))
    far = max(float(np.max(spread)) * 10, 1e-12 * float(np.max(np.abs(means))))
    ends = float(means.min()) - far, float(means.max()) + far

    def quantile(share: float) -> float:
        def excess(x: float) -> float:
            off = (x - means) / np.maximum(spread, 1e-300)
            return float(weights @ ndtr(off)) - share

        return float(brentq(excess, *ends, xtol=1e-6 * far, rtol=1e-14))

    sigma = float(ndtri(0.975))
    low, below, value, above, high = (
        quantile(float(ndtr(z))) for z in (-sigma, -1.0, 0.0, 1.0, sigma)
    )
    scale = (above - below) / 2 / whole.error
    errors = scale * whole.statistical, scale * whole.systematic
    if not logarithm:
        return SkewParameter(value, *errors, (low, high))
    low, value, high = (float(np.exp(min(end, 700.0))) for end in (low, value, high))
    return SkewParameter(value, value * errors[0], value * errors[1], (low, high))
