"""The scan of models: windows around X = 0, smallest sizes, knots; and their average.

Weights are those of :mod:`heatcap.scaling.fits`; k are the coefficients of the scaling
functions, as all other parameters are in every model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter, plain
from heatcap.scaling.collapse_problem import Model, Problem
from heatcap.scaling.correlation import Correlation, measure
from heatcap.scaling.data import Points
from heatcap.scaling.descent import OVERLAP, Solution, solve
from heatcap.scaling.fits import averaged, weights_of_scores

__all__ = ["Fit", "average", "correlation_of", "resampled", "scan", "weights_of"]


KNOTS = (4, 6, 9, 13, 18, 25)
WINDOWS = (1.0, 0.8, 0.65, 0.5, 0.4)  # shares of the points, nearest to X = 0
NEGLIGIBLE = 12.0  # in the score: a weight of e^-6
CARRYING = 0.01  # the weight from which on a model is fitted to resamples
MISFIT = 1.5  # chi^2 / dof from which on residuals that hang together are a misfit


@dataclass(frozen=True, eq=False)
class Fit:
    """One model on one choice of points: `rows` of every part that it keeps."""

    solution: Solution
    problem: Problem
    rows: Sequence[NDArray[np.intp]]
    parts: Sequence[Points]
    cut: int
    share: float
    smallest: float
    correlation: Correlation | None = None

    @property
    def independent(self) -> float:
        """Independent points over points."""
        return self.correlation.share if self.correlation else 1.0

    @property
    def score(self) -> float:
        charge = _charge(self.problem, self.solution.model, self.cut * self.independent)
        return self.solution.chi2 * self.independent + charge

    @property
    def window(self) -> tuple[float, float]:
        controls = np.concatenate([part.control for part in self.parts])
        return float(controls.min()), float(controls.max())

    @cached_property
    def covariance(self) -> Floats:
        """Of the free parameters; with the correlation of the points, where there is one."""
        plain = self.solution.covariance
        if self.correlation is None:
            return plain
        # Priors hold what the points leave open: that share is not widened.
        jacobian = self.solution.jacobian
        extra = self.correlation.widened(jacobian, self.parts) - jacobian.T @ jacobian
        return np.asarray(plain + plain @ extra @ plain)

    def variance(self, place: int) -> float:
        free = self.problem.free(self.solution.model).tolist()
        return float(self.covariance[free.index(place), free.index(place)]) if place in free else 0

    def row(self, weight: float, names: Sequence[str]) -> dict[str, Any]:
        s = self.solution
        return {
            "weight": float(weight),
            "share_of_points": self.share,
            "smallest_size": self.smallest,
            "knots": s.model.knots,
            "chi2": plain(s.chi2),
            "dof": s.dof,
            "parameters": {name: plain(v) for name, v in zip(names, s.theta, strict=True)},
            "errors": {n: plain(np.sqrt(self.variance(i))) for i, n in enumerate(names)},
        }


def _charge(problem: Problem, model: Model, cut: float) -> float:
    """What a fit pays for the freedom of its splines and for the points that it leaves out."""
    return float(2 * len(problem.blocks) * (model.knots + 3) + 2 * cut)


def correlation_of(
    parts: Sequence[Points], problem: Problem, found: Solution
) -> Correlation | None:
    """Whether points of one size are correlated, seen in the residuals of a flexible fit.

    Residuals of a fit that does not describe the data hang together as well; its chi^2 tells.
    """
    if any(part.covariance is not None for part in parts):
        return None
    fits = [solve(problem, found.theta, m) for m in _models(parts) if _dof(problem, m) >= 3]
    if not fits:
        return None
    best = min(fits, key=lambda fit: fit.chi2 + _charge(problem, fit.model, 0))
    if best.chi2 > MISFIT * best.dof:
        return None
    return measure(best.residuals, parts)


def scan(
    parts: Sequence[Points], whole: Problem, found: Solution, correlation: Correlation | None
) -> list[Fit]:
    """All models that have a weight worth the name."""
    independent = correlation.share if correlation else 1.0
    total = sum(map(len, parts))
    distance = [np.abs(whole.scaled(b, found.theta)) for b in range(len(parts))]
    fits: list[Fit] = []
    best = np.inf
    for smallest in _smallest_sizes(parts):
        for share in WINDOWS:
            rows = [
                np.flatnonzero((d <= np.quantile(d, share)) & (part.size >= smallest))
                for part, d in zip(parts, distance, strict=True)
            ]
            kept = [part.take(r) for part, r in zip(parts, rows, strict=True)]
            if any(np.unique(part.size).size < 2 for part in kept):
                continue
            problem = Problem.of(kept, whole.ansatz, whole.names, whole.fixed)
            cut = total - problem.n
            for model in _models(kept):
                dof = _dof(problem, model)
                if dof < max(3, problem.n // 10):
                    continue
                # With errors that are known, chi^2 stays near dof: such a fit would have no weight.
                least = dof - 3 * np.sqrt(2 * dof) if correlation is None else 0.0
                least += _charge(problem, model, cut * independent)
                if least > best + NEGLIGIBLE:
                    continue
                solution = solve(problem, found.theta, model)
                if problem.overlap(solution.theta) < OVERLAP:
                    continue
                fits.append(Fit(solution, problem, rows, kept, cut, share, smallest, correlation))
                best = min(best, fits[-1].score)
    return fits


def _dof(problem: Problem, model: Model) -> int:
    """Points less parameters; a correction brings its prior along."""
    splines = len(problem.blocks) * (model.knots + 3)
    return problem.n - splines - problem.free(Model(model.knots, corrected=False)).size


def _smallest_sizes(parts: Sequence[Points]) -> list[float]:
    """All sizes, and without the smallest ones while three are left."""
    sizes = np.unique(np.concatenate([part.size for part in parts]))
    return [float(s) for s in sizes[: max(1, min(sizes.size - 2, 3))]]


def _models(parts: Sequence[Points]) -> list[Model]:
    """With two sizes a correction fits anything."""
    smallest = min(map(len, parts))
    enough = min(np.unique(part.size).size for part in parts) > 2
    return [Model(knots, enough) for knots in KNOTS if knots + 3 <= smallest / 2]


def weights_of(fits: Sequence[Fit]) -> Floats:
    """Weights of the fits, which add up to 1."""
    return weights_of_scores([fit.score for fit in fits])


def average(fits: Sequence[Fit], place: int) -> Parameter:
    """Mean of a parameter over models, its own error, and the spread between them."""
    values = [fit.solution.theta[place] for fit in fits]
    return averaged(weights_of(fits), values, [fit.variance(place) for fit in fits])


def resampled(
    fits: Sequence[Fit], parts: Sequence[Points], count: int, rng: np.random.Generator
) -> Floats:
    """theta of the average on resamples of the replicates: (resample, parameter).

    Deviations of a resample from the mean are put on the fitted values of a model, so that its
    noise is that of one experiment and not of two.  Every model that carries weight is fitted
    again; the weights stay.  Parts without replicates are drawn from their errors.
    """
    weights = weights_of(fits)
    carrying = np.flatnonzero(weights >= min(CARRYING, weights.max())).tolist()
    share = weights[carrying] / weights[carrying].sum()
    out = []
    for _ in range(count):
        deviations = [part.resample(rng) - part.value for part in parts]
        thetas = [_again(fits[i], deviations) for i in carrying]
        out.append(share @ np.array(thetas))
    return np.array(out)


def _again(fit: Fit, deviations: Sequence[Floats]) -> Floats:
    start, values = 0, []
    for block, rows, deviation in zip(fit.problem.blocks, fit.rows, deviations, strict=True):
        own = fit.solution.residuals[start : start + rows.size]
        values.append(block.raw - block.unwhitened(own) + deviation[rows])
        start += rows.size
    problem = fit.problem.with_values(values)
    return solve(problem, fit.solution.theta, fit.solution.model, passes=1).theta
