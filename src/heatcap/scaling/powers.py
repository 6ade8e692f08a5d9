"""Fits of a few numbers against the size by powers of L, averaged over forms.

    y(L) = sum_k c_k g_k(L; w)

The coefficients c_k enter linearly and are solved for; the one exponent w is scanned, finer where
chi^2 is small, and its profile exp(-chi^2 / 2) taken as its distribution.  Forms and smallest sizes
are averaged with weights exp(-(chi^2 + 2 k + 2 n_cut) / 2) as in
:mod:`heatcap.scaling.collapsing`.  As there, a correction is always part of a form and has a prior,
which counts as one more point: its share of the leading term at the smallest size is 0 +- 0.3.
Errors of y are taken as known, hence no larger penalty where sizes are few (as in Akaike's
criterion for an unknown variance).  Sizes enter as u = L / L_max, so that coefficients are in the
unit of y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter
from heatcap.core.student import chi2_tail
from heatcap.scaling.fits import Scored, moments, weights_of
from heatcap.scaling.fits import average as averaged

__all__ = [
    "EXPONENT", "Fit", "Form", "average", "averaged_curve", "fit_forms", "heaviest", "predicted",
]  # fmt: skip

Columns = Callable[[Floats, float], Floats]
AnyFit = TypeVar("AnyFit", bound=Scored)

EXPONENT = -1  # in the place of a coefficient: the exponent itself
STEPS = 61
ZOOMS = 12
NEAR = 20.0  # of chi^2 above the least: the range of the next, finer scan
LARGEST = 0.3  # correction over the leading term at the smallest size: its standard deviation
DETERMINED = 4.0  # of chi^2 at the bounds above the least: two standard deviations


@dataclass(frozen=True)
class Form:
    """Columns g_k(u; w), u = L / L_max, and the bounds of w; equal bounds fix it.

    The prior is uniform in the exponent, or in its logarithm if `slow`: a slow approach to a
    constant is the danger of an extrapolation, and must have weight.
    """

    name: str
    columns: Columns
    bounds: tuple[float, float]
    slow: bool = False
    correction: tuple[int, int] | None = None  # columns of the leading term and of its correction
    leading: Columns | None = None  # unit of the correction, if not the column of the leading term

    @property
    def free(self) -> bool:
        """Whether there is an exponent to be fitted."""
        return self.bounds[0] < self.bounds[1]


@dataclass(frozen=True, eq=False)
class Fit:
    """One form from one smallest size on; `mean`, `variance` of the coefficients and of w.

    `scan`: the exponents that were tried, their shares, and the coefficients of each with their
    covariance (exponent, coefficient, coefficient).
    """

    form: Form
    smallest: float
    chi2: float
    dof: int
    score: float
    mean: Floats
    variance: Floats
    determined: bool
    best: Floats
    scan: tuple[Floats, Floats, Floats, Floats]

    @property
    def p_value(self) -> float:
        """p-value of chi^2; 1 without degrees of freedom."""
        return chi2_tail(self.chi2, self.dof) if self.dof > 0 else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "form": self.form.name,
            "smallest_size": self.smallest,
            "chi2": self.chi2,
            "p_value": self.p_value,
            "dof": self.dof,
            "coefficients": self.best[:-1].tolist(),
            "exponent": float(self.best[-1]),
        }


def fit_forms(
    size: Floats,
    y: Floats,
    covariance: Floats,
    forms: Sequence[Form],
    *,
    spare: int = 0,
    whole: bool = False,
) -> list[Fit]:
    """Fit every form from every smallest size on.

    Parameters
    ----------
    size, y : ndarray (size)
        Sizes in ascending order.
    covariance : ndarray (size, size)
    forms : sequence of Form
    spare : int
        Least number of degrees of freedom.
    whole : bool
        Fit all sizes only, leaving none out.

    Returns
    -------
    list of Fit
        Empty if there are too few sizes for any form.
    """
    fits = []
    for form in forms:
        middle = sum(form.bounds) / 2
        terms = _terms(form, form.columns(np.array([0.5, 1.0]), middle).shape[1])
        for first in range(max(size.size - terms - spare + 1, 0)):
            fits.append(_fit(form, size[first:], y[first:], covariance[first:, first:], first))
            if whole or size.size - first <= terms + 1:
                break  # a fit without degrees of freedom is used only if there is no other
    return fits


def _terms(form: Form, columns: int) -> int:
    """Number of parameters without a prior; a correction has one."""
    return columns - (form.correction is not None) + form.free


def _with_prior(
    form: Form, u: Floats, w: Floats, designs: Floats, whitened: Floats, target: Floats
) -> tuple[Floats, Floats]:
    """Add the prior of the correction as a row, in units of the leading term without it."""
    if form.correction is None:
        return whitened @ designs, target
    lead, other = form.correction
    without = np.delete(designs, other, axis=2)
    amplitude = (np.linalg.pinv(whitened @ without, rcond=1e-12) @ target)[:, lead]
    unit = designs[:, 0, lead]
    if form.leading is not None:
        unit = np.array([form.leading(u[:1], exponent)[0] for exponent in w])
    leading, term = amplitude * unit, designs[:, 0, other]
    error = 1 / whitened[0, 0]  # a leading term below it cannot serve as a unit
    row = np.zeros((designs.shape[0], 1, designs.shape[2]))
    row[:, 0, other] = np.abs(term) / (LARGEST * np.maximum(np.abs(leading), error))
    return np.concatenate([whitened @ designs, row], axis=1), np.append(target, 0.0)


def _fit(form: Form, size: Floats, y: Floats, covariance: Floats, cut: int) -> Fit:
    whitened = np.linalg.inv(np.linalg.cholesky(covariance))
    u, data = size / size[-1], whitened @ y
    low, high = form.bounds
    ends = np.inf
    for zoom in range(ZOOMS if form.free else 1):
        w = np.linspace(low, high, STEPS if form.free else 1)
        columns = np.array([form.columns(u, exponent) for exponent in w])
        designs, target = _with_prior(form, u, w, columns, whitened, data)
        inverse = np.linalg.pinv(designs, rcond=1e-12)
        coefficients = inverse @ target
        chi2 = np.sum((np.einsum("gst,gt->gs", designs, coefficients) - target) ** 2, axis=1)
        if zoom == 0:
            ends = min(chi2[0], chi2[-1])
        near = np.flatnonzero(chi2 <= chi2.min() + NEAR)
        start, stop = max(near[0] - 1, 0), min(near[-1] + 1, w.size - 1)
        if stop - start > 0.6 * STEPS:
            break
        low, high = w[start], w[stop]
    share = np.exp(-0.5 * (chi2 - chi2.min())) * (1 / w if form.slow else 1.0)
    share /= share.sum()
    every = np.column_stack([coefficients, w])
    within = np.column_stack([np.sum(inverse**2, axis=2), np.zeros(w.size)])
    # Mean and variance, not median and quantiles: slow powers make a tail, and without its weight
    # the nominal 68 % interval of the constant of a slow drift covers it 40 % of the time.
    mean = share @ every
    variance = share @ (within + (every - mean) ** 2)
    k = _terms(form, coefficients.shape[1])
    least = float(chi2.min())
    score = least + 2 * k + 2 * cut
    determined = not form.free or bool(ends - least > DETERMINED)
    best = every[chi2.argmin()]
    scan = w, share, coefficients, inverse @ inverse.transpose(0, 2, 1)
    dof = size.size - k
    return Fit(form, float(size[0]), least, dof, score, mean, variance, determined, best, scan)


def average(fits: Sequence[Fit], place: int) -> Parameter:
    """Average a coefficient or the exponent; `systematic` is the spread between fits.

    If the fit of the largest weight determines its exponent, only such fits count: one that does
    not, of few sizes, would add the width of the bounds to the error.
    """
    fits = _counted(fits)
    return averaged(fits, [(fit.mean[place], fit.variance[place]) for fit in fits])


def averaged_curve(fits: Sequence[Fit], size: Floats, largest: float) -> tuple[Floats, Floats]:
    """Average y(L) and its error as :func:`average` does; y(inf) is the constant.

    `largest` is the L_max of the fits.
    """
    fits = _counted(fits)
    curves = [_curve(fit, size / largest) for fit in fits]
    values, variances = (np.array(column) for column in zip(*curves, strict=True))
    mean, statistical, spread = moments(weights_of(fits), values, variances)
    return mean, np.hypot(statistical, spread)


def _counted(fits: Sequence[Fit]) -> Sequence[Fit]:
    if not heaviest(fits).determined:
        return fits
    return [fit for fit in fits if fit.determined]


def _curve(fit: Fit, u: Floats) -> tuple[Floats, Floats]:
    """y and its variance at every u, over the distribution of the exponent."""
    exponents, share, coefficients, covariance = fit.scan
    columns = np.array([fit.form.columns(u, w) for w in exponents])
    y = np.einsum("guk,gk->gu", columns, coefficients)
    within = np.einsum("guk,gkl,gul->gu", columns, covariance, columns)
    mean = share @ y
    return mean, share @ (within + (y - mean) ** 2)


def heaviest(fits: Sequence[AnyFit]) -> AnyFit:
    """Select the fit of the largest weight."""
    return min(fits, key=lambda fit: fit.score)


def predicted(fit: Fit, size: Floats, largest: float) -> Floats:
    """Predict y(L) with the best exponent; `largest` is the L_max of the fit."""
    return np.asarray(fit.form.columns(size / largest, float(fit.best[-1])) @ fit.best[:-1])
