"""Fits of a collapse: global search for a start, scan of models, fits to resamples.

`search` finds a start, `solve` descends from it, `scan` fits all models, `resampled` repeats the
average on resamples.  Models differ in their window around X = 0, smallest size and number of
knots.  Weights are those of :mod:`heatcap.scaling.fits`, where k counts the coefficients of the
scaling functions only: all other parameters are common to all models.  Residuals are in units of
the errors (whitened where there is a covariance).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    "with_scaled_errors",
]

KNOTS = (4, 6, 9, 13, 18, 25)
WINDOWS = (1.0, 0.8, 0.65, 0.5, 0.4)  # shares of the points, nearest to X = 0
NEGLIGIBLE = 12.0  # in the score: a weight of e^-6
MISFIT = 1.5  # chi^2 / dof from which on correlated residuals are a misfit
SEARCHED = 256  # points of the global search
REFINED = 8  # number of them from which a fit is started
OVERLAP = 0.5  # least share of points compared with another size, or nothing is collapsed
NEAR = 0.3  # share of the points, nearest to X = 0, for the exponent of a start
RESCALED, CLOSE = 3, 0.05  # passes of scaling estimated errors, and ln of a factor that is one
SIGNIFICANT = 4.0  # autocorrelation of neighbours in standard errors, all sizes together


# ---- one fit, and the search for its start -----------------------------------------------


@dataclass(frozen=True, eq=False)
class Solution:
    """Minimum of chi^2 for one model.

    `chi2` includes the priors, each of which counts as one point in `n`; `covariance` is that of
    the free parameters in the order of ``problem.free``; `residuals` of the points are whitened,
    `jacobian` has their derivatives with respect to the free parameters; `knots` of every block.
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
    settled: bool

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
    """Descend to the minimum next to a start.

    Knots that are not given are placed anew at each of the `passes`, as X changes.
    """
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

    held, settled = knots, False
    for _ in range(passes):
        knots = held or problem.knots(theta, model)
        theta[free], settled = minimum(partial(rows, knots=knots), theta[free], low, high)
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
        settled=settled,
    )


