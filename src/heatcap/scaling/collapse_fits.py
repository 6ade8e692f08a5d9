"""Fits of a collapse: the search for a start, the scan of models, their average.

Models differ in their window around X = 0, smallest size and number of knots.  Weights are those of
:mod:`heatcap.scaling.fits`; k are the coefficients of the scaling functions, as all other
parameters are in every model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from heatcap.core.arrays import Floats
from heatcap.core.result import plain
from heatcap.scaling.collapse_problem import OWN, SHAPE, SHARED, X_C, Block, Model, Problem
from heatcap.scaling.data import Points
from heatcap.scaling.fits import inverse_normal, minimum, weights_of

__all__ = [
    "Correlation",
    "Fit",
    "Solution",
    "correlation_of",
    "resampled",
    "scan",
    "search",
    "solve",
]

KNOTS = (4, 6, 9, 13, 18, 25)
WINDOWS = (1.0, 0.8, 0.65, 0.5, 0.4)  # shares of the points, nearest to X = 0
NEGLIGIBLE = 12.0  # in the score: a weight of e^-6
CARRYING = 0.01  # the weight from which on a model is fitted to resamples
MISFIT = 1.5  # chi^2 / dof from which on residuals that hang together are a misfit
SEARCHED = 256  # points of the global search
REFINED = 8  # of which are refined
OVERLAP = 0.5  # of the points: where sizes do not meet, nothing is compared
NEAR = 0.3  # share of the points, nearest to X = 0, that tell the exponent of a start
SIGNIFICANT = 4.0  # standard errors of the autocorrelation between neighbours, all sizes together


# ---- one fit, and the search that gives it its start -------------------------------------


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a fit ended.

    `chi2` with its priors, each of which counts as one point in `n`; `covariance` of the free
    parameters in the order of ``problem.free``; `residuals` of the points, whitened, and their
    `jacobian` for the free parameters; `knots` of every block.
    """

    theta: Floats
    chi2: float
    n: int
    parameters: int  # free ones, linear ones included
    covariance: Floats
    residuals: Floats
    jacobian: Floats
    model: Model
    knots: Sequence[Floats]

    @property
    def dof(self) -> int:
        return self.n - self.parameters


def solve(
    problem: Problem,
    theta: Floats,
    model: Model,
    *,
    passes: int = 2,
    knots: Sequence[Floats] | None = None,
) -> Solution:
    """The minimum next to a start; knots that are not given follow X between passes."""
    free = problem.free(model)
    theta = theta.copy()
    if not model.corrected:
        theta = problem.start(theta[X_C], theta[SHAPE], theta[SHARED::OWN].tolist())
    low, high = (limit[free] for limit in problem.limits())

    def rows(values: Floats, knots: Sequence[Floats]) -> tuple[Floats, Floats]:
        moved = theta.copy()
        moved[free] = values
        residuals, jacobian, _ = problem.evaluate(moved, knots)
        prior, prior_slopes = problem.priors(moved, model)
        return np.concatenate([residuals, prior]), np.vstack([jacobian, prior_slopes])[:, free]

    held = knots
    for _ in range(passes):
        knots = held or problem.knots(theta, model)
        theta[free] = minimum(partial(rows, knots=knots), theta[free], low, high)
    assert knots is not None
    residuals, jacobian, linear = problem.evaluate(theta, knots)
    prior, prior_slopes = problem.priors(theta, model)
    return Solution(
        theta=theta,
        chi2=float(residuals @ residuals + prior @ prior),
        n=residuals.size + prior.size,
        parameters=linear + free.size,
        covariance=inverse_normal(np.vstack([jacobian, prior_slopes])[:, free], 1e-14),
        residuals=residuals,
        jacobian=jacobian[:, free],
        model=model,
        knots=knots,
    )


