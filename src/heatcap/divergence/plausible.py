"""Which classes the data do not exclude: likelihood ratios with a parametric bootstrap.

Statistic of class c:  Delta_c = min over the shapes of c of (chi^2 + penalty) - the same over all.
Its distribution is not that of chi^2: classes touch each other, their shapes are many, and the
null is a fit.  So data are drawn from fits of class c at the sizes and errors at hand, and p_c is
the share of draws with a larger Delta_c.  Several fits of c that the data do not tell apart are
drawn from, the best and those that lie closest to another class; the largest p counts (in the
manner of R. L. Berger & D. D. Boos, JASA 89 (1994) 1012, without their payment for the level of the
set).  None is below that of a truth on the boundary of two classes, P(chi^2_1 > Delta) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import chdtrc

from heatcap._vector import Floats
from heatcap.divergence._kernel import Ints, Normal, best, every, normal
from heatcap.divergence.margins import CLASSES, Margins
from heatcap.divergence.shapes import Shapes, shapes_of

__all__ = [
    "HOPELESS",
    "Fits",
    "Fitted",
    "Plausible",
    "Problem",
    "Setup",
    "nulls",
    "plausible",
    "problem",
]

NEAR = 4.0  # in chi^2 + penalty: fits of a class that the data do not tell apart
NULLS = 8
APART = 0.5  # in errors: fits that differ by less are the same null
HOPELESS = 30.0  # Delta beyond the penalty that no draw reaches


class Costly(Protocol):
    """Margins with the cost of a correction in chi^2."""

    @property
    def penalty(self) -> float: ...


class Setup(Protocol):
    """What the test needs of shapes with a covariance: heights by size, or a peak by control."""

    @property
    def margins(self) -> Costly: ...
    @property
    def error(self) -> Floats: ...
    @property
    def kind(self) -> Ints: ...
    def scores(self, y: Floats) -> Floats: ...
    def fits(self, y: Floats) -> Fitted: ...
    def noise(self, draws: int, rng: np.random.Generator) -> Floats: ...


class Fitted(Protocol):
    """What it needs of all shapes fitted to one set."""

    @property
    def problem(self) -> Setup: ...
    @property
    def score(self) -> Floats: ...
    def of(self, kind: int) -> Ints: ...
    def curves(self, rows: Ints) -> Floats: ...
    def best_of_classes(self) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Problem:
    """Shapes on the sizes, and the covariance of the heights.

    `root` (size, size) turns unit normal numbers into noise.
    """

    shapes: Shapes
    margins: Margins
    exponent: float | None
    weight: Floats
    root: Floats
    error: Floats
    parts: Normal

    @property
    def kind(self) -> Ints:
        """Class of every shape."""
        return self.shapes.kind

    def scores(self, y: Floats) -> Floats:
        """Lowest chi^2 + penalty (set, class) for sets of heights (set, size)."""
        return best(self.shapes, self.parts, self.weight, y)

    def fits(self, y: Floats) -> Fits:
        """All shapes fitted to one set of heights."""
        chi2, a, s, b, t = every(self.shapes, self.parts, self.weight, y)
        return Fits(self, chi2, chi2 + self.shapes.penalty, a, s, b, t)

    def noise(self, draws: int, rng: np.random.Generator) -> Floats:
        return np.asarray(rng.normal(size=(draws, len(self.error))) @ self.root.T)


@dataclass(frozen=True, eq=False)
class Fits:
    """chi^2, score = chi^2 + penalty, growth a, level s, b (of e) and t (of d) of every shape."""

    problem: Problem
    chi2: Floats
    score: Floats
    a: Floats
    s: Floats
    b: Floats
    t: Floats

    def of(self, kind: int) -> Ints:
        """Shapes of a class, the best first."""
        rows = np.flatnonzero(self.problem.shapes.kind == kind)
        return rows[np.argsort(self.score[rows], kind="stable")]

    def curves(self, rows: Ints) -> Floats:
        """Heights (shape, size) of some fits."""
        return self._curves(self.problem.shapes, rows)

    def curves_at(self, rows: Ints, sizes: Floats) -> Floats:
        """The same at other sizes, which need not hold those of the fit."""
        own = self.problem.shapes
        return self._curves(own.at(sizes), rows)

    def _curves(self, shapes: Shapes, rows: Ints) -> Floats:
        b, t = self.b[rows, np.newaxis], self.t[rows, np.newaxis]
        forms = shapes.g[rows] + b * shapes.e[rows] + t * shapes.d[rows]
        return np.asarray(self.s[rows, np.newaxis] + self.a[rows, np.newaxis] * forms)

    def best_of_classes(self) -> Floats:
        return np.array([self.score[self.of(kind)[0]] for kind in range(len(CLASSES))])


@dataclass(frozen=True, eq=False)
class Plausible:
    """p-value and Delta of each class; the lowest chi^2 + penalty, and draws of it from its fit."""

    p_values: Floats
    delta: Floats
    best_chi2: float
    drawn_chi2: Floats

    def kinds(self, level: float) -> tuple[int, ...]:
        """Classes that are not excluded."""
        return tuple(np.flatnonzero(self.p_values > 1 - level).tolist())

    def names(self, level: float) -> tuple[str, ...]:
        """The same by name."""
        return tuple(CLASSES[kind] for kind in self.kinds(level))


def problem(
    sizes: Floats, covariance: Floats, margins: Margins, exponent: float | None = None
) -> Problem:
    """Prepare the shapes for sizes and a covariance of the heights."""
    shapes = shapes_of(sizes, margins, exponent)
    inverse = np.linalg.inv(covariance)
    weight = np.asarray((inverse + inverse.T) / 2, dtype=np.float64)
    root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    error = np.sqrt(np.diag(covariance))
    return Problem(shapes, margins, exponent, weight, root, error, normal(shapes, weight))


def plausible(
    setup: Setup,
    y: Floats,
    *,
    draws: int,
    rng: np.random.Generator,
    enough: float = 1.0,
) -> Plausible:
    """p-value of every class for heights `y` (size,); no further null once p is above `enough`."""
    fits = setup.fits(y)
    lowest = fits.best_of_classes()
    delta = lowest - lowest.min()
    noise = setup.noise(draws, rng)
    p, chi2 = np.ones(len(CLASSES)), np.empty(0)
    for kind in np.argsort(delta, kind="stable"):
        if delta[kind] > HOPELESS + setup.margins.penalty:
            p[kind] = 0.0
        elif delta[kind] > 0.0:
            p[kind] = _boundary(delta[kind])
            for curve in nulls(fits, kind):
                if p[kind] <= enough:
                    p[kind] = max(p[kind], _p_value(setup, curve + noise, kind, delta[kind]))
        elif enough == 1.0:
            chi2 = setup.scores(fits.curves(fits.of(kind)[:1]) + noise).min(axis=1)
    # chi^2 of exact data is zero up to rounding, and may come out below it.
    return Plausible(p, delta, max(float(lowest.min()), 0.0), chi2)


def _p_value(setup: Setup, drawn: Floats, kind: int, delta: float) -> float:
    scores = setup.scores(drawn)
    return float(1 + np.sum(scores[:, kind] - scores.min(axis=1) >= delta)) / (1 + len(drawn))


def _boundary(delta: float) -> float:
    """p-value of data whose truth lies on the boundary of two classes, half chi^2 of one degree.

    A fit to the data lies inside its class, where Delta is smaller; the truth need not.
    """
    return 0.5 * float(chdtrc(1, delta))


def nulls(fits: Fitted, kind: int) -> list[Floats]:
    """Curves of a class that data may be drawn from: its best fit, and near ones.

    Where another class describes a curve as well as its own, Delta is largest: of the near fits
    those count first whose curve without noise another class fits best.
    """
    order = fits.of(kind)
    order = order[fits.score[order] <= fits.score[order[0]] + NEAR]
    curves = fits.curves(order)
    curves = curves[np.isfinite(curves).all(axis=1)]  # shapes without growth may have no curve
    if len(curves) == 1:
        return [curves[0]]
    scores = fits.problem.scores(curves)
    others = np.delete(scores, kind, axis=1).min(axis=1) - scores[:, kind]
    kept, error = [curves[0]], fits.problem.error
    for i in np.argsort(others, kind="stable"):
        if len(kept) == NULLS:
            break
        if all((np.abs(curves[i] - one) / error).max() > APART for one in kept):
            kept.append(curves[i])
    return kept