def search(problem: Problem, start: Mapping[str, float], rng: np.random.Generator) -> Solution:
    """Search globally for the best fit without corrections.

    A space-filling design covers x_c, the shape parameter, and exponents about the slope of
    ln |A| against ln L next to X = 0.  Its best points, and `start`, are refined by local fits.
    """
    from scipy.stats import qmc  # a third of a second to import, which readers of tables need not

    smallest = min(block.value.size for block in problem.blocks)
    model = Model(int(np.clip(smallest // 5, 3, 12)), corrected=False)
    low, high = problem.centre - problem.half, problem.centre + problem.half
    design = qmc.Sobol(2 + len(problem.blocks), rng=rng).random(SEARCHED)
    first, last = problem.ansatz.bounds
    thetas, blocks = [], list(enumerate(problem.blocks))
    for u in design:
        x_c, shape = low + u[0] * (high - low), first + u[1] * (last - first)
        theta = problem.start(x_c, shape, [0.0] * len(problem.blocks))
        slopes = [_exponent(block, problem.scaled(b, theta)) for b, block in blocks]
        theta = problem.start(x_c, shape, (np.array(slopes) + u[2:] - 0.5).tolist())
        thetas.append(theta)
    if start:
        guess = problem.start(problem.centre, (first + last) / 2, [0.0] * len(problem.blocks))
        for name, value in start.items():
            if name not in problem.fixed:
                guess[list(problem.names).index(name)] = value
        thetas.append(guess)
    costs = np.array([_cost(problem, theta, model) for theta in thetas])
    order = np.argsort(costs[:SEARCHED])[:REFINED].tolist() + list(range(SEARCHED, len(thetas)))
    fits = [solve(problem, thetas[i], model) for i in order]
    inside = [
        f for f in fits if low <= f.theta[X_C] <= high and problem.overlap(f.theta) >= OVERLAP
    ]
    return min(inside or fits, key=lambda fit: fit.chi2)


def _exponent(block: Block, x: Floats) -> float:
    """d ln|A| / d ln L of the points nearest to X = 0."""
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


# ---- correlation of points of one size ---------------------------------------------------
#
# Points measured in the same runs have correct errors that are not independent: a fit that treats
# them as independent has chi^2 far below its degrees of freedom, and errors of its parameters that
# are far too small.  With a covariance none of this is needed.


@dataclass(frozen=True, eq=False)
class Correlation:
    """A Gaussian kernel exp(-(x - x')^2 / 2 l^2) between points of one size.

    `lengths` holds l by block and size, 0 where neighbours are independent; `share` is the number
    of independent points over that of points, 1 without correlation.
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
        by_size: dict[float, float] = {}
        for size in np.unique(part.size):
            rows = np.flatnonzero(part.size == size)
            r, x = residuals[start + rows], part.control[rows]
            score += _lagged(r, 1) * max(r.size - 1, 0)
            count += max(r.size - 1, 0)
            by_size[float(size)] = _length(r, x)
            independent += _independent(x, by_size[float(size)])
        lengths.append(by_size)
        start += len(part)
    if not count or score / np.sqrt(count) < SIGNIFICANT:
        return None
    return Correlation(lengths, min(1.0, independent / start))


def _lagged(r: Floats, lag: int) -> float:
    """Autocorrelation about zero, so that a common offset of a size counts."""
    square = float(np.mean(r**2)) if r.size > lag else 0.0
    return float(np.mean(r[:-lag] * r[lag:]) / square) if square > 0 else 0.0


def _length(r: Floats, x: Floats) -> float:
    """Correlation length, from the largest lag (1, 2, 4, ...) with a correlation above 0.3."""
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
    """Number of independent points along the control of one size."""
    if length == 0 or x.size < 2:
        return float(x.size)
    return float(np.clip(np.ptp(x) / (np.sqrt(2 * np.pi) * length), 1.0, x.size))


# ---- the scan of models ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fit:
    """One model fitted to one selection of points, the `rows` of every part."""

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
    def settled(self) -> bool:
        """Whether the descent ended at a minimum."""
        return self.solution.settled

    @property
    def window(self) -> tuple[float, float]:
        controls = np.concatenate([part.control for part in self.parts])
        return float(controls.min()), float(controls.max())

    @cached_property
    def covariance(self) -> Floats:
        """Covariance of the free parameters, correlation of the points included."""
        independent = self.solution.covariance
        if self.correlation is None:
            return independent
        # Only the points are correlated, the priors are not.
        jacobian = self.solution.jacobian
        extra = self.correlation.widened(jacobian, self.parts) - jacobian.T @ jacobian
        return np.asarray(independent + independent @ extra @ independent)

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
    """Penalty of a fit: 2 k for its spline coefficients and 2 n_cut for points left out."""
    return float(2 * len(problem.blocks) * (model.knots + 3) + 2 * cut)


def correlation_of(
    parts: Sequence[Points], problem: Problem, guess: Solution
) -> Correlation | None:
    """Estimate the correlation of points of one size from residuals of a flexible fit.

    None without a significant correlation.  Residuals of a poor fit are correlated as well: a fit
    with chi^2 / dof above MISFIT gives None.
    """
    if any(part.covariance is not None for part in parts):
        return None
    fits = [solve(problem, guess.theta, m) for m in _models(parts) if _dof(problem, m) >= 3]
    if not fits:
        return None
    best = min(fits, key=lambda fit: fit.chi2 + _charge(problem, fit.model, 0))
    if best.chi2 > MISFIT * best.dof:
        return None
    return _correlation(best.residuals, parts)


def scan(
    parts: Sequence[Points], whole: Problem, guess: Solution, correlation: Correlation | None
) -> list[Fit]:
    """Fit all models whose weight is not negligible."""
    independent = correlation.share if correlation else 1.0
    total = sum(map(len, parts))
    distance = [np.abs(whole.scaled(b, guess.theta)) for b in range(len(parts))]
    fits: list[Fit] = []
    best = np.inf
    sizes = np.unique(np.concatenate([part.size for part in parts]))
    # Up to two of the smallest sizes are left out, as long as three remain.
    for smallest in map(float, sizes[: max(1, min(sizes.size - 2, 3))]):
        for share in WINDOWS:
            rows = [
                np.flatnonzero((d <= np.quantile(d, share)) & (part.size >= smallest))
                for part, d in zip(parts, distance, strict=True)
            ]
            selected = [part.take(r) for part, r in zip(parts, rows, strict=True)]
            if any(np.unique(part.size).size < 2 for part in selected):
                continue
            problem = Problem.of(selected, whole.ansatz, whole.names, whole.fixed)
            cut = total - problem.n
            for model in _models(selected):
                dof = _dof(problem, model)
                if dof < max(3, problem.n // 10):
                    continue
                # chi^2 is hardly below dof - 3 sigma if the errors are right: skip a fit whose
                # weight would be negligible even so.
                least = dof - 3 * np.sqrt(2 * dof) if correlation is None else 0.0
                least += _charge(problem, model, cut * independent)
                if least > best + NEGLIGIBLE:
                    continue
                solution = solve(problem, guess.theta, model)
                if problem.overlap(solution.theta) < OVERLAP:
                    continue
                fits.append(
                    Fit(solution, problem, rows, selected, cut, share, smallest, correlation)
                )
                best = min(best, fits[-1].score)
    return fits


def with_scaled_errors(parts: Sequence[Points], whole: Problem, guess: Solution) -> list[Points]:
    """Points whose estimated errors give the best fit the chi^2 that is expected."""
    scaled = list(parts)
    for _ in range(RESCALED):
        problem = Problem.of(scaled, whole.ansatz, whole.names, whole.fixed)
        fits = scan(scaled, problem, guess, None)
        if not fits:
            break
        best = min(fits, key=lambda fit: fit.score)
        factor = float(np.sqrt(best.solution.chi2 / best.solution.dof))
        scaled = [part.scaled(max(factor, 1e-3)) for part in scaled]
        if abs(np.log(max(factor, 1e-3))) < CLOSE:
            break
    return scaled


def _dof(problem: Problem, model: Model) -> int:
    """Degrees of freedom; a correction does not count, since its prior counts as a point."""
    splines = len(problem.blocks) * (model.knots + 3)
    return problem.n - splines - problem.free(Model(model.knots, corrected=False)).size


def _models(parts: Sequence[Points]) -> list[Model]:
    """Models for these points; no corrections with two sizes, where they fit anything."""
    smallest = min(map(len, parts))
    enough = min(np.unique(part.size).size for part in parts) > 2
    return [Model(knots, enough) for knots in KNOTS if knots + 3 <= smallest / 2]


def resampled(
    fits: Sequence[Fit], parts: Sequence[Points], count: int, rng: np.random.Generator
) -> Floats:
    """Repeat the average on resamples of the replicates: theta (resample, parameter).

    Deviations of a resample from the mean are added to the fitted values of a model, so that the
    noise is that of one experiment and not of two.  Weights stay, and parts without replicates are
    drawn from their errors.  Every model moves by one linear step, -C J^T W d; the one with the
    largest weight is fitted again, and what it moves further is added to all: models share their
    points, and refitting each of them cost ten times the fit itself.
    """
    weights = weights_of(fits)
    heaviest = fits[int(weights.argmax())]
    out = []
    for _ in range(count):
        deviations = [part.resample(rng) - part.value for part in parts]
        mean = weights @ np.array([_stepped(fit, deviations) for fit in fits])
        bent = _again(heaviest, deviations) - _stepped(heaviest, deviations)
        out.append(mean + bent)
    return np.array(out)


def _stepped(fit: Fit, deviations: Sequence[Floats]) -> Floats:
    """theta of one model after a linear step towards its own values plus deviations."""
    problem, solution = fit.problem, fit.solution
    rows = zip(problem.blocks, fit.rows, deviations, strict=True)
    whitened = np.concatenate([block.whitened(d[chosen]) for block, chosen, d in rows])
    theta, free = solution.theta.copy(), problem.free(solution.model)
    # J is projected off the splines, and so need not be the deviations.
    known = np.where(np.isfinite(solution.covariance), solution.covariance, 0.0)
    theta[free] -= known @ (solution.jacobian.T @ whitened)
    return theta.clip(*problem.limits())


def _again(fit: Fit, deviations: Sequence[Floats]) -> Floats:
    """theta of one model, fitted to its own values plus deviations."""
    start, values = 0, []
    for block, rows, deviation in zip(fit.problem.blocks, fit.rows, deviations, strict=True):
        residuals = fit.solution.residuals[start : start + rows.size]
        values.append(block.raw - block.unwhitened(residuals) + deviation[rows])
        start += rows.size
    problem = fit.problem.with_values(values)
    return solve(problem, fit.solution.theta, fit.solution.model, passes=1).theta
