"""What a collapse says beside its numbers: a point that stands alone, another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from heatcap.core.result import Parameter
from heatcap.scaling.collapse_fits import Fit
from heatcap.scaling.collapse_problem import SHAPE, X_C, Problem
from heatcap.scaling.competitors import WITHIN, Competitor
from heatcap.scaling.data import Points
from heatcap.scaling.descent import solve

__all__ = ["lone_point", "other_orders"]


SUSPECTS = 3  # points with the largest residuals, each of which is tried
ALONE = 25.0  # of chi^2 that one point must carry to be named
POOR = 1e-3  # p-value
WITHOUT = 1e6  # an error that is larger by this says nothing
DIMENSIONS = (2.0, 3.0)
NEAR, SHARP = 2.0, 0.125  # errors from d; error of 1/nu over d


def other_orders(
    inverse_nu: Parameter | None, given: Mapping[str, float], found: Sequence[Competitor]
) -> list[str]:
    """A 1/nu that is that of another kind of transition."""
    said = []
    if inverse_nu is not None and "inverse_nu" not in given:
        value, error = inverse_nu.value, inverse_nu.error
        like = [d for d in DIMENSIONS if abs(value - d) < NEAR * error < NEAR * SHARP * d]
        said += [_FIRST.format(d) for d in like]
    said += [_KT.format(c.delta) for c in found if c.kind == _KIND and c.delta <= WITHIN]
    return said


_KIND = "kosterlitz-thouless"
_FIRST = (
    "X = t L^d with d = {0:g}: as at a first-order transition in {0:g} dimensions, which has no "
    "exponent nu (heatcap order tells; a mean-field magnet has 1/nu = 2, too)"
)
_KT = (
    "1/nu is small, and X = t (ln L/L0)^2 fits as well (chi2 + 2 k {0:+.1f}): Kosterlitz-Thouless? "
    "(heatcap collapse --ansatz kosterlitz-thouless, heatcap stiffness)"
)


def lone_point(parts: Sequence[Points], whole: Problem, fits: Sequence[Fit]) -> str:
    """The one point without which all others fit, where there is one: in words, else ""."""
    if any(part.covariance is not None for part in parts):
        return ""
    all_points = [fit for fit in fits if fit.cut == 0]
    if not all_points:
        return ""
    first = min(all_points, key=lambda fit: fit.score).solution
    if stats.chi2.sf(first.chi2, first.dof) > POOR:
        return ""
    block = np.repeat(np.arange(len(parts)), list(map(len, parts)))
    start = np.cumsum([0, *map(len, parts)])
    tried = []
    for i in np.argsort(-np.abs(first.residuals))[:SUSPECTS].tolist():
        b, row = int(block[i]), i - int(start[block[i]])
        error = parts[b].error.copy()
        error[row] *= WITHOUT
        kept = [replace(p, error=error) if k == b else p for k, p in enumerate(parts)]
        problem = Problem.of(kept, whole.ansatz, whole.names, whole.fixed)
        own = solve(problem, first.theta, first.model)
        tried.append((own.chi2, i, b, row, own))
    chi2, i, b, row, own = min(tried, key=lambda each: each[0])
    dof = own.dof - 1
    if stats.chi2.sf(chi2, dof) < POOR or first.chi2 - chi2 < ALONE:
        return ""
    part = parts[b]
    fitted = part.value[row] - own.residuals[i] * part.error[row] * WITHOUT
    values = f"x_c = {own.theta[X_C]:.5g}, {whole.names[SHAPE]} = {own.theta[SHAPE]:.3g}"
    return (
        f"one point stands alone: {part.name} at size {part.size[row]:g}, control "
        f"{part.control[row]:g} is {part.value[row]:.3g}, not {fitted:.3g}; without it "
        f"chi2/dof = {chi2:.1f}/{dof}, {values}"
    )
