"""Fits of y = A x^p (1 + b x^-omega + c x^(-2 omega)) [+ y_inf] over a grid of p and omega.

A, A b, A c and y_inf enter linearly and are solved for.  b and c have a prior: at the smallest x
each correction is a share 0 +- 0.3 of the leading term beside it, as in
:mod:`heatcap.scaling.powers`.  omega is scanned evenly in its logarithm.  The weight of (omega, p)
is the likelihood integrated over b and c,

    exp(-chi^2 / 2) (volume of the posterior of b, c) / (volume of their prior)

The lowest chi^2 alone would prefer corrections that the data see to slow ones that they do not see,
and intervals would be two to three times too narrow.  x enters as u = x / x_max.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.student import chi2_tail
from heatcap.scaling.powers import DETERMINED, LARGEST, NEAR, ZOOMS

__all__ = [
    "AMPLITUDE",
    "EXPONENT",
    "LIMIT",
    "LN_AMPLITUDE",
    "LOGARITHM",
    "OMEGAS",
    "SHARES",
    "PowerFit",
    "fit_powers",
]

OMEGAS = tuple(float(w) for w in np.geomspace(0.2, 4.0, 13))
LOGARITHM = 0.0  # the omega of a correction that is slower than any power
RESOLVED = 5  # values of omega within the range that is seen
UNITS = 4  # fits in which the unit of a correction becomes the leading term beside it
SHARES = (LARGEST, LARGEST)  # standard deviations of the corrections, at the smallest x
STEPS = 41  # exponents of a scan
TINY = 1e-14  # of a diagonal of ones: what rounding leaves of columns that are alike
EXPONENT, AMPLITUDE, LN_AMPLITUDE, LIMIT = range(4)  # places in `mean` and `variance`


@dataclass(frozen=True, eq=False)
class PowerFit:
    """All points at one omega; `mean` and `variance` of (p, A, ln |A|, y_inf), A in units of u.

    `covariance` is that of p and ln |A|.
    `open_below`, `open_above`: nothing excludes the lowest, or the highest, exponent of the scan.
    `best`: p, omega, A, b, c, y_inf of the lowest chi^2; without corrections omega is infinite, and
    0 means a logarithm, which `at` and `curve` do not draw.
    `scan`: exponents with their shares, coefficients and the covariance of these, as in `_Scan`.
    """

    smallest: float
    omega: float
    chi2: float
    dof: int
    score: float
    mean: Floats
    variance: Floats
    covariance: float
    open_below: bool
    open_above: bool
    best: tuple[float, ...]
    scan: tuple[Floats, Floats, Floats, Floats]

    @property
    def p_value(self) -> float:
        """p-value of chi^2; 1 without degrees of freedom."""
        return chi2_tail(self.chi2, self.dof) if self.dof > 0 else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "smallest": self.smallest, "omega": self.omega, "chi2": self.chi2, "dof": self.dof,
            "p_value": self.p_value, "exponent": self.mean[EXPONENT],
            "exponent_error": self.variance[EXPONENT] ** 0.5,
        }  # fmt: skip

    def at(self, u: Floats) -> Floats:
        """y of the lowest chi^2."""
        p, omega, amplitude, b, c, limit = self.best
        decline = u**-omega if np.isfinite(omega) else 0.0
        return np.asarray(limit + amplitude * u**p * (1 + b * decline + c * decline**2))

    def curve(self, u: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of y at every u, over the distribution of p and the coefficients."""
        p, share, coefficients, covariance = self.scan
        lead = u ** p[:, np.newaxis]
        decline = u**-self.omega
        whole = [lead, lead * decline, lead * decline**2, np.ones_like(lead)]
        terms = whole if np.isfinite(self.omega) else whole[:1] + whole[3:]
        columns = np.stack(terms[: coefficients.shape[1]], axis=-1)
        y = np.einsum("pxk,pk->px", columns, coefficients)
        within = np.einsum("pxk,pkl,pxl->px", columns, covariance, columns)
        mean = share @ y
        return mean, share @ (within + (y - mean) ** 2)