def search(problem: Problem, start: Mapping[str, float], rng: np.random.Generator) -> Solution:
    """The best of local fits from the best points of a space-filling design, and from `start`.

    The design covers x_c, the shape parameter, and a range of exponents about those that the sizes
    of the values next to X = 0 suggest; without corrections.
    """
    smallest = min(block.value.size for block in problem.blocks)
    model = Model(int(np.clip(smallest // 5, 3, 12)), corrected=False)
    low, high = problem.centre - problem.half, problem.centre + problem.half
    design = qmc.Sobol(2 + len(problem.blocks), rng=rng).random(SEARCHED)
    first, last = problem.ansatz.bounds
    thetas = []
    for u in design:
        x_c, shape = low + u[0] * (high - low), first + u[1] * (last - first)
        theta = problem.start(x_c, shape, [0.0] * len(problem.blocks))
        theta = problem.start(x_c, shape, (_exponents(problem, theta) + u[2:] - 0.5).tolist())
        thetas.append(theta)
    if start:
        own = problem.start(problem.centre, (first + last) / 2, [0.0] * len(problem.blocks))
        for name, value in start.items():
            if name not in problem.fixed:
                own[list(problem.names).index(name)] = value
        thetas.append(own)
    costs = np.array([_cost(problem, theta, model) for theta in thetas])
    order = np.argsort(costs[:SEARCHED])[:REFINED].tolist() + list(range(SEARCHED, len(thetas)))
    fits = [solve(problem, thetas[i], model) for i in order]
    inside = [
        f for f in fits if low <= f.theta[X_C] <= high and problem.overlap(f.theta) >= OVERLAP
    ]
    return min(inside or fits, key=lambda fit: fit.chi2)


def _exponents(problem: Problem, theta: Floats) -> Floats:
    """d ln|A| / d ln L of the points nearest to X = 0, for every block."""
    blocks = enumerate(problem.blocks)
    return np.array([_exponent(block, problem.scaled(b, theta)) for b, block in blocks])


def _exponent(block: Block, x: Floats) -> float:
    near = np.abs(x) <= np.quantile(np.abs(x), NEAR)
    log = block.log_size[near]
    if np.ptp(log) == 0:
        return 0.0
    height = np.log(np.maximum(np.abs(block.raw[near]), block.error[near]))
    log = log - log.mean()
    return float(np.clip(log @ height / (log @ log), -6, 6))


def _cost(problem: Problem, theta: Floats, model: Model) -> float:
    if problem.overlap(theta) < OVERLAP:
        return np.inf
    residual, _, _ = problem.evaluate(theta, problem.knots(theta, model), jacobian=False)
    return float(residual @ residual)


# ---- points of one size that share their runs --------------------------------------------
#
# Errors of such points are right one by one, but not independent: a fit that takes them so finds a
# chi^2 far below its degrees of freedom and parameters with errors far too small.  Where a
# covariance is given, nothing of this is needed.


@dataclass(frozen=True, eq=False)
class Correlation:
    """A Gaussian kernel exp(-(x - x')^2 / 2 l^2) between points of one size.

    `lengths`: l by block and size, 0 where neighbours are independent.  `share`: independent
    points over points; 1 without any correlation.
    """

    lengths: Sequence[dict[float, float]]
    share: float

    def widened(self, jacobian: Floats, parts: Sequence[Points]) -> Floats:
        """J^T R J over the whitened residuals of all blocks, R their correlation."""
        out, start = np.zeros((jacobian.shape[1],) * 2), 0
        for part, lengths in zip(parts, self.lengths, strict=True):
            for size, length in lengths.items():
                rows = np.flatnonzero(part.size == size)
                j = jacobian[start + rows]
                if length == 0:
                    out += j.T @ j
                    continue
                apart = (part.control[rows][:, None] - part.control[rows]) / length
                out += j.T @ np.exp(-0.5 * apart**2) @ j
            start += len(part)
        return out


def _correlation(residuals: Floats, parts: Sequence[Points]) -> Correlation | None:
    """The correlation of whitened residuals along the control, or None if there is none."""
    lengths: list[dict[float, float]] = []
    start, score, count, independent = 0, 0.0, 0, 0.0
    for part in parts:
        own: dict[float, float] = {}
        for size in np.unique(part.size):
            rows = np.flatnonzero(part.size == size)
            r, x = residuals[start + rows], part.control[rows]
            score += _lagged(r, 1) * max(r.size - 1, 0)
            count += max(r.size - 1, 0)
            own[float(size)] = _length(r, x)
            independent += _independent(x, own[float(size)])
        lengths.append(own)
        start += len(part)
    if not count or score / np.sqrt(count) < SIGNIFICANT:
        return None
    return Correlation(lengths, min(1.0, independent / start))


def _lagged(r: Floats, lag: int) -> float:
    """Autocorrelation about zero: a common offset of a size is correlation, too."""
    square = float(np.mean(r**2)) if r.size > lag else 0.0
    return float(np.mean(r[:-lag] * r[lag:]) / square) if square > 0 else 0.0


def _length(r: Floats, x: Floats) -> float:
    """From the largest lag, doubled from 1, over which residuals still agree."""
    length, lag = 0.0, 1
    while lag < r.size / 2:
        rho = _lagged(r, lag)
        if rho < 0.3:
            break
        apart = float(np.mean(x[lag:] - x[:-lag]))
        length = apart / np.sqrt(-2 * np.log(min(rho, 0.95)))
        lag *= 2
    return length


def _independent(x: Floats, length: float) -> float:
    """Number of independent points on a record of the control."""
    if length == 0 or x.size < 2:
        return float(x.size)
    return float(np.clip(np.ptp(x) / (np.sqrt(2 * np.pi) * length), 1.0, x.size))


# ---- the scan of models ------------------------------------------------------------------


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
        alone = self.solution.covariance
        if self.correlation is None:
            return alone
        # Priors hold what the points leave open: that share is not widened.
        jacobian = self.solution.jacobian
        extra = self.correlation.widened(jacobian, self.parts) - jacobian.T @ jacobian
        return np.asarray(alone + alone @ extra @ alone)

    def of(self, place: int) -> tuple[float, float]:
        """Value and variance of a parameter."""
        return float(self.solution.theta[place]), self.variance(place)

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
    return _correlation(best.residuals, parts)


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
