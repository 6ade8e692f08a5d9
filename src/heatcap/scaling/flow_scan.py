"""Fits of the flow to a stiffness: a search, the scan of models, and their average.

Beside them stands the best of the smooth functions that have no jump.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from heatcap.core.arrays import Floats
from heatcap.core.result import Parameter
from heatcap.scaling.data import Points
from heatcap.scaling.fits import averaged, weights_of_scores
from heatcap.scaling.flow import NEXT, Fit, Form, Problem, limits

__all__ = [
    "Model", "average", "constant_of", "described", "scan", "search", "smooth_score",
    "too_little", "weights_of",
]  # fmt: skip


SEARCH, REFINED = 256, 6  # points of the global search, and of those that are refined
ROUGH = 0.03  # added to the errors of y in the search: far from T_KT the flow is only a sketch
NEAR = (0.5, 2.2)  # y of the points of the search
DEEPEST = -0.35  # v of the first guess, below which the flow, a series in v and u, says little
SHARES = (1.0, 0.8, 0.65, 0.5)  # of the points, nearest to T_KT
NEGLIGIBLE = 12.0  # in the score: a weight of e^-6
SMOOTH_ORDERS, SMOOTH_POWERS = (2, 3, 4), (0.5, 1.0, 2.0)  # of a stiffness without a jump
FORMS = (
    Form(0.0), Form(0.0, True), Form(), Form(NEXT, True), Form(NEXT, False, True),
    Form(NEXT, True, True),
)  # fmt: skip


def too_little(points: Points) -> tuple[str, str] | None:
    """Whether, and of what, there is too little for a fit."""
    sizes = np.unique(points.size)
    if sizes.size < 3:
        return "too few sizes", f"{sizes.size} sizes; a logarithm needs three or more"
    if len(points) < 12 or np.unique(points.control).size < 3:
        return "too few points", f"{len(points)} points, at least 12 at 3 temperatures are needed"
    return None


def search(points: Points, rng: np.random.Generator) -> Fit | None:
    """The best of rough fits from the best points of a space-filling design."""
    y = np.pi * points.value / (2 * points.control)
    some = points.take((y > NEAR[0]) & (y < NEAR[1]))
    if too_little(some):
        return None
    half = float(np.ptp(points.control)) / 2
    problem, form = Problem.of(some, half, ROUGH), Form()
    low, high = limits(form.names(False), problem)
    low[1:], high[1:] = (0.05, -3.0, -0.5), (1.5, 0.0, 3.0)
    thetas = low + qmc.Sobol(low.size, rng=rng).random(SEARCH) * (high - low)
    costs = np.log1p(problem.residuals(thetas, form, False) ** 2).sum(axis=1)
    fits = [problem.solve(thetas[k], form, False) for k in np.argsort(costs)[:REFINED]]
    return min(fits, key=lambda fit: fit.chi2)


def described(guess: Fit, points: Points) -> NDArray[np.bool_]:
    """Points that the flow can describe; by the guess and not by their noise."""
    problem = Problem.of(points, guess.problem.half)
    shift = problem.log_sizes - guess.problem.log_sizes[0]
    # The guess starts at its own smallest size; sizes below it are taken as that one.
    first = guess.problem.log_sizes[0]
    problem = replace(problem, log_sizes=first + np.maximum(shift, 0.0))
    expected = problem.expected(guess.theta[None], guess.form, False)[0]
    return np.asarray(expected > 1 + DEEPEST / 2)


@dataclass(frozen=True, eq=False)
class Model:
    """A fit to some of the points: `cut` were left out, a `share` of those nearest to T_KT kept."""

    fit: Fit
    points: Points
    cut: int
    share: float

    @property
    def score(self) -> float:
        """Corrections are free of charge: that data do without is no evidence against them."""
        return self.fit.chi2 + 2 * self.cut

    @property
    def charged(self) -> float:
        """With all parameters, for the comparison with another kind of model."""
        return self.score + 2 * self.fit.theta.size


def scan(points: Points, guess: Fit, jump: bool) -> list[Model]:
    """All models that have a weight worth the name."""
    distance = np.abs(points.control - guess.of("t_kt")[0])
    start = dict(zip(guess.form.names(False), guess.theta, strict=True)) | {"jump": 1.0}
    out: list[Model] = []
    best = np.inf
    sizes = np.unique(points.size)
    for smallest, share in itertools.product(sizes[: max(1, min(sizes.size - 2, 4))], SHARES):
        reach = np.quantile(distance, share)
        kept = points.take((points.size >= smallest) & (distance <= reach * (1 + 1e-9)))
        if too_little(kept):
            continue
        problem, cut = Problem.of(kept, guess.problem.half), len(points) - len(kept)
        begin = start
        for form in FORMS:
            names = form.names(jump)
            dof = len(kept) - len(names)
            least = dof - 3 * np.sqrt(2 * max(dof, 0)) + 2 * cut
            if dof < max(3, len(kept) // 10) or least > best + NEGLIGIBLE:
                continue
            fit = problem.solve(np.array([begin.get(n, 0.0) for n in names]), form, jump)
            if not (form.quadratic or form.correction):
                begin = start | dict(zip(names, fit.theta, strict=True))
            out.append(Model(fit, kept, cut, share))
            best = min(best, out[-1].score)
    return out


def smooth_score(points: Points, guess: Fit) -> float:
    """chi^2 + 2 k of the best y = P(T) + Q(T) L^-w: no jump, the same curve for all large sizes.

    Below T_KT, and at it, a flow looks much like this; above it, where the fall with the size
    grows ever steeper, it does not.
    """
    problem = Problem.of(points, guess.problem.half)
    t = (points.control - guess.of("t_kt")[0]) / guess.problem.half
    value, scores = problem.whiten @ problem.y, []
    for order, power in itertools.product(SMOOTH_ORDERS, SMOOTH_POWERS):
        in_t = np.polynomial.chebyshev.chebvander(t, order)
        small = (points.size / points.size.min())[:, None] ** -power
        design = problem.whiten @ np.hstack([in_t, small * in_t])
        off = value - design @ np.linalg.lstsq(design, value, rcond=1e-12)[0]
        scores.append(float(off @ off) + 2 * design.shape[1])
    return float(min(scores))


def weights_of(models: Sequence[Model]) -> Floats:
    """Weights of the models, which add up to 1."""
    return weights_of_scores([model.score for model in models])


def average(models: Sequence[Model], pairs: Sequence[tuple[float, float]]) -> Parameter:
    """Average of values with variances."""
    values, variances = zip(*pairs, strict=True)
    return averaged(weights_of(models), values, variances)


def constant_of(fit: Fit, largest: float) -> tuple[float, float]:
    """c at T_KT and the largest size, with its variance: there v is that of the critical line."""
    names, h = fit.form.names(fit.free_jump), 1e-4
    trial = np.tile(fit.theta, (2, 1))
    trial[:, names.index("v")] += [-h, h]
    at = np.concatenate([fit.problem.log_sizes, [np.log(largest)]])
    problem = replace(fit.problem, log_sizes=np.unique(at))
    v = problem.running(trial, fit.form, fit.free_jump, fit.theta[:1])[-1, :, 0]
    down, up = 2 / v - 2 * np.log(largest)
    slope = (up - down) / (2 * h)
    return float((up + down) / 2), float(slope**2 * fit.of("v")[1])