def fit_powers(
    x: Floats,
    y: Floats,
    covariance: Floats,
    bounds: tuple[float, float],
    *,
    omegas: Sequence[float] = OMEGAS,
    limit: bool = False,
    slow: bool = False,
) -> list[PowerFit]:
    """Fit all points, once for every omega.

    Parameters
    ----------
    x, y : ndarray (point)
        x positive and ascending; corrections fall with x.
    covariance : ndarray (point, point)
    bounds : tuple of float
        Of p; equal ones fix it.
    omegas : sequence of float
        Of the correction; none for a pure power, 0 for 1 / (1 + ln(x / x_min)) instead of a power.
    limit : bool
        Fit y_inf, too.
    slow : bool
        The prior is uniform in ln |p| instead of p.

    Returns
    -------
    list of PowerFit
        Empty if no degree of freedom is left.
    """
    terms = 1 + limit + (bounds[0] < bounds[1])
    if x.size <= terms:
        return []
    window = _Points(x / x[-1], y, covariance, limit, slow)
    return _fits(window, bounds, np.array(omegas), float(x[0]))


def _fits(
    window: _Points, bounds: tuple[float, float], omegas: Floats, smallest: float
) -> list[PowerFit]:
    scan = window.scan(bounds, omegas)
    for _ in range(ZOOMS):
        seen = np.flatnonzero(scan.evidence > scan.evidence.max() - NEAR / 2)
        if omegas.size < RESOLVED or seen.size >= RESOLVED:
            break
        # Precise data see omega itself, and not only that there is a correction.
        low, high = omegas[max(seen[0] - 1, 0)], omegas[min(seen[-1] + 1, omegas.size - 1)]
        omegas = np.geomspace(low, high, omegas.size)
        scan = window.scan(bounds, omegas)
    terms = 1 + window.limit + (bounds[0] < bounds[1])
    score = -2 * float(scan.weight.max()) + 2 * terms
    relative = scan.evidence - scan.evidence.max()
    mean, variance, together = scan.moments()
    at = mean[EXPONENT][:, np.newaxis]
    chi2, _, found, _ = window._solve(at, omegas)  # between the points of the scan
    fits = []
    for k, omega in enumerate(omegas if omegas.size else [np.inf]):
        a, *rest = found[k, 0]
        b, c = (part / (a or 1.0) for part in rest[:2]) if omegas.size else (0.0, 0.0)
        last = rest[-1] if window.limit else 0.0
        i = int(np.argmin(scan.chi2[k]))
        best, least = (float(at[k, 0]), float(omega), float(a), b, c, last), float(chi2[k, 0])
        if scan.chi2[k, i] < least:  # a weight of two peaks
            a, least = float(scan.lead[k, i]), float(scan.chi2[k, i])
            b, c = scan.terms[k, i] / (a or 1.0)
            best = (float(scan.p[k, i]), float(omega), a, b, c, scan.last[k, i])
        fits.append(
            PowerFit(
                smallest, float(omega), least, window.u.size - terms,
                score - 2 * float(relative[k]), mean[:, k], variance[:, k],
                float(together[k]), *scan.open_ends, tuple(map(float, best)),
                (scan.p[k], scan.share[k], scan.coefficients[k], scan.covariance[k]),
            )
        )  # fmt: skip
    return fits


