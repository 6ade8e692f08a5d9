"""Levenberg-Marquardt for a collapse, and the global search that gives it its start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from heatcap.core.arrays import Floats
from heatcap.scaling.collapse_problem import OWN, SHAPE, SHARED, X_C, Block, Model, Problem

__all__ = ["OVERLAP", "Solution", "search", "solve"]


MAX_ITERATIONS = 60
SETTLED = 1e-4  # in chi^2: a hundredth of a standard error
SEARCHED = 256  # points of the global search
REFINED = 8  # of which are refined
OVERLAP = 0.5  # of the points: where sizes do not meet, nothing is compared
NEAR = 0.3  # share of the points, nearest to X = 0, that tell the exponent of a start


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
    held = knots
    for _ in range(passes):
        knots = held or problem.knots(theta, model)
        theta = _descend(problem, theta, model, knots, free)
    assert knots is not None
    residuals, jacobian, linear = problem.evaluate(theta, knots)
    prior, prior_slopes = problem.priors(theta, model)
    return Solution(
        theta=theta,
        chi2=float(residuals @ residuals + prior @ prior),
        n=residuals.size + prior.size,
        parameters=linear + free.size,
        covariance=_inverse(np.vstack([jacobian, prior_slopes])[:, free]),
        residuals=residuals,
        jacobian=jacobian[:, free],
        model=model,
        knots=knots,
    )


def _rows(
    problem: Problem, theta: Floats, model: Model, knots: Sequence[Floats]
) -> tuple[Floats, Floats]:
    residuals, jacobian, _ = problem.evaluate(theta, knots)
    prior, prior_slopes = problem.priors(theta, model)
    return np.concatenate([residuals, prior]), np.vstack([jacobian, prior_slopes])


def _descend(
    problem: Problem,
    theta: Floats,
    model: Model,
    knots: Sequence[Floats],
    free: NDArray[np.intp],
) -> Floats:
    residual, jacobian = _rows(problem, theta, model, knots)
    cost, damping = residual @ residual, 1e-3
    low, high = problem.limits()
    for _ in range(MAX_ITERATIONS):
        j = jacobian[:, free]
        trial = theta.copy()
        trial[free] -= _damped(j.T @ j, j.T @ residual, damping)
        trial[free] = trial[free].clip(low[free], high[free])
        new, new_jacobian = _rows(problem, trial, model, knots)
        new_cost = new @ new
        if new_cost < cost:
            small = cost - new_cost < SETTLED
            theta, residual, jacobian, cost = trial, new, new_jacobian, new_cost
            damping = max(damping / 5, 1e-9)
            if small:
                return theta
        else:
            damping *= 4
            if damping > 1e8:
                return theta
    return theta


def _damped(normal: Floats, gradient: Floats, damping: float) -> Floats:
    scale = np.maximum(np.diag(normal), 1e-12)
    return np.asarray(np.linalg.lstsq(normal + damping * np.diag(scale), gradient, rcond=None)[0])


def _inverse(jacobian: Floats) -> Floats:
    """Covariance of the free parameters; infinite where nothing determines one."""
    normal = jacobian.T @ jacobian
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    values, vectors = np.linalg.eigh(normal / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, 1e-14)) @ vectors.T
    return np.asarray(inverse / np.outer(scale, scale))


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
