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
from scipy.optimize import least_squares

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter

__all__ = ["Scored", "Tested", "average", "inverse_normal", "minimum", "moments", "weights_of"]

MOST = 60  # evaluations of a descent
SETTLED = 1e-7  # relative change of chi^2: at a thousand points a hundredth of a standard error


class Scored(Protocol):
    """A fit with a score."""

    @property
    def score(self) -> float: ...


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
) -> Floats:
    """Minimise a sum of squares from a start, within bounds.

    `rows` gives the residuals and their derivatives (row, parameter): together they cost little
    more than residuals alone.  A start with infinite residuals is returned unchanged.

    The descent counts every parameter in units of the distance of its bounds: scipy compares the
    length of a step with 1, and moves a start off its bounds by 1e-10, in whatever unit.
    """
    width = high - low
    bounded = np.isfinite(width) & (width > 0)
    # A power of two, so that changing the unit rounds nothing.
    unit = np.exp2(np.rint(np.log2(np.where(bounded, width, 1.0))))

    @functools.lru_cache(maxsize=1)  # scipy asks for derivatives where residuals were just computed
    def last(at: bytes) -> tuple[Floats, Floats]:
        return rows(np.frombuffer(at))

    start = start.clip(low, high)
    if not start.size or not np.isfinite(last(start.tobytes())[0]).all():
        return start

    def residuals(at: Floats) -> Floats:
        return last((at * unit).tobytes())[0]

    def slopes(at: Floats) -> Floats:
        return last((at * unit).tobytes())[1] * unit

    bounds = (low / unit, high / unit)
    result = least_squares(
        residuals, start / unit, slopes, bounds, x_scale="jac", ftol=SETTLED, max_nfev=MOST
    )
    return np.asarray(result.x * unit)


def inverse_normal(jacobian: Floats, least: float) -> Floats:
    """Covariance (J^T J)^-1 of the parameters; very large or infinite where undetermined.

    `least` bounds the eigenvalues of the normal matrix, scaled to 1 on its diagonal, from below.
    """
    normal = jacobian.T @ jacobian
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    values, vectors = np.linalg.eigh(normal / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, least)) @ vectors.T
    with np.errstate(over="ignore"):  # of a parameter without influence
        return np.asarray(inverse / np.outer(scale, scale))


def weights_of(fits: Sequence[Scored]) -> Floats:
    """Weights exp(-score / 2) of the fits, normalised to 1."""
    score = np.array([fit.score for fit in fits])
    weights = np.exp(-0.5 * (score - score.min()))
    return np.asarray(weights / weights.sum())


def moments(weights: Floats, values: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over fits (fit, ...), its statistical error, and the spread between fits."""
    # Relative to the first: equal values then have exactly no spread.
    off = values - values[0]
    mean = weights @ off
    return values[0] + mean, np.sqrt(weights @ variances), np.sqrt(weights @ (off - mean) ** 2)


def average(fits: Sequence[Scored], pairs: Iterable[tuple[float, float]]) -> Parameter:
    """Average (value, variance) pairs of fits; `systematic` is the spread between fits."""
    values, variances = (np.array(column) for column in zip(*pairs, strict=True))
    return Parameter(*map(float, moments(weights_of(fits), values, variances)))