@dataclass(frozen=True, eq=False)
class _Scan:
    """Exponents p (omega, p) with chi^2, log weight, coefficients and their covariance.

    Coefficients (omega, p, column) are those of the power, of its two corrections if `corrected`,
    and the constant if there is a `limit`.
    """

    p: Floats
    chi2: Floats
    weight: Floats
    coefficients: Floats
    covariance: Floats
    corrected: bool
    limit: bool
    open_ends: tuple[bool, bool]

    @property
    def lead(self) -> Floats:
        """Coefficient of the power."""
        return np.asarray(self.coefficients[..., 0])

    @property
    def terms(self) -> Floats:
        """Coefficients of the corrections (omega, p, 2)."""
        return self.coefficients[..., 1:3] if self.corrected else np.zeros((*self.p.shape, 2))

    @property
    def last(self) -> Floats:
        """The constant."""
        return np.asarray(self.coefficients[..., -1] * self.limit)

    @property
    def share(self) -> Floats:
        """Probability of every p at given omega."""
        share = np.exp(self.weight - self.weight.max(axis=1, keepdims=True))
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    @property
    def evidence(self) -> Floats:
        """Logarithm of the probability of every omega, up to a constant."""
        top = self.weight.max(axis=1)
        step = np.ptp(self.p, axis=1) if self.p.shape[1] > 1 else np.ones(top.size)
        return np.asarray(top + np.log(np.exp(self.weight.T - top).sum(axis=0) * step))

    def moments(self) -> tuple[Floats, Floats, Floats]:
        """Mean and variance of (p, A, ln |A|, y_inf) (4, omega), and Cov(p, ln |A|) (omega)."""
        sized = np.maximum(np.abs(self.lead), 1e-300)
        values = np.stack([self.p, self.lead, np.log(sized), self.last])
        of_lead = self.covariance[..., 0, 0]
        of_last = self.covariance[..., -1, -1] * self.limit
        within = np.stack([0 * self.p, of_lead, of_lead / sized**2, of_last])
        mean = np.sum(self.share * values, axis=2)
        off = values - mean[..., np.newaxis]
        together = np.sum(self.share * off[EXPONENT] * off[LN_AMPLITUDE], axis=1)
        return mean, np.sum(self.share * (within + off**2), axis=2), together


class _Points:
    """Whitened points, and scans of them."""

    def __init__(self, u: Floats, y: Floats, covariance: Floats, limit: bool, slow: bool) -> None:
        self.u, self.limit, self.slow = u, limit, slow
        self.error = float(covariance[0, 0] ** 0.5)
        self.correlated = bool(np.any(covariance != np.diag(np.diag(covariance))))
        if self.correlated:
            self._whitener = np.linalg.inv(np.linalg.cholesky(covariance)).T
        else:
            self._whitener = np.diag(covariance) ** -0.5
        self.target = self._whitened(y)

    def _whitened(self, column: Floats) -> Floats:
        """Columns (..., point) in units of independent errors."""
        if self.correlated:
            return np.asarray(column @ self._whitener)
        return np.asarray(column * self._whitener)

    def scan(self, bounds: tuple[float, float], omegas: Floats) -> _Scan:
        """Scan p between its bounds, at every omega about its own best values."""
        rows, steps = max(omegas.size, 1), STEPS if bounds[0] < bounds[1] else 1
        low, high = (np.full(rows, end) for end in bounds)
        top = self._tops(low, high, omegas) if self.correlated and steps > 1 else -np.inf
        ends = np.zeros(2)
        for zoom in range(ZOOMS):
            p = np.linspace(low, high, steps, axis=1)
            chi2, weight, coefficients, covariance = self._solve(p, omegas)
            off = 2 * (np.maximum(weight.max(axis=1, keepdims=True), top) - weight)
            if zoom == 0:
                ends = -2 * weight[:, [0, -1]].max(axis=0)
            near = off <= NEAR
            if steps == 1 or np.all(near.sum(axis=1) > 0.3 * steps):
                break
            # A third at least: what is best may lie between the points of a coarse grid.
            third = np.argsort(np.argsort(off, axis=1), axis=1) < steps // 3
            low, high = _ends(p, near | (third if zoom == 0 else _around_the_best(off, third)))
        above = ends + 2 * weight.max()
        return _Scan(
            p, chi2, weight, coefficients, covariance, omegas.size > 0, self.limit,
            (steps > 1 and bool(above[0] < DETERMINED), steps > 1 and bool(above[1] < DETERMINED)),
        )  # fmt: skip

    def _tops(self, low: Floats, high: Floats, omegas: Floats) -> Floats:
        """Largest weight of every omega (omega, 1), in one piece of the exponents.

        With an error that all points share the weight may be narrow and stand on a level floor, for
        it costs little to make them all zero.
        """
        for _ in range(ZOOMS // 2):
            p = np.linspace(low, high, STEPS, axis=1)
            weight = self._solve(p, omegas)[1]
            third = np.argsort(np.argsort(-weight, axis=1), axis=1) < STEPS // 3
            low, high = _ends(p, _around_the_best(-weight, third))
        return np.asarray(weight.max(axis=1, keepdims=True))

    def _solve(self, p: Floats, omegas: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """chi^2 and log weight (omega, p), coefficients and their covariance (omega, p, column).

        Columns are the power, its corrections if any, and the constant if there is a limit.
        """
        lead = self.u ** p[..., np.newaxis]
        constant = [np.ones_like(lead)] * self.limit
        slow = -np.log(np.abs(p)) if self.slow else 0.0
        # Without corrections: the unit of their prior, and all there is if none are wanted.
        chi2, found, covariance, _ = self._least_squares([lead, *constant], [])
        if not omegas.size:
            return chi2, slow - chi2 / 2, found, covariance
        decline = _decline(self.u, omegas[:, np.newaxis, np.newaxis])
        terms = [lead * decline, lead * decline**2]
        for _ in range(UNITS):
            # A leading term below the error of a point cannot serve as a unit.
            leading = np.maximum(np.abs(found[..., 0]) * lead[..., 0], self.error)
            priors = [s * leading / term[..., 0] for s, term in zip(SHARES, terms, strict=True)]
            chi2, found, covariance, left = self._least_squares([lead, *terms, *constant], priors)
        return chi2, slow - chi2 / 2 + left, found, covariance

    def _least_squares(
        self, columns: list[Floats], priors: list[Floats]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Solve for the coefficients of columns (..., point).

        Those after the first have `priors`, standard deviations (...,).  Returns chi^2 with the
        priors (...,), coefficients (..., column), their covariance, and the logarithm of the share
        of the prior volume that the data leave.
        """
        design = np.stack([self._whitened(column) for column in columns], axis=-1)
        scale = np.sqrt(np.sum(design**2, axis=-2))
        design /= scale[..., np.newaxis, :]
        normal = np.swapaxes(design, -1, -2) @ design
        prior = np.zeros(scale.shape)
        with_prior = slice(1, 1 + len(priors))
        if priors:
            prior[..., with_prior] = (np.stack(priors, axis=-1) * scale[..., with_prior]) ** -2.0
        index = np.arange(len(columns))
        normal[..., index, index] += prior + TINY
        inverse = np.linalg.inv(normal)
        found, off = np.zeros(scale.shape), np.broadcast_to(self.target, design.shape[:-1])
        for _ in range(2):  # refined: columns of slow corrections are nearly alike
            slope = (off[..., np.newaxis, :] @ design)[..., 0, :] - prior * found
            found = found + (inverse @ slope[..., np.newaxis])[..., 0]
            off = self.target - (design @ found[..., np.newaxis])[..., 0]
        chi2 = np.sum(off**2, axis=-1) + np.sum(prior * found**2, axis=-1)
        left = np.zeros(chi2.shape)
        if priors:
            block = inverse[..., with_prior, with_prior]
            left = (np.linalg.slogdet(block)[1] + np.log(prior[..., with_prior]).sum(axis=-1)) / 2
        covariance = inverse / (scale[..., np.newaxis] * scale[..., np.newaxis, :])
        return chi2, found / scale, covariance, left


def _decline(u: Floats, omega: Floats) -> Floats:
    """u^-omega (omega, 1, point); for omega = 0, slower than any power, 1 / (1 + ln(u / u_min))."""
    slower = 1 / (1 + np.log(u / u[0]))
    return np.where(omega == LOGARITHM, slower, u**-omega)


def _ends(p: Floats, marked: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """First and last marked exponent of every row, and one step beyond."""
    row, last = np.arange(p.shape[0]), p.shape[1] - 1
    first = np.maximum(marked.argmax(axis=1) - 1, 0)
    return p[row, first], p[row, np.minimum(last - marked[:, ::-1].argmax(axis=1) + 1, last)]


def _around_the_best(off: Floats, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Restrict the marks of every row to those in one piece with the least `off`."""
    index = np.arange(off.shape[1])
    best = off.argmin(axis=1)[:, np.newaxis]
    low = np.where(~marked & (index < best), index, -1).max(axis=1, keepdims=True)
    high = np.where(~marked & (index > best), index, index.size).min(axis=1, keepdims=True)
    return np.asarray((index > low) & (index < high))
